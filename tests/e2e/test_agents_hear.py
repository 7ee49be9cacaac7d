"""What agents hear on NATS with a generic client: events, hints in their inbox, and a durable
consumer that holds what happened while they were away."""

import asyncio
import json
import uuid

import pytest
from agent import JSON, Agent, live_pb2, record_pb2
from packets import PACKETS, body, claim


def addressed(agent, **parts):
    content = body(**parts)
    content["metadata"]["target_agent"] = {"id": agent, "name": "T"}
    return content


@pytest.fixture
def name():
    return "agent-" + uuid.uuid4().hex[:12]


class Mail:
    def __init__(self, agent, subject):
        self.agent = agent
        self.subject = subject
        self.queue = asyncio.Queue()

    async def __aenter__(self):
        async def take(message):
            await self.queue.put(message)

        self.subscription = await self.agent.nats.subscribe(self.subject, cb=take)
        await self.agent.nats.flush()
        return self

    async def __aexit__(self, *_):
        await self.subscription.unsubscribe()
        await self.agent.nats.flush()

    async def next(self, seconds=5):
        async with asyncio.timeout(seconds):
            return await self.queue.get()

    async def events(self, packet_ids, seconds=5):
        """(event, packet id) of the next records about these packets, one for each id."""
        found = []
        while len(found) < len(packet_ids):
            message = await self.next(seconds)
            packet_id = message.subject.rsplit(".", 1)[1]
            if packet_id in packet_ids:
                record = record_pb2.PacketRecord.FromString(message.data)
                assert record.packet.id == packet_id
                found.append((record.event.type, packet_id))
        return found

    async def quiet(self, seconds=0.3):
        try:
            await self.next(seconds)
            return False
        except TimeoutError:
            return True


def test_events_are_live_copies(loop, agent):
    async def run():
        async with Mail(agent, "hr.v1.event.default.*") as mail:
            made = (await agent.json("packet.create", body())).json()["id"]
            await agent.json("packet.claim", {"packet_id": made, **claim()})
            assert await mail.events([made] * 2) == [("created", made), ("claimed", made)]

    loop.run(run())


def test_a_hint_for_every_packet_that_waits(loop, agent, name):
    other = name + "-2"

    async def run():
        async with Mail(agent, f"hr.v1.inbox.default.{name}") as mail:
            reply = await agent.json("packet.create", addressed(name))
            made = reply.json()["id"]
            message = await mail.next()
            assert message.headers["Content-Type"] == JSON
            assert json.loads(message.data) == {
                "packet_id": made,
                "seq": reply.seq,
                "event": "created",
                "priority": "normal",
            }
            await agent.json("packet.update", {"packet_id": made, "context": {"summary": "y"}})
            await agent.json("packet.claim", {"packet_id": made, **claim(name)})
            assert await mail.quiet(), "nothing waits"
            released = await agent.json("packet.release", {"packet_id": made, "agent_id": name})
            assert released.status == 200, released
            assert json.loads((await mail.next()).data)["event"] == "released"
            await agent.json("packet.claim", {"packet_id": made, **claim(name, lease_seconds=1)})
            assert json.loads((await mail.next()).data)["event"] == "lease_expired"
            content = addressed(name, hitl={"reason": "r", "options": ["a"]})
            asked = (await agent.json("packet.create", content)).json()["id"]
            assert await mail.quiet(), "a human is to answer first"
            answer = {"packet_id": asked, "response": "a", "responded_by": "ann"}
            await agent.json("packet.respond", answer)
            hint = json.loads((await mail.next()).data)
            assert hint["packet_id"] == asked and hint["event"] == "hitl_responded"
        content = addressed(other)
        content["metadata"]["fallback_agents"] = [{"id": name, "name": "N"}]
        async with Mail(agent, f"hr.v1.inbox.default.{name}") as mail:
            made = (await agent.json("packet.create", content)).json()["id"]
            assert await mail.quiet()
            decline = {"packet_id": made, "agent_id": other, "reason": "no"}
            assert (await agent.json("packet.decline", decline)).status == 200
            assert json.loads((await mail.next()).data)["packet_id"] == made

    loop.run(run())


def test_no_hint_leaves_its_tenant_or_its_subject(loop, agent, admin):
    async def run():
        async with Mail(admin, "hr.v1.inbox.>") as mail:
            for odd in ("a.b", "*", ">", "x y", "ü", "a" * 65):
                reply = await agent.json("packet.create", addressed(odd))
                # "*" would be everybody's.
                await agent.json("packet.delete", {"packet_id": reply.json()["id"]})
            await agent.json("packet.create", addressed("plain"))
            assert (await mail.next()).subject == "hr.v1.inbox.default.plain"
            assert await mail.quiet()

    loop.run(run())


