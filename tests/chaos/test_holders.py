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
LEASE = 2
COMPLETED = 5  # the number of the status


class Crowd:
    def __init__(self, url, folder):
        self.url = url
        self.folder = folder
        self.made = 0
        self.running = []
        self.asleep = []

    def start(self):
        self.made += 1
        output = open(self.folder / f"{self.made}.txt", "w")
        command = [sys.executable, CLAIMER, self.url, f"p{self.made}", str(CLAIMERS), str(LEASE)]
        self.running.append(subprocess.Popen(command, stdout=output, stderr=subprocess.DEVNULL))
        output.close()

    def hurt(self):
        """One process dies, or sleeps for longer than its leases."""
        victim = random.choice(self.running)
        if random.random() < 0.5:
            victim.kill()
            victim.wait()
            self.running.remove(victim)
            self.start()
        else:
            victim.send_signal(signal.SIGSTOP)
            self.running.remove(victim)
            self.asleep.append((time.monotonic() + LEASE + 1, victim))

    def wake(self):
        for entry in list(self.asleep):
            if entry[0] < time.monotonic():
                entry[1].send_signal(signal.SIGCONT)
                self.asleep.remove(entry)
                self.running.append(entry[1])

    def close(self):
        for process in self.running + [entry[1] for entry in self.asleep]:
            process.kill()
            process.wait()

    def told(self):
        """[(packet id, generation, outcome)]"""
        found = []
        for path in self.folder.iterdir():
            for line in path.read_text().splitlines():
                outcome, packet_id, generation, *code = line.split()
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
            hurt = 0
            while len(ids) < PACKETS_MADE:
                # A process holds up to four packets: a fifth of all are held by one that is hurt.
                ids += await create_batch(agent, 5 * CLAIMERS)
                await asyncio.sleep(0.05)  # taken, not yet completed
                crowd.hurt()
                hurt += 1
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
                        return ids, hurt, found
                    await asyncio.sleep(0.3)

    try:
        ids, hurt, found = asyncio.run(run())
        time.sleep(1)  # the woken ones find out that they are too late
    finally:
        crowd.close()
    told = crowd.told()
    completed = [(packet_id, gen) for packet_id, gen, outcome in told if outcome == "completed"]
    refused = [entry for entry in told if entry[2] != "completed"]
    assert len({packet_id for packet_id, _ in completed}) == len(completed), "two completed one"
    assert {outcome for _, _, outcome in refused} <= {"stale_claim"}
    returned = []
    for packet_id in ids:
        records = found[packet_id]
        assert [r.event.type for r in records].count("completed") == 1
        for before, after in zip(records, records[1:], strict=False):
            if after.event.type == "lease_expired":
                due = seconds(before.packet.claim.lease_expires_at)
                returned.append(seconds(after.event.at) - due)
    print(f"{hurt} processes hurt, {len(returned)} leases ended, {len(refused)} stale writes refused,"
          f" a lease ended at most {max(returned):.3f} s late")
    assert returned and refused
    assert max(returned) < 2


async def create_batch(agent, count):
    room = asyncio.Semaphore(32)

    async def create():
        async with room:
            answer = await agent.json("packet.create", body())
            return answer.json()["id"]

    return await asyncio.gather(*(create() for _ in range(count)))
