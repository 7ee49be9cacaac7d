"""Packets that grow too old, and finished ones that leave the stream."""

import asyncio
import os
import signal
import time

import nats
import pytest
from agent import Admin, Agent
from config import put_tenant
from packets import PACKETS, body, claim
from rail import Rail
from web import Web

TTL = {"HR_PACKET_TTL_SECONDS": "2", "HR_RETENTION_SECONDS": "0"}
RETENTION = {"HR_PACKET_TTL_SECONDS": "0", "HR_RETENTION_SECONDS": "1"}


async def create(web, headers=None, **parts):
    answer = await web.post(PACKETS, body(**parts), headers)
    assert answer.status == 201, answer
    return answer.json()


async def get(web, packet_id):
    return (await web.get(f"{PACKETS}/{packet_id}")).json()


async def until(web, packet_id, condition, seconds=8):
    deadline = time.monotonic() + seconds
    while True:
        packet = await get(web, packet_id)
        if condition(packet):
            return packet
        assert time.monotonic() < deadline, packet
        await asyncio.sleep(0.05)


async def finish(web, packet_id):
    await web.post(f"{PACKETS}/{packet_id}/claim", claim("coder"))
    answer = await web.request("PATCH", f"{PACKETS}/{packet_id}", {"status": "completed"})
    assert answer.status == 200
    return answer.json()


def test_an_old_packet_expires_unless_it_waits_for_something_longer(make_rail, loop):
    rail = make_rail(None, env=TTL).start()

    async def run():
        async with Web(rail.url, rail.headers) as web, Admin(rail) as admin:
            old = (await create(web))["id"]
            done = (await create(web))["id"]
            await finish(web, done)
            leased = (await create(web))["id"]
            await web.post(f"{PACKETS}/{leased}/claim", claim("a", lease_seconds=60))
            asked = (await create(web, hitl={"reason": "r", "timeout_seconds": 60}))["id"]
            packet = await until(web, old, lambda p: p["status"] == "expired")
            assert packet["status"] == "expired"
            answer = await web.get(f"{PACKETS}/{old}/history")
            last = answer.json()["events"][-1]
            assert last["actor"] == "system:expiry_task"
            assert last["details"] == {"previous_status": "created", "reason": "ttl_exceeded"}
            await asyncio.sleep(1)
            assert (await get(web, done))["status"] == "completed"
            assert (await get(web, leased))["status"] == "claimed"
            assert (await get(web, asked))["status"] == "awaiting_human"
            # A tenant may have its own time, and packets that are there already follow it.
            await put_tenant(admin, "default", packet_ttl_seconds=3600)
            await asyncio.sleep(0.5)
            young = (await create(web))["id"]
            await asyncio.sleep(2.5)
            assert (await get(web, young))["status"] == "created"
            await put_tenant(admin, "default", packet_ttl_seconds=1)
            await until(web, young, lambda p: p["status"] == "expired")

    loop.run(run())


def test_an_old_packet_lives_until_its_ladder_is_climbed(make_rail, loop):
    rail = make_rail(None, env=TTL).start()

    async def run():
        async with Web(rail.url, rail.headers) as web:
            ladder = [{"after_seconds": 1, "to": "x"}, {"after_seconds": 4, "to": "y"}]
            climbed = (await create(web, hitl={"reason": "r", "escalation": ladder}))["id"]
            released = [
                (await create(web, hitl={"reason": "r", "timeout_seconds": 3,
                                         "on_timeout": "answer:yes"}))["id"]
                for _ in range(20)
            ]
            for packet_id in released:
                packet = await until(web, packet_id, lambda p: p["status"] != "awaiting_human")
                assert packet["hitl"]["timed_out"] is True, "not by its age at the same moment"
            await until(web, climbed, lambda p: p["status"] == "expired")
            answer = await web.get(f"{PACKETS}/{climbed}/history")
            assert [event["event_type"] for event in answer.json()["events"]] == [
                "created", "hitl_escalated", "hitl_escalated", "expired"
            ]

    loop.run(run())


@pytest.fixture(scope="module")
def short():
    """A rail whose finished packets leave the stream after a second."""
    with Rail(env=RETENTION) as running:
        yield running


async def records_of(admin, packet_id):
    return [record for _, subject, record in await admin.records() if packet_id in subject]


