#!/usr/bin/env python3
"""Live streams on the release build: what an idle listener costs, and how soon an event is there.

    build/venv/bin/python tests/bench/live.py [--seconds N] [--check]

Prints one JSON object a line. Needs `cmake --preset release` built. An idle listener has been
pinged, so its buffers are those of a used one. The figures of live_ratio are ratios to the REST
requests of the same run and to the gateway without listeners. --check: exit 1 unless 2,000 idle
listeners cost under 64 MB, 500 events/s were really made and heard by all of 100 listeners, and
99 of 100 were there within 10 ms.
"""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import time

os.environ.setdefault("HR_PRESET", "release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from aims import Aims  # noqa: E402
from rail import BIN, Rail  # noqa: E402

IDLE = 2000
IDLE_SECONDS = 12
PING_SECONDS = 5
LISTENERS = 100
RATE = 500
REACHED = 0.99  # of the rate: a request may still be under way at the end


def resident_mb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise KeyError("VmRSS")


def start(rail, *numbers):
    host, port = rail.url.removeprefix("http://").split(":")
    return subprocess.Popen(
        [BIN / "bench_live", host, port, rail.key, *map(str, numbers)],
        stdout=subprocess.PIPE,
        text=True,
    )


def measure_idle(rail):
    """(MB of the gateway before, and with the listeners)"""
    gateway = rail.pids["hr-gateway-1"]
    before = resident_mb(gateway)
    idle = start(rail, IDLE, 0, IDLE_SECONDS)
    ready = json.loads(idle.stdout.readline())
    assert ready["listeners"] == IDLE
    time.sleep(PING_SECONDS * 2)
    after = resident_mb(gateway)
    idle.communicate()
    assert idle.returncode == 0, "a listener was lost"
    print(
        json.dumps(
            {
                "bench": "idle_listeners",
                "listeners": IDLE,
                "gateway_mb_before": round(before, 1),
                "gateway_mb_after": round(after, 1),
                "cost_mb": round(after - before, 1),
                "kb_each": round((after - before) * 1024 / IDLE, 1),
            }
        ),
        flush=True,
    )
    return before, after


def measure_live(rail, seconds):
    load = start(rail, LISTENERS, RATE, seconds)
    lines = load.communicate()[0].splitlines()
    print(lines[-1], flush=True)
    return json.loads(lines[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with Rail(env={"HR_LIVE_PING_SECONDS": str(PING_SECONDS)}) as rail:
        before, after = measure_idle(rail)
        live = measure_live(rail, options.seconds)
    print(
        json.dumps(
            {
                "bench": "live_ratio",
                "delivery_p99_to_request_p99": round(
                    live["delivery_p99_ms"] / live["request_p99_ms"], 2
                ),
                "idle_to_without": round(after / before, 2),
            }
        )
    )
    aims = Aims()
    aims.under("idle_mb", after - before, 64)
    aims.at_least("changes_per_second", live["changes"] / options.seconds, RATE * REACHED)
    aims.at_least("heard_share", live["heard"] / live["expected"], 1)
    aims.under("delivery_p99_ms", live["delivery_p99_ms"], 10)
    aims.end(options.check)


if __name__ == "__main__":
    main()
