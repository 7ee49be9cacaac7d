#!/usr/bin/env python3
"""10,000 webhooks in one worker: what they cost at rest, and when every one of them fails.

    HR_PRESET=release build/venv/bin/python tests/bench/webhooks_many.py

All endpoints refuse connections, so every delivery waits for its retry. Prints one JSON object a
line; the last one as ratios to the worker without any webhook.
"""

import asyncio
import json
import os
import pathlib
import sys
import time

os.environ.setdefault("HR_PRESET", "release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from live import resident_mb  # noqa: E402
from packets import PACKETS, body  # noqa: E402
from rail import Rail  # noqa: E402
from web import Web  # noqa: E402

HOOKS = 10_000
EVENTS = 20
SECONDS = 20
SETTINGS = {
    "HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    "HR_WEBHOOKS_PER_TENANT": str(HOOKS),
    "HR_WEBHOOK_RETRY_SECONDS": "600",
}


async def run(rail):
    worker = rail.pids["hr-worker-webhook-1"]
    room = asyncio.Semaphore(32)
    figures = {"none": resident_mb(worker)}

    async with Web(rail.url, rail.headers, seconds=60) as web:

        async def make(number):
            async with room:
                wish = {
                    "url": f"http://127.0.0.1:1/{number}",  # nobody listens there
                    "events": ["packet.created"],
                    "secret": "a secret of some length",
                }
                answer = await web.post("/api/v1/hooks", wish)
                assert answer.status == 201, answer

        started = time.monotonic()
        await asyncio.gather(*(make(number) for number in range(HOOKS)))
        print(json.dumps({"bench": "hooks_made", "count": HOOKS,
                          "seconds": round(time.monotonic() - started, 1)}), flush=True)
        await asyncio.sleep(2)
        figures["at_rest"] = resident_mb(worker)
        for _ in range(EVENTS):
            answer = await web.post(PACKETS, body())
            assert answer.status == 201, answer
        most = 0
        for _ in range(SECONDS * 5):
            await asyncio.sleep(0.2)
            most = max(most, resident_mb(worker))
        figures["all_failing"] = most
    assert rail.pids["hr-worker-webhook-1"] == worker, "it lives"
    return figures


def main():
    with Rail(env=SETTINGS) as rail:
        figures = asyncio.run(run(rail))
    print(json.dumps({"bench": "hooks_memory_mb", "deliveries": HOOKS * EVENTS,
                      **{name: round(value, 1) for name, value in figures.items()}}))
    print(json.dumps({"bench": "hooks_ratio",
                      "at_rest": round(figures["at_rest"] / figures["none"], 1),
                      "all_failing": round(figures["all_failing"] / figures["none"], 1)}))


if __name__ == "__main__":
    main()