def test_who_follows_the_stream_and_is_behind_skips_nothing(short, loop):
    """A rollup, or a purge by subject, has nats-server 2.9 move every consumer to what stays."""

    async def run():
        async with Web(short.url, short.headers) as web, Admin(short) as admin:
            js = admin.nats.jetstream()
            before = (await js.stream_info("HR_PACKETS_0")).state.last_seq
            config = nats.js.api.ConsumerConfig(
                durable_name="behind",
                ack_policy="none",
                deliver_policy="by_start_sequence",
                opt_start_seq=before + 1,
                filter_subject="hr.v1.packet.0.*.*",
            )
            await js.add_consumer("HR_PACKETS_0", config)
            open_ones = [(await create(web))["id"] for _ in range(30)]
            done = (await create(web))["id"]
            await finish(web, done)
            await until(web, done, lambda p: "archived_at" in p)
            await asyncio.sleep(0.5)
            subscription = await js.pull_subscribe(None, durable="behind", stream="HR_PACKETS_0")
            seen = set()
            while not set(open_ones) <= seen:
                for message in await subscription.fetch(200, timeout=3):
                    seen.add(message.subject.rpartition(".")[2])
            await js.delete_consumer("HR_PACKETS_0", "behind")

    loop.run(run())


def test_a_finished_packet_leaves_a_stub_and_stays_readable(short, loop):
    async def run():
        async with Web(short.url, short.headers) as web, Admin(short) as admin, Agent(short) as agent:
            made = await create(web, {"Idempotency-Key": "once"}, context={
                "summary": "s", "conversation_state": [{"role": "user", "content": "x" * 5000}]})
            packet_id = made["id"]
            whole = await finish(web, packet_id)
            packet = await until(web, packet_id, lambda p: "archived_at" in p)
            archived_at = packet.pop("archived_at")
            assert archived_at and packet == whole
            records = await records_of(admin, packet_id)
            for _ in range(100):
                if len(records) == 1:
                    break
                await asyncio.sleep(0.02)
                records = await records_of(admin, packet_id)
            assert [r.event.type for r in records] == ["archived"]
            assert records[0].ByteSize() < 1000
            answer = await agent.json("packet.get", {"packet_id": packet_id})
            assert answer.json()["context"] == whole["context"]
            found = (await web.get(f"{PACKETS}?status=completed")).json()["packets"]
            assert packet_id in [p["id"] for p in found]
            answer = await web.get(f"{PACKETS}/{packet_id}/history")
            types = [e["event_type"] for e in answer.json()["events"]]
            assert types == ["created", "claimed", "completed", "archived"]
            # The same key gives the same answer, for ever; nothing can be changed any more.
            again = await web.post(PACKETS, body(context={
                "summary": "s", "conversation_state": [{"role": "user", "content": "x" * 5000}]}),
                {"Idempotency-Key": "once"})
            assert again.status == 201 and again.json()["id"] == packet_id
            assert again.json()["status"] == "created"
            other = await web.post(PACKETS, body("other"), {"Idempotency-Key": "once"})
            assert other.status == 422 and other.json()["code"] == "idempotency_key_reused"
            for answer in [
                await web.request("PATCH", f"{PACKETS}/{packet_id}", {"decisions": []}),
                await web.request("DELETE", f"{PACKETS}/{packet_id}"),
                await web.post(f"{PACKETS}/{packet_id}/claim", claim("b")),
                await agent.json("packet.claim", {"packet_id": packet_id, **claim("b")}),
            ]:
                assert answer.status == 409 and answer.json()["code"] == "archived", answer
            child = await web.post(f"{PACKETS}/{packet_id}/chain", body("next"))
            assert child.status == 201
            talk = child.json()["context"]["conversation_state"]
            assert [entry["content"] for entry in talk] == ["x" * 5000]

    loop.run(run())


def test_nothing_leaves_that_postgres_does_not_have(make_rail, loop):
    rail = make_rail(None, env=RETENTION).start()

    async def run():
        async with Web(rail.url, rail.headers) as web, Admin(rail) as admin:
            first = (await create(web))["id"]
            await finish(web, first)
            await until(web, first, lambda p: "archived_at" in p)
            audit = rail.pids["hr-worker-audit-1"]
            os.kill(audit, signal.SIGSTOP)
            try:
                second = (await create(web))["id"]
                await finish(web, second)
                await asyncio.sleep(3)
                types = [r.event.type for r in await records_of(admin, second)]
                assert types == ["created", "claimed", "completed"]
            finally:
                os.kill(audit, signal.SIGCONT)
            await until(web, second, lambda p: "archived_at" in p, 15)

    loop.run(run())
