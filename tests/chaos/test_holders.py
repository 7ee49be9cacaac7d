"""Claimers die or fall asleep with packets in hand: each packet is completed once, by one holder."""

import asyncio
import pathlib
import random
import signal
import subprocess
import sys
import time

import pytest
from agent import Admin, Agent
from packets import body
from test_timers import by_packet, seconds

CLAIMER = pathlib.Path(__file__).resolve().parents[1] / "support" / "claimer.py"
PROCESSES = 16
CLAIMERS = 4  # in each process
PACKETS_MADE = 1000
HURT = 0.3  # of the processes that run, those with most in hand: a fifth of the holders and more
LEASE = 2
COMPLETED = 5  # the number of the status


class Crowd:
    def __init__(self, url, folder):
        self.url = url
        self.folder = folder
        self.made = 0
        self.running = {}  # number -> process
        self.asleep = []  # (when to wake it, number, process)
        self.hurt_at = []  # (number, when)

    def start(self):
        self.made += 1
        output = open(self.told_to(self.made), "w")
        command = [sys.executable, CLAIMER, self.url, f"p{self.made}", str(CLAIMERS), str(LEASE)]
        self.running[self.made] = subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL)
        output.close()

    def told_to(self, number):
        return self.folder / f"{number}.txt"

    def in_hand(self, number):
        lines = self.told_to(number).read_text().splitlines()
        return sum(1 if line.startswith("took") else -1 for line in lines)

    def hurt(self):
        """One process dies, or sleeps for longer than its leases."""
        number = max(self.running, key=self.in_hand)
        victim = self.running.pop(number)
        self.hurt_at.append((number, time.time()))
        if random.random() < 0.5:
            victim.kill()
            victim.wait()
            self.start()
        else:
            victim.send_signal(signal.SIGSTOP)
            self.asleep.append((time.monotonic() + LEASE + 1, number, victim))

    def wake(self):
        for entry in list(self.asleep):
            when, number, process = entry
            if when < time.monotonic():
                process.send_signal(signal.SIGCONT)
                self.asleep.remove(entry)
                self.running[number] = process

    def close(self):
        for process in [*self.running.values(), *(entry[2] for entry in self.asleep)]:
            process.kill()
            process.wait()

    def was_hurt(self, claimed, end):
        """Did the holder of a claim die or fall asleep while it held the packet?"""
        number = int(claimed.packet.claim.holder.id[1:].partition("-")[0])
        return any(hurt == number and seconds(claimed.event.at) < when < seconds(end.event.at)
                   for hurt, when in self.hurt_at)

    def told(self):
        """[(packet id, generation, outcome)]"""
        found = []
        for path in self.folder.iterdir():
            for line in path.read_text().splitlines():
                outcome, packet_id, generation, *code = line.split()
                if outcome == "took":
                    continue
                found.append((packet_id, int(generation), code[0] if code else outcome))
        return found


@pytest.mark.timeout(240)
@pytest.mark.measures
def test_each_packet_is_completed_once_whoever_dies(make_rail, tmp_path):
    rail = make_rail(None, "--scale", "claim=2").start()
    crowd = Crowd(rail.agent_nats_url, tmp_path)

    async def run():
        async with Agent(rail, seconds=30) as agent, Admin(rail, seconds=30) as admin:
            for _ in range(PROCESSES):
                crowd.start()
            await asyncio.sleep(2)
            ids = []
            while len(ids) < PACKETS_MADE:
                running = len(crowd.running)
                count = min(running * CLAIMERS, PACKETS_MADE - len(ids))
                ids += await create_batch(agent, count)
                await asyncio.sleep(0.05)  # taken, not yet completed
                for _ in range(round(running * HURT)):
                    crowd.hurt()
                while len(crowd.running) < PROCESSES / 2:
                    crowd.wake()
                    await asyncio.sleep(0.05)
                crowd.wake()
            async with asyncio.timeout(60):
                while True:
                    crowd.wake()
                    found = by_packet(await admin.records())
                    if not crowd.asleep and all(
                        found[packet_id][-1].packet.status == COMPLETED for packet_id in ids
                    ):
                        return ids, found
                    await asyncio.sleep(0.3)

    try:
        ids, found = asyncio.run(run())
        time.sleep(1)  # the woken ones find out that they are too late
    finally:
        crowd.close()
    told = crowd.told()
    completed = [(packet_id, gen) for packet_id, gen, outcome in told if outcome == "completed"]
    refused = [entry for entry in told if entry[2] != "completed"]
    assert len({packet_id for packet_id, _ in completed}) == len(completed), "two completed one"
    assert {outcome for _, _, outcome in refused} <= {"stale_claim"}
    returned = []
    hurt = set()
    for packet_id in ids:
        records = found[packet_id]
        assert [r.event.type for r in records].count("completed") == 1
        for before, after in zip(records, records[1:], strict=False):
            if before.event.type == "claimed" and crowd.was_hurt(before, after):
                hurt.add(packet_id)
            if after.event.type == "lease_expired":
                due = seconds(before.packet.claim.lease_expires_at)
                returned.append(seconds(after.event.at) - due)
    print(f"{len(crowd.hurt_at)} processes hurt with {len(hurt)} packets, {len(returned)} leases ended, {len(refused)} stale writes refused,"
          f" a lease ended at most {max(returned):.3f} s late")
    assert len(hurt) >= PACKETS_MADE / 5
    assert returned and refused
    assert max(returned) < 2


async def create_batch(agent, count):
    room = asyncio.Semaphore(32)

    async def create():
        async with room:
            answer = await agent.json("packet.create", body())
            return answer.json()["id"]

    return await asyncio.gather(*(create() for _ in range(count)))
