"""How soon a change is told of: from its append to the first attempt, at a steady rate.

    HR_PRESET=release build/venv/bin/python tests/bench/webhooks.py [--seconds N] [--rate N] [--check]

Twenty hooks each hear of the packets of one agent; packets are made over NATS by a process of their own. Three rounds:
twenty hooks; the same with another one that hears of everything and hangs for the whole time-out of 10 s each time; and
the first again, so that a machine that changed its pace shows. What a NATS subscriber sees of the same changes is
measured beside it, in the receiver's process, as the measure of the machine.

Prints one JSON object a line: p50, p99 and worst in ms. --check: exit 1 unless p99 is under 20 ms and the hanging one
raises it by no more than half.
"""

import argparse
import asyncio
import json
import multiprocessing
import pathlib
import statistics
import sys
import time
from datetime import datetime

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import httpx  # noqa: E402
from agent import Agent, record_pb2  # noqa: E402
from packets import body  # noqa: E402
from rail import Rail  # noqa: E402
from receiver import Answer, Receiver  # noqa: E402

HOOKS = 20
MARGIN_MS = 1  # of a p99 that is compared: what a scheduler does in one run and not in the next


class At:
    """What an Agent needs of a rail, for another process."""

    def __init__(self, rail):
        self.nats_url = rail.nats_url
        self.agent_nats_url = rail.agent_nats_url


def make_packets(at, rate, seconds):
    async def run():
        async with Agent(at, seconds=10) as agent:
            started = time.monotonic()
            tasks = []
            for i in range(int(rate * seconds)):
                wait = started + i / rate - time.monotonic()
                if wait > 0:
                    await asyncio.sleep(wait)
                metadata = {**body()["metadata"],
                            "target_agent": {"id": f"agent-{i % HOOKS}", "name": "A"}}
                tasks.append(asyncio.create_task(
                    agent.json("packet.create", body(metadata=metadata))))
            for answer in await asyncio.gather(*tasks):
                assert answer.status == 200, answer

    asyncio.run(run())


async def round_of(rail, receiver, name, rate, seconds):
    receiver.requests.clear()
    heard = []
    async with Agent(rail) as agent:

        async def on_event(message):
            at = record_pb2.PacketRecord.FromString(message.data).event.at
            heard.append(time.time() - at.seconds - at.nanos / 1e9)

        await agent.nats.subscribe("hr.v1.event.default.*", cb=on_event)
        load = multiprocessing.Process(target=make_packets, args=(At(rail), rate, seconds))
        load.start()
        while load.is_alive():
            await asyncio.sleep(0.2)
        await asyncio.sleep(1)
    assert load.exitcode == 0
    told = []
    for request in list(receiver.requests):
        if request.path != "/hang":
            at = datetime.fromisoformat(json.loads(request.body)["timestamp"])
            told.append(request.at - at.timestamp())
    assert len(told) == int(rate * seconds), (len(told), rate * seconds)
    print(json.dumps({"round": name, "told": figures(told), "subscriber": figures(heard),
                      "ratio": round(p99(told) / p99(heard), 2)}), flush=True)
    return p99(told) * 1000


def p99(values):
    return statistics.quantiles(values, n=100)[98]


def figures(values):
    return {"count": len(values), "p50": round(statistics.median(values) * 1000, 2),
            "p99": round(p99(values) * 1000, 2), "worst": round(max(values) * 1000, 2)}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()

    def behave(request):
        return Answer(hang=True) if request.path == "/hang" else 200

    with Receiver(behave) as receiver, Rail(
            env={"HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1"}) as rail, httpx.Client(
                base_url=rail.url, headers=rail.headers) as client:

        def hook(path, **parts):
            answer = client.post("/api/v1/hooks", json={
                "url": receiver.url + path, "events": ["packet.created"],
                "secret": "a secret of ours", **parts})
            assert answer.status_code == 201, answer.text
            return answer.json()["id"]

        for i in range(HOOKS):
            hook(str(i), agents=[f"agent-{i}"])

        def play(name, rate=options.rate, seconds=options.seconds):
            return asyncio.run(round_of(rail, receiver, name, rate, seconds))

        play("warm", 50, 2)
        alone = play("alone")
        hanging = hook("hang")
        beside = play("beside a hanging one")
        client.delete(f"/api/v1/hooks/{hanging}")
        again = play("alone again")
    raised = beside / max(alone, again)
    print(json.dumps({"p99_raised_by_hanging": round(raised, 2)}))
    if options.check and (min(alone, again) > 20 or
                          beside > max(alone, again) * 1.5 + MARGIN_MS):
        sys.exit(1)


if __name__ == "__main__":
    main()
