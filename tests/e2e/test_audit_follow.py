"""How the audit worker follows the stream: it checks now and then that it is the same one."""

import asyncio
import uuid

from agent import STREAM, Admin
from packets import PACKETS, body
from web import Web

CHECKS = 3


def test_the_flow_goes_on_while_the_stream_is_checked(make_rail, loop):
    rail = make_rail(None, env={"HR_AUDIT_CHECK_SECONDS": "1"}).start()
    asked = asyncio.Queue()

    async def note(message):
        if "audit" in message.reply:
            await asked.put(message)

    async def run():
        async with Web(rail.url, rail.headers) as web, Admin(rail) as admin:
            headers = {"X-HR-Durability": "audited"}
            assert (await web.post(PACKETS, body(), headers)).status == 201
            before = await admin.api(f"CONSUMER.INFO.{STREAM}.audit")
            await admin.nats.subscribe(f"$JS.API.CONSUMER.DELETE.{STREAM}.audit", cb=note)
            await admin.nats.subscribe(f"$JS.API.STREAM.INFO.{STREAM}", cb=note)
            await admin.nats.flush()
            for _ in range(CHECKS):
                message = await asyncio.wait_for(asked.get(), 90)
                assert ".STREAM.INFO." in message.subject
                summary = uuid.uuid4().hex
                made = await web.post(PACKETS, body(summary), headers)
                assert made.status == 201, made
            after = await admin.api(f"CONSUMER.INFO.{STREAM}.audit")
            assert after["created"] == before["created"]

    loop.run(run())
