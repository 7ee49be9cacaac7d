"""A million rows of audit log: written, exported as NDJSON and CSV, and verified, each way.

    build/venv/bin/python tests/bench/bench_audit.py [ROWS, 1000000] [--check]

Needs the release preset. Takes two to three minutes. The rows go through the projection itself, so
they are sealed as the audit worker seals them; a rail over the same database signs their heads.
Prints one JSON object a line; verifying as a ratio to reading the same bytes through SHA-256.
--check: exit 1 unless each way of verifying, with the signed heads, does a million rows in under a
minute, and neither gateway nor query worker grows by more than 32 MB over an export.
"""

import argparse
import hashlib
import http.client
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time
import urllib.parse

os.environ.setdefault("HR_PRESET", "release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from aims import Aims  # noqa: E402
from pg import Postgres  # noqa: E402
from rail import BIN, Rail, enterable_folder, wait_until  # noqa: E402

BATCH = 2000
SUMMARY_BYTES = 300
KEY = "1 a-key-for-benches-and-for-nothing-else\n"  # bench_projection's
PROGRAMS = ("hr-gateway-1", "hr-worker-query-1")


def memory_kb(pid, field):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1])
    raise KeyError(field)


def export(rail, kind, path):
    url = urllib.parse.urlsplit(rail.url)
    connection = http.client.HTTPConnection(url.hostname, url.port, timeout=60)
    started = time.monotonic()
    connection.request("GET", f"/api/v1/audit/export?format={kind}", headers=rail.headers)
    answer = connection.getresponse()
    assert answer.status == 200, answer.status
    with open(path, "wb") as file:
        while piece := answer.read(1 << 20):
            file.write(piece)
    connection.close()
    return time.monotonic() - started


def hash_seconds(path):
    started = time.monotonic()
    with open(path, "rb") as file:
        hashlib.file_digest(file, "sha256")
    return time.monotonic() - started


def verify(aims, what, *args):
    """Returns its seconds."""
    started = time.monotonic()
    done = subprocess.run([BIN / "handoffrail", "audit", "verify", "--json", *map(str, args)],
                          capture_output=True, text=True)
    seconds = time.monotonic() - started
    assert done.returncode == 0, done.stdout + done.stderr
    rows = json.loads(done.stdout)["rows"]
    report("verify", of=what, rows=rows, seconds=seconds, rows_per_second=rows / seconds)
    aims.under(f"verify_{what}_s_per_million", seconds * 1e6 / rows, 60)
    return seconds


def report(bench, **fields):
    rounded = {k: round(v, 2) if isinstance(v, float) else v for k, v in fields.items()}
    print(json.dumps({"bench": bench, **rounded}), flush=True)


def write_rows(server, rows):
    with server.connect() as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    started = time.monotonic()
    subprocess.run([BIN / "bench_projection", str(rows // BATCH), str(BATCH),
                    str(SUMMARY_BYTES), "default"], check=True,
                   env={**os.environ, "HR_POSTGRES_URL": server.url},
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    report("written", rows=rows, seconds=time.monotonic() - started)


def export_and_verify(aims, rail, rows, kind, signed):
    path = rail.folder / f"export.{kind}"
    before = {name: memory_kb(rail.pids[name], "VmRSS") for name in PROGRAMS}
    seconds = export(rail, kind, path)
    report("export", kind=kind, mb=path.stat().st_size / 1e6, seconds=seconds,
           rows_per_second=rows / seconds)
    for name in PROGRAMS:
        grown = (memory_kb(rail.pids[name], "VmHWM") - before[name]) / 1024
        report("export_memory", kind=kind, program=name, mb_before=before[name] / 1024,
               mb_grown_at_most=grown)
        aims.under(f"{name}_grown_mb_{kind}", grown, 32)
    took = verify(aims, kind, "--export", path, *signed)
    report("verify_ratio", of=kind, to_sha256=took / hash_seconds(path))
    path.unlink()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rows", nargs="?", type=int, default=1_000_000)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    aims = Aims()
    folder = enterable_folder()
    keys = folder / "keys"
    heads = folder / "heads"
    keys.write_text(KEY)
    settings = {"HR_AUDIT_KEY_FILE": str(keys), "HR_AUDIT_HEADS_FILE": str(heads),
                "HR_AUDIT_HEADS_SECONDS": "1"}
    signed = ("--key-file", keys, "--heads", heads)
    try:
        with Postgres() as server:
            write_rows(server, options.rows)
            with Rail(None, "--postgres-url", server.url, env=settings) as rail:
                wait_until(lambda: heads.exists() and heads.read_text(), 30, "a signed head")
                verify(aims, "database", "--database", server.url, *signed)
                for kind in ("ndjson", "csv"):
                    export_and_verify(aims, rail, options.rows, kind, signed)
    finally:
        shutil.rmtree(folder)
    aims.end(options.check)


if __name__ == "__main__":
    main()