def test_an_agent_that_was_away_gets_what_it_missed(loop, agent, rail):
    async def run():
        reply = await agent.json("packet.follow", {"stop": True})
        assert reply.status == 200
        following = (await agent.json("packet.follow", {})).json()
        assert following == {
            "subject": "_INBOX.agent.follow",
            "consumer": "agent=default=agent",
        }
        async with Mail(agent, following["subject"]) as mail:
            first = (await agent.json("packet.create", body())).json()["id"]
            assert await mail.events([first]) == [("created", first)]
        away = []
        for _ in range(20):
            away.append((await agent.json("packet.create", body())).json()["id"])
        await asyncio.sleep(0.2)
        async with Mail(agent, following["subject"]) as mail:
            assert [packet for _, packet in await mail.events(away)] == away
        # Asking again does not move it.
        more = (await agent.json("packet.create", body())).json()["id"]
        assert (await agent.json("packet.follow", {})).status == 200
        async with Mail(agent, following["subject"]) as mail:
            assert (await mail.next()).subject.endswith(more)
            assert await mail.quiet()

    loop.run(run())


def test_following_may_begin_at_a_place(loop, agent):
    async def run():
        replies = [await agent.json("packet.create", body()) for _ in range(3)]
        made = [reply.json()["id"] for reply in replies]
        for protobuf in (False, True):
            since = replies[0].seq
            if protobuf:
                request = live_pb2.FollowPackets(since=since)
                reply = await agent.send("packet.follow", request.SerializeToString())
                subject = reply.message().subject
            else:
                subject = (await agent.json("packet.follow", {"since": since})).json()["subject"]
            async with Mail(agent, subject) as mail:
                assert [packet for _, packet in await mail.events(made[1:])] == made[1:]
                reply = await agent.json("packet.create", body())
                message = await mail.next()
                while not message.subject.endswith(reply.json()["id"]):
                    message = await mail.next()
                assert message.metadata.sequence.stream == reply.seq
        assert (await agent.json("packet.follow", {"stop": True})).status == 200
        async with Mail(agent, subject) as mail:
            await agent.json("packet.create", body())
            assert await mail.quiet()

    loop.run(run())


@pytest.mark.parametrize("wish", [{"since": -1}, {"since": "x"}, {"stop": "perhaps"}, []])
def test_bad_wishes_are_refused(loop, agent, wish):
    async def run():
        reply = await agent.json("packet.follow", wish)
        assert reply.status in (400, 422), reply

    loop.run(run())


def test_other_tenants_are_not_followed(loop, agent, web, admin, rail):
    from config import new_key, put_key
    from web import Web

    async def run():
        key = new_key()
        await put_key(admin, key, "k-elsewhere", "elsewhere", "admin")
        await asyncio.sleep(0.2)
        assert (await agent.json("packet.follow", {"since": 0})).status == 200
        async with Web(rail.url, {"X-API-Key": key}) as other:
            answer = await other.post(PACKETS, body())
            assert answer.status == 201
        subject = "_INBOX.agent.follow"
        async with Mail(agent, subject) as mail, Mail(agent, "hr.v1.event.default.*") as events:
            last = (await agent.json("packet.create", body())).json()["id"]
            while True:
                message = await mail.next()
                assert message.subject.startswith("hr.v1.packet.0.default.")
                if message.subject.endswith(last):
                    break
            assert [p for _, p in await events.events([last])] == [last]
            assert await events.quiet()
        await agent.json("packet.follow", {"stop": True})

    loop.run(run())


@pytest.mark.parametrize(
    "subject",
    [
        "$JS.API.CONSUMER.MSG.NEXT.HR_PACKETS_0.agent=default=agent",
        "$JS.API.CONSUMER.CREATE.HR_PACKETS_0",
        "$JS.API.CONSUMER.DURABLE.CREATE.HR_PACKETS_0.x",
        "$JS.API.CONSUMER.DELETE.HR_PACKETS_0.agent=default=agent",
        "$JS.ACK.HR_PACKETS_0.agent=default=agent.1.1.1.1.0",
        "hr.v1.inbox.default.planner",
    ],
)
def test_an_agent_may_not_do_it_itself(loop, rail, subject):
    """A pull or an acknowledgement names a reply subject that the server does not check."""

    async def run():
        async with Agent(rail) as agent:
            await agent.nats.publish(subject, b"{}", reply="hr.v1.packet.0.default.x")
            await agent.nats.flush()
            await asyncio.sleep(0.05)
            assert any("permissions violation" in text.lower() for text in agent.refused)

    loop.run(run())
