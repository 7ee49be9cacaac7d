#!/usr/bin/env python3
"""Live streams on the release build: what an idle listener costs, and how soon an event is there.

    build/venv/bin/python tests/bench/live.py

Prints one JSON object a line. Needs `cmake --preset release` built. Figures of the last line are
ratios to the REST requests of the same run.
"""

import json
import os
import pathlib
import subprocess
import sys
import time

os.environ.setdefault("HR_PRESET", "release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from rail import BIN, Rail  # noqa: E402

IDLE = 2000
LISTENERS = 100
RATE = 500
SECONDS = 10


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


def main():
    with Rail() as rail:
        gateway = rail.pids["hr-gateway-1"]
        before = resident_mb(gateway)
        idle = start(rail, IDLE, 0, 5)
        ready = json.loads(idle.stdout.readline())
        time.sleep(3)
        after = resident_mb(gateway)
        print(
            json.dumps(
                {
                    "bench": "idle_listeners",
                    "listeners": ready["listeners"],
                    "gateway_mb_before": round(before, 1),
                    "gateway_mb_after": round(after, 1),
                    "cost_mb": round(after - before, 1),
                    "kb_each": round((after - before) * 1024 / IDLE, 1),
                }
            )
        )
        idle.communicate()
        load = start(rail, LISTENERS, RATE, SECONDS)
        lines = load.communicate()[0].splitlines()
        print(lines[-1])
        result = json.loads(lines[-1])
        print(
            json.dumps(
                {
                    "bench": "live_ratio",
                    "delivery_p99_to_request_p99": round(
                        result["delivery_p99_ms"] / result["request_p99_ms"], 2
                    ),
                    "idle_mb_to_aim": round((after - before) / 64, 2),
                }
            )
        )
        sys.exit(load.returncode)


if __name__ == "__main__":
    main()
