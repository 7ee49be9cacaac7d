#!/usr/bin/env python3
"""10,000 webhooks in one worker: what they cost at rest, when every one of them fails, and a healthy one beside them.

    HR_PRESET=release build/venv/bin/python tests/bench/webhooks_many.py [--check]

All endpoints but one refuse connections, so every delivery waits for its retry. There is a packet a second, and each is
for all of them: twenty make 200,000 unfinished deliveries, which is what the tenant may have of the worker, and ten more
come when that is full. Prints one JSON object a line, and ratios to the worker without any webhook. --check: exit 1
unless it takes all 200,000, in less than 1 GB (5 KB each), and the healthy one is told of each change within a second.
"""

import argparse
import asyncio
import json
import os
import pathlib
import statistics
import sys
import time
from datetime import datetime

os.environ.setdefault("HR_PRESET", "release")
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from aims import Aims  # noqa: E402
from lifecycle import metric  # noqa: E402
from live import resident_mb  # noqa: E402
from packets import PACKETS, body  # noqa: E402
from rail import Rail  # noqa: E402
from receiver import Receiver  # noqa: E402
from web import Web  # noqa: E402

HOOKS = 10_000
EVENTS = 20
PROBES = 10
ALL = HOOKS * EVENTS * 0.99  # room may be left for what is read in one go
SECONDS = 60  # until all of them have failed once
WORKER = "hr-worker-webhook-1"
SETTINGS = {
    "HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    "HR_WEBHOOKS_PER_TENANT": str(HOOKS + 1),
    "HR_WEBHOOK_RETRY_SECONDS": "600",
    "HR_WEBHOOK_UNFINISHED": str(2 * HOOKS * EVENTS),  # one tenant has at most half of them
}


class Worker:
    def __init__(self, rail):
        self.rail = rail
        self.pid = rail.pids[WORKER]
        self.most = 0

    def mb(self):
        return resident_mb(self.pid)

    async def await_unfinished(self, count):
        """Returns how many there are in the end."""
        deadline = time.monotonic() + SECONDS
        found = 0
        while found < count and time.monotonic() < deadline:
            await asyncio.sleep(0.2)
            self.most = max(self.most, self.mb())
            found = metric(self.rail, WORKER, "handoffrail_webhook_unfinished")
        return found


async def make_hooks(web, healthy):
    room = asyncio.Semaphore(32)

    async def make(url):
        async with room:
            answer = await web.post("/api/v1/hooks", {
                "url": url, "events": ["packet.created"], "secret": "a secret of some length"})
            assert answer.status == 201, answer

    started = time.monotonic()
    # Nobody listens there.
    await asyncio.gather(*(make(f"http://127.0.0.1:1/{number}") for number in range(HOOKS)))
    await make(healthy)
    print(json.dumps({"bench": "hooks_made", "count": HOOKS,
                      "seconds": round(time.monotonic() - started, 1)}), flush=True)


async def make_packets(web, count):
    made = []
    for _ in range(count):
        answer = await web.post(PACKETS, body())
        assert answer.status == 201, answer
        made.append(answer.json()["id"])
        await asyncio.sleep(1)
    return made


async def lateness(receiver, packets):
    """(median, worst) in seconds; what is not told within a good time counts as that long."""
    deadline = time.monotonic() + SECONDS
    while len(receiver.requests) < len(packets) and time.monotonic() < deadline:
        await asyncio.sleep(0.05)
    told = {}
    for request in list(receiver.requests):
        content = json.loads(request.body)
        at = datetime.fromisoformat(content["timestamp"])
        told.setdefault(content["packet_id"], request.at - at.timestamp())
    taken = [told.get(packet, SECONDS) for packet in packets]
    return statistics.median(taken), max(taken)


async def run(rail, receiver):
    worker = Worker(rail)
    found = {"none_mb": worker.mb()}
    async with Web(rail.url, rail.headers, seconds=60) as web:
        await make_hooks(web, receiver.url)
        await asyncio.sleep(2)
        found["at_rest_mb"] = worker.mb()
        packets = await make_packets(web, EVENTS)
        found["unfinished"] = await worker.await_unfinished(ALL)
        found["healthy_s"], found["healthy_worst_s"] = await lateness(receiver, packets)
        receiver.requests.clear()
        packets = await make_packets(web, PROBES)
        found["healthy_when_full_s"], found["healthy_when_full_worst_s"] = await lateness(receiver, packets)
        await worker.await_unfinished(ALL)
        found["all_failing_mb"] = worker.most
    assert rail.pids[WORKER] == worker.pid, "it lives"
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    with Receiver() as receiver, Rail(env=SETTINGS) as rail:
        found = asyncio.run(run(rail, receiver))
    print(json.dumps({"bench": "hooks_many",
                      **{name: round(value, 2) for name, value in found.items()}}))
    print(json.dumps({"bench": "hooks_ratio",
                      "at_rest": round(found["at_rest_mb"] / found["none_mb"], 1),
                      "all_failing": round(found["all_failing_mb"] / found["none_mb"], 1)}))
    aims = Aims()
    aims.at_least("unfinished", found["unfinished"], ALL)
    aims.under("all_failing_mb", found["all_failing_mb"], 1000)
    aims.under("healthy_worst_s", found["healthy_worst_s"], 1)
    aims.under("healthy_when_full_worst_s", found["healthy_when_full_worst_s"], 1)
    aims.end(options.check)


if __name__ == "__main__":
    main()
