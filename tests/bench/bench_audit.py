"""A million rows of audit log: written, exported as NDJSON and CSV, and verified, each way.

    build/venv/bin/python tests/bench/bench_audit.py [ROWS, 1000000]

Needs the release preset (tests/bench/run.sh builds it). Takes two to three minutes. The rows go
through the projection itself, so they are sealed as the audit worker seals them.
"""

import http.client
import json
import os
import pathlib
import subprocess
import sys
import time
import urllib.parse

os.environ.setdefault("HR_PRESET", "release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from pg import Postgres  # noqa: E402
from rail import BIN, Rail, enterable_folder  # noqa: E402

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


def verify(what, *args):
    started = time.monotonic()
    done = subprocess.run([BIN / "handoffrail", "audit", "verify", "--json", *args],
                          capture_output=True, text=True)
    seconds = time.monotonic() - started
    answer = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    print(f"verify {what:8} {answer['rows']} rows in {seconds:.1f} s,"
          f" {answer['rows'] / seconds:,.0f} rows/s", flush=True)
    return answer["rows"]


def main():
    rows = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    folder = enterable_folder()
    keys = folder / "keys"
    keys.write_text(KEY)
    with Postgres() as server:
        with server.connect() as connection:
            connection.execute("ALTER SYSTEM SET fsync = off")
            connection.execute("SELECT pg_reload_conf()")
        started = time.monotonic()
        subprocess.run([BIN / "bench_projection", str(rows // BATCH), str(BATCH),
                        str(SUMMARY_BYTES), "default"], check=True,
                       env={**os.environ, "HR_POSTGRES_URL": server.url},
                       stderr=subprocess.DEVNULL)
        print(f"written in {time.monotonic() - started:.0f} s", flush=True)
        verify("database", "--database", server.url, "--key-file", str(keys))
        with Rail(None, "--postgres-url", server.url, env={"HR_AUDIT_KEY_FILE": str(keys)}) as rail:
            for kind in ("ndjson", "csv"):
                path = folder / f"export.{kind}"
                before = {name: memory_kb(rail.pids[name], "VmRSS") for name in PROGRAMS}
                seconds = export(rail, kind, path)
                print(f"export {kind:8} {path.stat().st_size / 1e6:,.0f} MB in {seconds:.1f} s,"
                      f" {rows / seconds:,.0f} rows/s", flush=True)
                for name in PROGRAMS:
                    pid = rail.pids[name]
                    print(f"  {name}: {before[name]} KB before, {memory_kb(pid, 'VmRSS')} KB after,"
                          f" {memory_kb(pid, 'VmHWM')} KB at most", flush=True)
                assert verify(kind, "--export", str(path), "--key-file", str(keys)) >= rows
                path.unlink()
    subprocess.run(["rm", "-rf", str(folder)], check=True)


if __name__ == "__main__":
    main()
