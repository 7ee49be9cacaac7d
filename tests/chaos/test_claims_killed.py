"""The claim and packet workers are killed while agents take, keep, decline and finish packets.

Every agent repeats what was not answered, under the same Idempotency-Key, and once more what was.
"""

import asyncio
import collections
import itertools
import os
import random
import signal
import time
import uuid

import pytest
from agent import Admin, Agent, packet_pb2
from load import NO_ANSWER
from packets import body

SECONDS = 15
KINDS = ["hr-worker-claim", "hr-worker-packet"]  # two of each
TAKERS = 16
OPEN_MAX = 200  # packets; then no more are made until some are finished
BATCH = 10
LEASE = 4
LIVED = 2.2  # serve gives up on a program that dies again and again without ever living so long


class Work:
    def __init__(self, agent):
        self.agent = agent
        self.stopping = False
        self.made = []  # packet ids
        self.given = []  # (packet id, generation, who)
        self.finished = []  # (packet id, generation)
        self.outcomes = collections.Counter()

    async def until_answered(self, verb, content, headers):
        while True:
            try:
                answer = await self.agent.json(verb, content, headers)
            except NO_ANSWER:
                self.outcomes["not answered"] += 1
                await asyncio.sleep(0.02)
                continue
            if answer.status != 503:
                return answer
            self.outcomes["503"] += 1
            await asyncio.sleep(0.05)

    async def twice(self, verb, content, headers=None):
        """The answer, which a repeat was given as well. None: there was nothing to answer with."""
        headers = {**(headers or {}), "Idempotency-Key": uuid.uuid4().hex}
        answer = await self.until_answered(verb, content, headers)
        if answer.status == 204:
            return None
        again = await self.until_answered(verb, content, headers)
        assert (again.status, again.json()) == (answer.status, answer.json())
        self.outcomes[f"{verb} {answer.status}"] += 1
        return answer

    async def maker(self):
        packet = body()
        packet["metadata"]["target_agent"]["id"] = "*"
        while not self.stopping:
            if len(self.made) - len(self.finished) > OPEN_MAX:
                await asyncio.sleep(0.05)
                continue
            answer = (await self.twice("packet.batch-create", {"packets": [packet] * BATCH})).json()
            assert answer["errors"] == []
            self.made += [made["id"] for made in answer["created"]]

    async def take(self, name):
        wish = {"agent_id": name, "agent_name": name, "wait_seconds": 1, "lease_seconds": LEASE}
        answer = await self.twice("packet.claim-next", wish)
        if answer is None:
            return None
        packet = answer.json()
        assert answer.status == 200 and packet["claim"]["generation"] == answer.seq
        self.given.append((packet["id"], answer.seq, name))
        return packet["id"], answer.seq

    async def complete(self, packet_id, generation):
        content = {"packet_id": packet_id, "status": "completed"}
        answer = await self.twice("packet.update", content, {"HR-Claim": str(generation)})
        if answer.status == 200:
            self.finished.append((packet_id, generation))
        else:
            assert answer.json()["code"] == "stale_claim", answer

    async def complete_in_a_batch(self, packet_id, generation):
        claims = [{"packet_id": packet_id, "generation": generation}]
        content = {"packet_ids": [packet_id], "claims": claims}
        answer = (await self.twice("packet.batch-complete", content)).json()
        if answer["completed"]:
            self.finished.append((packet_id, generation))
        else:
            assert "is over" in answer["errors"][0]["error"], answer

    async def give_away(self, verb, content, generation):
        answer = await self.twice(verb, content, {"HR-Claim": str(generation)})
        assert answer.status == 200 or answer.json()["code"] == "stale_claim", answer

    async def use(self, name, packet_id, generation):
        content = {"packet_id": packet_id, "agent_id": name}
        what = random.choices(["complete", "batch", "beat", "decline", "release", "forget"],
                              [30, 30, 20, 8, 8, 4])[0]
        if what in ("decline", "release"):
            await self.give_away("packet." + what, content, generation)
        elif what == "batch":
            await self.complete_in_a_batch(packet_id, generation)
        elif what != "forget":
            if what == "beat":
                await self.give_away("packet.heartbeat", content, generation)
            await self.complete(packet_id, generation)

    async def taker(self, name):
        while not self.stopping:
            taken = await self.take(name)
            if taken is not None:
                await self.use(name, *taken)

    async def finish(self):
        """One who has declined nothing takes what is left."""
        while len(self.finished) < len(self.made):
            taken = await self.take("finisher")
            if taken is not None:
                await self.complete(*taken)


async def kill_workers(rail, seconds):
    kills = collections.Counter()
    await asyncio.sleep(LIVED)
    deadline = time.monotonic() + seconds
    for kind in itertools.cycle(KINDS):
        if time.monotonic() > deadline:
            return kills
        victims = [f"{kind}-{number}" for number in random.choice([[1], [2], [1, 2]])]
        pids = {name: rail.pids[name] for name in victims}
        for name, pid in pids.items():
            os.kill(pid, signal.SIGKILL)
            kills[kind] += 1
        for name, pid in pids.items():
            await asyncio.to_thread(rail.await_restart, name, pid, 20)
        await asyncio.sleep(random.uniform(0, 0.3))


def check(work, records):
    found = {}
    claims = {}
    for sequence, _, record in records:
        found.setdefault(record.packet.id, []).append(record)
        if record.event.type == "claimed":
            claims[sequence] = (record.packet.id, record.packet.claim.holder.id)
    assert sorted(found) == sorted(work.made), "every packet that was promised, each once"
    for history in found.values():
        types = [record.event.type for record in history]
        assert types.count("created") == types.count("completed") == 1, types
        for before, after in zip(history, history[1:], strict=False):
            if after.event.type == "claimed":
                assert before.packet.status == packet_pb2.STATUS_CREATED, types
    assert len(set(work.given)) == len(work.given)
    for packet_id, generation, name in work.given:
        assert claims[generation] == (packet_id, name), "whoever was given it is the holder"
    assert sorted(packet_id for packet_id, _ in work.finished) == sorted(work.made)
    assert set(claims) == {generation for _, generation, _ in work.given}, "no claim unheard of"


@pytest.mark.timeout(150)
def test_one_holder_and_the_same_answers_whichever_worker_dies(make_rail):
    rail = make_rail(None, "--scale", "claim=2,packet=2").start()

    async def run():
        async with Agent(rail, seconds=3) as agent, Admin(rail, seconds=30) as admin:
            work = Work(agent)
            jobs = [work.maker(), *(work.taker(f"taker-{i}") for i in range(TAKERS))]
            async with asyncio.TaskGroup() as group:
                for job in jobs:
                    group.create_task(job)
                kills = await kill_workers(rail, SECONDS)
                work.stopping = True
            async with asyncio.timeout(60):
                await work.finish()
            return work, kills, await admin.records()

    work, kills, records = asyncio.run(run())
    print(f"{len(work.made)} packets, {len(work.given)} claims, killed {dict(kills)}, "
          f"{dict(work.outcomes)}")
    check(work, records)
    assert min(kills[kind] for kind in KINDS) > 2
    assert work.outcomes["not answered"] > 0, "nothing was in flight"
