"""Deadlines of checkpoints: each step once and in order, whatever is killed, whoever else answers."""

import asyncio
import os
import random
import signal
import time

import pytest
from agent import Admin, Agent, gather
from packets import PACKETS, body
from web import Web

CHECKPOINTS = 1000
IN_FLIGHT = 64
LADDER = [2, 4, 6]


async def create_all(agent, hitl, count=CHECKPOINTS):
    """The ids of packets that wait at such a checkpoint."""
    room = asyncio.Semaphore(IN_FLIGHT)

    async def create():
        async with room:
            answer = await agent.json("packet.create", body(hitl={"reason": "r", **hitl}))
            assert answer.status == 200, answer
            return answer.json()["id"]

    return await gather(*(create() for _ in range(count)))


def seconds(stamp):
    return stamp.seconds + stamp.nanos / 1e9


def by_packet(records):
    found = {}
    for _, _, record in records:
        found.setdefault(record.packet.id, []).append(record)
    return found


async def keep_down(rail, names, until):
    """Kills every such process, also as often as it is started again, until a moment."""
    while time.time() < until:
        for name in names:
            pid = rail.pids.get(name)
            if pid:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
        await asyncio.sleep(0.02)


async def all_up(rail, names):
    async with asyncio.timeout(30):
        while not all(rail.pids.get(name) for name in names):
            await asyncio.sleep(0.02)


async def all_done(admin, ids, count):
    """Waits until every packet has so many records."""
    async with asyncio.timeout(60):
        while True:
            found = by_packet(await admin.records())
            if all(len(found[packet_id]) >= count for packet_id in ids):
                return
            await asyncio.sleep(0.25)


def percentile(values, part):
    return sorted(values)[min(len(values) - 1, int(len(values) * part))]


@pytest.mark.timeout(180)
@pytest.mark.measures
def test_every_step_once_and_in_order_though_all_workers_are_killed(make_rail):
    names = ["hr-worker-hitl-1", "hr-worker-hitl-2"]
    rail = make_rail(None, "--scale", "hitl=2").start()
    steps = [{"after_seconds": after, "to": f"to-{after}"} for after in LADDER]

    async def run():
        async with Agent(rail, seconds=30) as agent, Admin(rail, seconds=30) as admin:
            started = time.time()
            ids = await create_all(agent, {"escalation": steps})
            await asyncio.sleep(max(0, started + 3 - time.time()))
            await keep_down(rail, names, started + 5)
            await all_up(rail, names)
            recovered = time.time()
            await all_done(admin, ids, 1 + len(LADDER))
            await asyncio.sleep(1)  # a step too many would come now
            return ids, recovered, by_packet(await admin.records())

    ids, recovered, found = asyncio.run(run())
    late = []
    for packet_id in ids:
        first, *rest = found[packet_id]
        asked = seconds(first.packet.hitl.requested_at)
        assert [r.event.type for r in rest] == ["hitl_escalated"] * 3
        assert [r.packet.hitl.steps_fired for r in rest] == [1, 2, 3]
        assert list(rest[2].packet.hitl.escalated_to) == ["to-2", "to-4", "to-6"]
        for after, record in zip(LADDER, rest, strict=True):
            at = seconds(record.event.at)
            assert at >= asked + after
            if at > recovered:  # not the steps before the kill
                late.append(at - max(asked + after, recovered))
    print(f"late after recovery p50 {percentile(late, .5):.3f} s, p99 {percentile(late, .99):.3f} s")
    assert len(late) >= CHECKPOINTS and percentile(late, 0.99) < 1


@pytest.mark.timeout(180)
def test_an_answer_that_races_a_time_out_has_one_outcome(make_rail):
    rail = make_rail(None, "--scale", "hitl=2").start()

    async def run():
        async with (
            Agent(rail, seconds=30) as agent,
            Admin(rail, seconds=30) as admin,
            Web(rail.url, rail.headers, seconds=30) as web,
        ):
            room = asyncio.Semaphore(200)
            told = {}

            async def race(i):
                async with room:
                    hitl = {"timeout_seconds": 1, "on_timeout": "fail"}
                    [packet_id] = await create_all(agent, hitl, 1)
                    await asyncio.sleep(1 + random.uniform(-0.03, 0.03))
                    content = {"response": "yes", "responded_by": "ann"}
                    if i % 2:
                        content["packet_id"] = packet_id
                        answer = await agent.json("packet.respond", content)
                    else:
                        answer = await web.post(f"{PACKETS}/{packet_id}/respond", content)
                    told[packet_id] = answer.status

            await gather(*(race(i) for i in range(CHECKPOINTS)))
            await asyncio.sleep(2)
            return told, by_packet(await admin.records())

    told, found = asyncio.run(run())
    answered = 0
    for packet_id, status in told.items():
        types = [record.event.type for record in found[packet_id]]
        last = found[packet_id][-1].packet
        if status == 200:
            answered += 1
            assert types == ["created", "hitl_responded"]
            assert last.hitl.response == "yes" and not last.hitl.timed_out
        else:
            assert status == 409
            assert types == ["created", "hitl_timed_out"]
            assert last.hitl.timed_out and not last.hitl.votes and not last.hitl.response
    print(f"{answered} answered in time, {len(told) - answered} too late")
    assert 5 < answered < CHECKPOINTS - 5, "a race that only one side can win shows nothing"
