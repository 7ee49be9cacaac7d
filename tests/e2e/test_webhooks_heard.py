"""Webhooks as others see them: the same commands on NATS, and the notice of one that was disabled."""

import asyncio
import json

import pytest
from agent import JSON, Agent, webhook_pb2
from hooks import SECRET
from listen import Listener
from packets import PACKETS, body
from receiver import Receiver
from web import Web

SETTINGS = {
    "HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    "HR_WEBHOOK_RETRY_SECONDS": "0.3,0.3,0.3,0.3,0.3,0.3,0.3,0.3,0.3,0.3,0.3,0.3",
    "HR_WEBHOOK_DISABLE_SECONDS": "2",
}


async def until(condition, seconds=10):
    async with asyncio.timeout(seconds):
        while True:
            found = await condition()
            if found:
                return found
            await asyncio.sleep(0.05)


def test_the_life_of_a_hook_on_nats(hooked, loop):
    async def run():
        with Receiver() as receiver:
            async with Agent(hooked) as agent:
                wish = {"url": receiver.url, "events": ["packet.created"], "secret": SECRET}
                key = {"Idempotency-Key": "hook-on-nats"}
                made = (await agent.json("hook.create", wish, key)).json()
                assert (await agent.json("hook.create", wish, key)).json() == made
                assert "secret" not in made and made["active"]
                ref = {"hook_id": made["id"]}
                assert (await agent.json("hook.get", ref)).json() == made
                assert made in (await agent.json("hook.list", {})).json()
                reply = await agent.send(
                    "hook.get", webhook_pb2.HookRef(hook_id=made["id"]).SerializeToString()
                )
                assert reply.message().url == receiver.url
                packet = (await agent.json("packet.create", body())).json()

                async def told():
                    return receiver.requests

                request = (await until(told))[0]
                assert json.loads(request.body)["packet_id"] == packet["id"]

                async def listed():
                    page = (await agent.json("hook.deliveries", ref)).json()
                    return [d for d in page if d["status"] == "delivered"]

                assert (await until(listed))[0]["id"] == request.id
                changed = await agent.json("hook.update", {**ref, "events": ["*"]})
                assert changed.json()["events"] == ["*"]
                assert (await agent.json("hook.delete", ref)).status in (200, 204)
                refused = await agent.json("hook.delete", ref)
                assert refused.status == 409
                bad = await agent.json("hook.create", {**wish, "url": "http://10.0.0.1/"})
                assert bad.status == 422 and "blocked" in bad.data.decode()

    loop.run(run())


@pytest.mark.parametrize("status, reason", [(410, "410"), (500, "too long")])
def test_a_hook_that_is_disabled_says_so(hooked, loop, status, reason):
    async def run():
        notices = asyncio.Queue()

        async def note(message):
            assert message.headers["Content-Type"] == JSON
            await notices.put(json.loads(message.data))

        with Receiver(lambda request: status) as receiver:
            async with Agent(hooked) as agent, Web(hooked.url, hooked.headers) as web:
                await agent.nats.subscribe("hr.v1.notice.default", cb=note)
                await agent.nats.flush()
                wish = {"url": receiver.url, "events": ["packet.created"], "secret": SECRET}
                listener = Listener(hooked.url, hooked.headers, seconds=20)
                narrow = Listener(hooked.url, hooked.headers, seconds=20, subscribe="status:failed")
                async with listener as events, narrow as few:
                    await events.next()
                    await few.next()
                    hook = (await web.post("/api/v1/hooks", wish)).json()
                    await web.post(PACKETS, body())
                    event = await events.next()
                    while event.name != "hook.disabled":
                        event = await events.next()
                    assert event.id is None, "it is no place in the stream"
                    assert event.data["type"] == "hook.disabled"
                    assert event.data["hook_id"] == hook["id"] and reason in event.data["reason"]
                    assert await few.quiet()
                async with asyncio.timeout(5):
                    assert await notices.get() == event.data
                assert notices.empty()
                found = (await web.get(f"/api/v1/hooks/{hook['id']}")).json()
                assert not found["active"] and reason in found["disabled_reason"]

    loop.run(run())
