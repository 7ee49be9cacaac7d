"""What the clocks of the rail and claim-next cost. Needs the release preset and an otherwise quiet machine.

    HR_PRESET=release build/venv/bin/python tests/bench/lifecycle.py [next] [timers] [batch] [--check]

Prints one JSON object a line:
  next    claim-next from 256 waiting agents, each under an id of its own, while packets are made: a second, and as a
          ratio to bare appends of records of that size to the same nats-server
  timers  100,000 armed checkpoints: memory and CPU of the worker at rest, its rebuild after a kill, and how late 2,000
          deadlines spread over ten seconds are met; memory and CPU also as a ratio to the worker without any
  batch   50 creates in one request, as a ratio to 50 requests: one after the other, and all at once;
          in time and in the CPU time of gateway and packet workers
--check: exit 1 unless 5,000 are claimed a second; the timers cost under 100 MB and 1 % of a processor, 99 of 100 are met
within 100 ms, and they are there 5 s after a kill; a batch takes less than half the time of its parts.
"""

import argparse
import asyncio
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import time
import urllib.parse

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from aims import Aims  # noqa: E402
from packets import PACKETS, body  # noqa: E402
from rail import BIN, Rail, wait_until  # noqa: E402
from web import Web  # noqa: E402

HITL = "hr-worker-hitl-1"
ARMED = 100_000
DUE = 2_000
REST_SECONDS = 5
RECORD_BYTES = 600  # a small packet that is claimed
TICK = os.sysconf("SC_CLK_TCK")


def packets(rail, mode, content, *numbers):
    """Runs bench_packets; returns its figures."""
    url = urllib.parse.urlsplit(rail.agent_nats_url)
    server = f"nats://{url.hostname}:{url.port}"
    command = [BIN / "bench_packets", mode, server, url.username, url.password, "default", "agent",
               *map(str, numbers)]
    result = subprocess.run(command, input=json.dumps(content).encode(), capture_output=True,
                            timeout=300)
    if result.returncode != 0:
        raise SystemExit(f"bench_packets {mode}: {result.stderr.decode()}")
    lines = result.stdout.decode().splitlines()
    return json.loads(lines[-1]) if lines else {}


def stat(pid):
    """(resident MB, CPU seconds so far)"""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    resident = int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1024
    return resident, (int(fields[11]) + int(fields[12])) / TICK


def health_socket(rail, name):
    sockets = rail.folder / "run" / "sockets"  # a link when the folder's path is too long for sockets
    return str((sockets if sockets.exists() else rail.folder / "run") / f"{name}.sock")


def metric(rail, name, pattern):
    """The sum of a worker's samples that begin like this."""
    transport = httpx.HTTPTransport(uds=health_socket(rail, name))
    with httpx.Client(transport=transport, timeout=5) as client:
        text = client.get("http://worker/metrics").text
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines()
               if line.startswith(pattern))


def appends(rail):
    """Bare appends a second, 256 in flight."""
    url = urllib.parse.urlsplit(rail.admin_nats_url)
    command = [BIN / "bench_nats", "append", f"nats://{url.hostname}:{url.port}", url.username,
               url.password, str(RECORD_BYTES), "20000", "256"]
    result = subprocess.run(command, capture_output=True, timeout=120, check=True)
    return json.loads(result.stdout)["per_second"]


def bench_next(aims):
    with Rail() as rail:
        raw = appends(rail)
        packets(rail, "next", body(), 2000, 256, 64)  # warm
        found = packets(rail, "next", body(), 30000, 256, 64)
    print(json.dumps({"name": "next", "agents": 256, **found, "appends_per_second": raw,
                      "to_appends": round(found["per_second"] / raw, 3)}), flush=True)
    aims.at_least("claim_next_per_second", found["per_second"], 5000)


def lateness(rail, worker):
    """{upper bound: how many were at most so late}"""
    bounds = [.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 30]
    return {bound: metric(rail, worker, f'handoffrail_timer_late_seconds_bucket{{le="{bound:g}"')
            for bound in bounds}


def cpu_at_rest(pid):
    """Share of a processor, over some seconds."""
    before = stat(pid)[1]
    time.sleep(REST_SECONDS)
    return (stat(pid)[1] - before) / REST_SECONDS


def rebuild(rail):
    """Seconds from a kill until all are armed again."""
    pid = rail.pids[HITL]
    os.kill(pid, signal.SIGKILL)
    started = time.monotonic()
    rail.await_restart(HITL, pid)
    wait_until(lambda: metric(rail, HITL, "handoffrail_timers_armed") >= ARMED, 60, "rebuilt")
    return time.monotonic() - started


