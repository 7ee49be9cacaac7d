"""10,000 transitions, a receiver that fails 30 % at random and hangs 5 %, workers killed 20 times.

What has to hold of every hook that is subscribed: every transition arrives, under one id, in the
order of its packet; and hardly anything arrives twice.
"""

import asyncio
import collections
import json
import os
import random
import signal
import time

import httpx
from agent import Agent, gather
from packets import body, claim
from receiver import Answer, Receiver

PACKETS_MADE = 2500  # four transitions each
IN_FLIGHT = 48
KILLS = 20
FAILS = 0.30
HANGS = 0.05
DUPLICATES = 0.02
HOOKS = 2
COPIES = 5  # one that dies five times in a row is not started again
EVENTS = ["packet.created", "packet.claimed", "packet.in_progress", "packet.completed"]
ENV = {
    "HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    "HR_WEBHOOK_TIMEOUT_MS": "150",
    "HR_WEBHOOK_CONCURRENCY": "16",
    # Short and many: nothing may be given up here, and waiting is not what is tested.
    "HR_WEBHOOK_RETRY_SECONDS": ",".join(["0.05", "0.1", "0.2"] + ["0.3"] * 13),
}


async def live(agent, room):
    """One packet through its life."""

    async def send(verb, request):
        answer = await agent.json("packet." + verb, request)
        assert answer.status == 200, answer
        return answer.json()

    async with room:
        packet_id = (await send("create", body()))["id"]
        await send("claim", {"packet_id": packet_id, **claim()})
        await send("update", {"packet_id": packet_id, "status": "in_progress"})
        await send("update", {"packet_id": packet_id, "status": "completed"})
        return packet_id


async def kill(rail, seed, done):
    """Kills one of the workers again and again while deliveries are under way."""
    victims = [f"hr-worker-webhook-{i % COPIES + 1}" for i in range(KILLS)]
    random.Random(seed).shuffle(victims)
    for killed, name in enumerate(victims):
        assert not done(), f"all was over after {killed} kills"
        while not (pid := rail.pids.get(name)):
            await asyncio.sleep(0.02)
        os.kill(pid, signal.SIGKILL)
        await asyncio.sleep(0.7)


def account(requests):
    """What was received, that is, answered with success: packet -> event -> its places among the requests; and the ids
    under which it was sent at all, with whatever outcome."""
    found = collections.defaultdict(lambda: collections.defaultdict(list))
    ids = collections.defaultdict(set)
    for at, request in enumerate(requests):
        told = json.loads(request.body)
        ids[told["packet_id"], told["event"]].add(request.id)
        if request.answer == 200:
            found[told["packet_id"]][told["event"]].append(at)
    return found, ids


def test_what_is_subscribed_arrives(make_rail):
    seed = random.randrange(1 << 30)
    print("seed", seed)
    chance = random.Random(seed)

    def behave(request):
        roll = chance.random()
        if roll < FAILS:
            return Answer(500)
        return Answer(hang=True) if roll < FAILS + HANGS else Answer(200)

    with Receiver(behave) as receiver:
        rail = make_rail(None, "--scale", f"webhook={COPIES}", env=ENV).start()
        with httpx.Client(base_url=rail.url, headers=rail.headers) as client:
            for i in range(HOOKS):
                answer = client.post("/api/v1/hooks", json={
                    "url": f"{receiver.url}{i}", "events": EVENTS, "secret": "a secret of ours"})
                assert answer.status_code == 201, answer.text
        asyncio.run(run(rail, receiver, seed))


async def run(rail, receiver, seed):
    wanted = PACKETS_MADE * len(EVENTS)
    started = time.monotonic()

    def have(path):
        return {request.id for request in receiver.of(path) if request.answer == 200}

    def done():
        return all(len(have(f"/{i}")) >= wanted for i in range(HOOKS))

    async with Agent(rail, seconds=10) as agent:
        room = asyncio.Semaphore(IN_FLIGHT)
        killing = asyncio.create_task(kill(rail, seed, done))
        packets = await gather(*(live(agent, room) for _ in range(PACKETS_MADE)))
        made = time.monotonic() - started
        await killing
        deadline = time.monotonic() + 80
        while not done():
            got = [len(have(f"/{i}")) for i in range(HOOKS)]
            assert time.monotonic() < deadline, f"of {wanted} arrived {got}"
            await asyncio.sleep(0.25)
    took = time.monotonic() - started
    await asyncio.sleep(1)  # for what comes twice
    check(receiver, packets, f"made in {made:.1f} s, arrived in {took:.1f} s")


def check(receiver, packets, times):
    for i in range(HOOKS):
        requests = receiver.of(f"/{i}")
        found, ids = account(requests)
        assert set(found) == set(packets)
        twice = 0
        for packet_id, events in found.items():
            assert set(events) == set(EVENTS), packet_id
            for event in EVENTS:
                assert len(ids[packet_id, event]) == 1, (packet_id, event)
                twice += len(events[event]) - 1
            # The first time each was received: in the order of the packet.
            firsts = [events[event][0] for event in EVENTS]
            assert firsts == sorted(firsts), packet_id
        share = twice / (len(packets) * len(EVENTS))
        print(f"hook {i}: {len(requests)} requests, {twice} twice ({share:.2%}), {times}")
        assert share < DUPLICATES
