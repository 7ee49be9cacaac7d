"""The worker that archives is killed again and again: each packet is archived once, none is lost."""

import asyncio
import os
import signal

import pytest
from agent import Admin, Agent, gather
from packets import PACKETS, body
from test_timers import by_packet
from web import Web

PACKETS_MADE = 600
WORKERS = ["hr-worker-expiry-1", "hr-worker-expiry-2"]
SETTINGS = {"HR_PACKET_TTL_SECONDS": "1", "HR_RETENTION_SECONDS": "1"}


@pytest.mark.timeout(180)
def test_each_packet_leaves_the_stream_once(make_rail):
    rail = make_rail(None, "--scale", "expiry=2", env=SETTINGS).start()

    async def kill_now_and_then(times):
        for i in range(times):
            await asyncio.sleep(2.5)  # long enough a life for serve to start it again
            pid = rail.pids.get(WORKERS[i % 2])
            if pid:
                os.kill(pid, signal.SIGKILL)

    async def run():
        async with (
            Agent(rail, seconds=30) as agent,
            Admin(rail, seconds=30) as admin,
            Web(rail.url, rail.headers, seconds=30) as web,
        ):
            killing = asyncio.ensure_future(kill_now_and_then(6))
            room = asyncio.Semaphore(32)

            async def create():
                async with room:
                    answer = await agent.json("packet.create", body())
                    return answer.json()["id"]

            ids = []
            for _ in range(6):
                ids += await gather(*(create() for _ in range(PACKETS_MADE // 6)))
                await asyncio.sleep(2)
            await killing
            async with asyncio.timeout(30):
                while True:
                    found = by_packet(await admin.records())
                    if all(len(found[i]) == 1 and found[i][0].event.type == "archived" for i in ids):
                        break
                    await asyncio.sleep(0.5)
            whole = [(await web.get(f"{PACKETS}/{i}")).json() for i in ids]
            seen = {"X-HR-Min-Seq": str(await admin.last_seq())}  # Postgres may be a little behind
            shown = [
                (await web.get(f"{PACKETS}/{i}/history", headers=seen)).json()["events"] for i in ids
            ]
            return ids, found, shown, whole

    ids, found, shown, whole = asyncio.run(run())
    for packet_id, events, packet in zip(ids, shown, whole, strict=True):
        assert len(found[packet_id]) == 1, "the stub alone is left"
        assert [e["event_type"] for e in events] == ["created", "expired", "archived"]
        assert packet["status"] == "expired" and packet["context"]["summary"] == "do it"