def late_at_p99(rail):
    """The upper bound of a histogram's bucket, in seconds."""
    for _ in range(10):
        near = {"reason": "r", "timeout_seconds": 3, "on_timeout": "fail"}
        packets(rail, "create", body(hitl=near), DUE // 10, 4)
        time.sleep(1)
    wait_until(lambda: metric(rail, HITL, "handoffrail_timers_fired_total") >= DUE, 30, "fired")
    return next(bound for bound, count in lateness(rail, HITL).items() if count >= DUE * 0.99)


def bench_timers(aims):
    far = {"reason": "r", "timeout_seconds": 36000, "escalation": [{"after_seconds": 9000, "to": "x"}]}
    with Rail() as rail:
        bare_mb, bare_cpu = stat(rail.pids[HITL])[0], cpu_at_rest(rail.pids[HITL])
        packets(rail, "create", body(hitl=far), ARMED, 256)
        wait_until(lambda: metric(rail, HITL, "handoffrail_timers_armed") >= ARMED, 60, "armed")
        time.sleep(2)
        armed_mb, armed_cpu = stat(rail.pids[HITL])[0], cpu_at_rest(rail.pids[HITL])
        rebuilt_s = rebuild(rail)
        rebuilt_mb = stat(rail.pids[HITL])[0]
        late_s = late_at_p99(rail)
    print(json.dumps({
        "name": "timers", "armed": ARMED, "rss_mb": round(armed_mb, 1),
        "rss_mb_after_rebuild": round(rebuilt_mb, 1), "rss_to_without": round(armed_mb / bare_mb, 1),
        "cpu_percent": round(armed_cpu * 100, 2), "cpu_percent_without": round(bare_cpu * 100, 2),
        "rebuild_s": round(rebuilt_s, 2), "p99_late_at_most_s": late_s,
    }), flush=True)
    aims.under("timers_mb", max(armed_mb, rebuilt_mb), 100)
    aims.under("timers_cpu_percent", armed_cpu * 100, 1)
    aims.under("rebuild_s", rebuilt_s, 5)
    aims.at_least("met_within_100_ms", 0.1 / late_s, 1)


def costs(rail, make, rounds):
    """(median ms of one call of make, CPU ms of it in the programs of the rail)"""
    pids = [pid for name, pid in rail.pids.items() if name.startswith(("hr-gateway", "hr-worker-packet"))]
    before = sum(stat(pid)[1] for pid in pids)
    taken = []
    for _ in range(rounds):
        started = time.monotonic()
        make()
        taken.append(time.monotonic() - started)
    used = sum(stat(pid)[1] for pid in pids) - before
    return sorted(taken)[rounds // 2] * 1000, used * 1000 / rounds


def bench_batch(aims):
    size, rounds = 50, 100
    one = json.dumps(body()).encode()
    many = json.dumps({"packets": [body()] * size}).encode()
    with Rail() as rail, httpx.Client(base_url=rail.url, headers=rail.headers) as client:

        def in_a_row():
            for _ in range(size):
                client.post(PACKETS, content=one).raise_for_status()

        def in_a_batch():
            assert len(client.post(PACKETS + "/batch", content=many).json()["created"]) == size

        async def all_at_once():
            async with Web(rail.url, rail.headers) as web:
                await asyncio.gather(*(web.post(PACKETS, one) for _ in range(size)))
                taken = []
                pids = [p for n, p in rail.pids.items() if n.startswith(("hr-gateway", "hr-worker-packet"))]
                before = sum(stat(pid)[1] for pid in pids)
                for _ in range(rounds):
                    started = time.monotonic()
                    await asyncio.gather(*(web.post(PACKETS, one) for _ in range(size)))
                    taken.append(time.monotonic() - started)
                used = sum(stat(pid)[1] for pid in pids) - before
                return sorted(taken)[rounds // 2] * 1000, used * 1000 / rounds

        in_a_batch()
        batch = costs(rail, in_a_batch, rounds)
        row = costs(rail, in_a_row, rounds // 5)
        once = asyncio.run(all_at_once())
        print(json.dumps({
            "name": "batch", "size": size,
            "batch_ms": round(batch[0], 2), "in_a_row_ms": round(row[0], 2), "at_once_ms": round(once[0], 2),
            "batch_cpu_ms": round(batch[1], 2), "at_once_cpu_ms": round(once[1], 2),
            "time_to_in_a_row": round(batch[0] / row[0], 3), "time_to_at_once": round(batch[0] / once[0], 3),
            "cpu_to_at_once": round(batch[1] / once[1], 3),
        }), flush=True)
        aims.under("batch_to_in_a_row", batch[0] / row[0], 0.5)


BENCHES = {"next": bench_next, "timers": bench_timers, "batch": bench_batch}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=" ".join(BENCHES))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    aims = Aims()
    for name in options.names or BENCHES:
        BENCHES[name](aims)
    aims.end(options.check)


if __name__ == "__main__":
    main()
