"""claim-next: the best packet for an agent, now or as soon as there is one."""

import asyncio
import json
import os
import signal
import time
import uuid

import nats.errors
import pytest
from agent import Agent, batch_pb2, command_pb2, gather
from config import new_key, put_key
from packets import PACKETS, body, claim
from rail import birth, wait_until
from web import Web

NEXT = PACKETS + "/claim-next"


@pytest.fixture
def name():
    """An agent of which no other test has heard."""
    return "agent-" + uuid.uuid4().hex[:12]


async def create(web, target, priority="normal", tags=(), **metadata):
    content = body()
    content["metadata"].update(
        target_agent={"id": target, "name": "T"}, priority=priority, tags=list(tags), **metadata
    )
    answer = await web.post(PACKETS, content)
    assert answer.status == 201, answer
    return answer.json()["id"]


async def take(web, agent, **parts):
    """The id of the packet, or None."""
    answer = await web.post(NEXT, {"agent_id": agent, "agent_name": "N", **parts})
    if answer.status == 204:
        assert answer.body == b""
        return None
    assert answer.status == 200, answer
    packet = answer.json()
    assert packet["status"] == "claimed" and packet["claim"]["holder"]["id"] == agent
    return packet["id"]


async def take_in_time(web, agent, **parts):
    """The index behind the worker may be some milliseconds behind the answer to a create."""
    return await take(web, agent, wait_seconds=2, **parts)


def test_highest_priority_first_then_oldest(loop, web, name):
    async def run():
        made = [
            (await create(web, name, priority), priority)
            for priority in ["low", "normal", "high", "normal", "critical", "high", "low"]
        ]
        await asyncio.sleep(0.6)
        order = ["critical", "high", "normal", "low"]
        expected = [pair[0] for pair in sorted(made, key=lambda pair: order.index(pair[1]))]
        assert [await take(web, name) for _ in made] == expected
        assert await take(web, name) is None

    loop.run(run())


def test_only_what_is_addressed_to_the_agent_unless_it_asks_for_more(loop, web, name):
    async def run():
        tag = name + "-tag"
        other = await create(web, name + "-other", tags=[tag])
        private = await create(
            web, name + "-third", "critical", tags=[tag], claim_policy="addressed"
        )
        anyone = await create(web, "*", "low", tags=[tag])
        await asyncio.sleep(0.6)
        assert await take(web, name, tags=[tag]) == anyone
        assert await take(web, name, tags=[tag]) is None
        assert await take(web, name, tags=[tag], scope="any") == other
        assert await take(web, name, tags=[tag], scope="any") is None
        assert await take(web, name + "-third") == private

    loop.run(run())


def test_tags_must_all_be_there(loop, web, name):
    async def run():
        both = await create(web, name, tags=["a", "b"])
        one = await create(web, name, "critical", tags=["a"])
        await asyncio.sleep(0.6)
        assert await take(web, name, tags=["b", "a"]) == both
        assert await take(web, name, tags=["c"]) is None
        assert await take(web, name, tags=[]) == one

    loop.run(run())


def test_what_was_declined_is_not_offered_again(loop, web, name):
    async def run():
        first = await create(web, name)
        second = await create(web, name)
        assert await take_in_time(web, name) == first
        answer = await web.post(f"{PACKETS}/{first}/decline", {"agent_id": name})
        assert answer.status == 200
        assert await take_in_time(web, name) == second
        assert await take(web, name) is None
        assert await take(web, name + "-b", scope="any", tags=[]) is not None

    loop.run(run())


def test_waits_for_a_packet_to_come(loop, web, name):
    async def run():
        started = time.monotonic()
        waiting = asyncio.ensure_future(take(web, name, wait_seconds=10))
        await asyncio.sleep(0.5)
        made = await create(web, name)
        assert await waiting == made
        assert time.monotonic() - started < 2
        started = time.monotonic()
        assert await take(web, name, wait_seconds=1) is None
        assert 0.9 < time.monotonic() - started < 3

    loop.run(run())


def test_whoever_waits_longest_is_served_first_and_one_packet_serves_one(loop, web, name):
    async def run():
        waiting = []
        for _ in range(20):
            waiting.append(asyncio.ensure_future(take(web, name, wait_seconds=4)))
            await asyncio.sleep(0.01)
        made = [await create(web, name) for _ in range(15)]
        found = await gather(*waiting)
        assert found == made + [None] * 5

    loop.run(run())


def test_the_same_over_nats(loop, agent, web, name):
    async def run():
        made = await create(web, name)
        wish = {"agent_id": name, "agent_name": "N", "wait_seconds": 2, "lease_seconds": 30}
        answer = await agent.json("packet.claim-next", wish)
        assert answer.json()["id"] == made
        assert answer.json()["claim"]["generation"] == answer.seq
        answer = await agent.json("packet.claim-next", {"agent_id": name, "agent_name": "N"})
        assert (answer.status, answer.data) == (204, b"")
        made = await create(web, name)
        wish = command_pb2.ClaimNext(agent_id=name, agent_name="N", wait_seconds=2)
        answer = await agent.protobuf("packet.claim-next", wish)
        assert answer.message().id == made

    loop.run(run())


def test_a_packet_that_comes_back_is_offered_again(loop, web, name):
    async def run():
        made = await create(web, name)
        assert await take_in_time(web, name, lease_seconds=1) == made
        assert await take(web, name, wait_seconds=5, lease_seconds=1) == made
        assert await take(web, name, wait_seconds=5) == made

    loop.run(run())


def test_waiting_outweighs_priority_in_the_end(make_rail, loop):
    rail = make_rail(None, env={"HR_PRIORITY_AGING_SECONDS": "1"}).start()

    async def run():
        async with Web(rail.url, rail.headers) as web:
            low = await create(web, "a", "low")
            await asyncio.sleep(1.2)
            normal = await create(web, "a", "normal")
            high = await create(web, "a", "high")
            await asyncio.sleep(0.6)
            assert [await take(web, "a") for _ in range(3)] == [high, low, normal]

    loop.run(run())


def test_no_tenant_is_given_what_is_anothers(loop, rail, web, admin, name):
    async def run():
        key = new_key()
        await put_key(admin, key, "outsider", tenant="other", role="admin")
        await asyncio.sleep(0.3)
        made = await create(web, name)
        async with Web(rail.url, {"X-API-Key": key}) as outsider:
            assert await take(outsider, name, wait_seconds=1) is None
            assert await take(outsider, name, scope="any") is None
            own = await create(outsider, name)
            assert await take_in_time(outsider, name) == own
        assert await take_in_time(web, name) == made

    loop.run(run())


@pytest.mark.parametrize(
    "parts, place",
    [
        ({"wait_seconds": 61}, "wait_seconds"),
        ({"wait_seconds": -1}, "wait_seconds"),
        ({"lease_seconds": 0}, "lease_seconds"),
        ({"scope": "all"}, "scope"),
        ({"tags": "a"}, "tags"),
        ({"tags": ["a"] * 65}, "tags"),
        ({"agent_id": None}, "agent_id"),
        ({"agent_name": 1}, "agent_name"),
    ],
)
def test_refuses_nonsense(loop, web, agent, parts, place):
    async def run():
        wish = {"agent_id": "a", "agent_name": "A", **parts}
        answer = await web.post(NEXT, wish)
        assert answer.status == 422 and answer.json()["detail"][0]["loc"][1] == place, answer
        answer = await agent.json("packet.claim-next", wish)
        assert answer.status == 422 and answer.json()["detail"][0]["loc"][1] == place, answer

    loop.run(run())


def test_a_claim_by_name_and_claim_next_exclude_each_other(loop, web, name):
    async def run():
        for _ in range(50):
            made = await create(web, name)
            one, other = await gather(
                take(web, name, wait_seconds=0),
                web.post(f"{PACKETS}/{made}/claim", claim(name)),
            )
            assert (one is None) == (other.status == 200), (one, other)
            if one is None and other.status != 200:
                raise AssertionError("nobody has it")

    loop.run(run())


def test_tenants_take_turns(loop, admin, name):
    """One tenant's crowd does not keep another's agent waiting until all of it is served."""
    crowd_size = 1500

    async def send(tenant, verb, content):
        subject = f"hr.v1.cmd.{tenant}.admin.packet.{verb}"
        headers = {"Content-Type": "application/json"}
        reply = await admin.nats.request(
            subject, json.dumps(content).encode(), timeout=30, headers=headers
        )
        assert "Nats-Service-Error" not in reply.headers, reply.data
        return reply

    async def run():
        packet = body()
        packet["metadata"]["target_agent"]["id"] = name
        wish = {"agent_id": name, "agent_name": "N", "wait_seconds": 20}
        await gather(*(send("crowd", "create", packet) for _ in range(crowd_size)))
        await send("small", "create", packet)
        await asyncio.sleep(0.5)
        finished = []

        async def claim_one(tenant):
            await send(tenant, "claim-next", wish)
            finished.append(tenant)

        await gather(*(claim_one("crowd") for _ in range(crowd_size)), claim_one("small"))
        assert finished.index("small") < crowd_size / 2

    loop.run(run())


async def create_thousands(agent, thousands, target, tag):
    packet = body()
    packet["metadata"].update(target_agent={"id": target, "name": "T"}, tags=[tag])
    message = batch_pb2.BatchCreate()
    for _ in range(50):
        message.packets.add().text = json.dumps(packet).encode()
    for _ in range(4 * thousands):
        answers = await gather(*(agent.protobuf("packet.batch-create", message) for _ in range(5)))
        assert all(len(answer.message().created) == 50 for answer in answers)


def test_a_packet_behind_thousands_that_do_not_fit_is_found(make_rail, loop):
    rail = make_rail(None).start()

    async def run():
        async with Agent(rail, seconds=60) as agent, Web(rail.url, rail.headers) as web:
            await create_thousands(agent, 6, "a", "x")
            await create_thousands(agent, 6, "a", "y")
            made = [await create(web, "a", tags=["x", "y"]) for _ in range(2)]
            await create(web, "last")
            assert await take_in_time(web, "last") is not None  # the index has them all
            assert await take(web, "a", tags=["x", "y"]) == made[0]
            assert await take(web, "a", tags=["x", "y"], scope="any") == made[1]
            assert await take(web, "a", tags=["x", "y"]) is None
            waiting = asyncio.ensure_future(take(web, "a", tags=["x", "y"], wait_seconds=20))
            await asyncio.sleep(0.3)
            assert await create(web, "a", tags=["y", "x"]) == await waiting

    loop.run(run())


def test_a_worker_that_has_just_started_does_not_say_that_there_is_nothing(make_rail, loop):
    rail = make_rail(None).start()
    worker = "hr-worker-claim-1"

    async def run():
        async with Agent(rail, seconds=5) as agent:
            await create_thousands(agent, 12, "other", "x")
            packet = body()
            packet["metadata"]["target_agent"]["id"] = "a"
            made = [(await agent.json("packet.create", packet)).json()["id"] for _ in range(3)]
            for packet_id in made:
                pid = rail.pids[worker]
                os.kill(pid, signal.SIGKILL)
                wait_until(lambda pid=pid: birth(pid) is None, 5, "its end")
                answer = None
                while answer is None:
                    try:
                        answer = await agent.json("packet.claim-next", claim("a"))
                    except (TimeoutError, nats.errors.Error):  # nobody listens, or nobody any more
                        await asyncio.sleep(0.002)
                assert answer.status == 200 and answer.json()["id"] == packet_id

    loop.run(run())


def test_whoever_would_wait_where_too_many_do_is_told_so(make_rail, loop):
    rail = make_rail(None, env={"HR_CLAIM_NEXT_WAITING_MAX": "4"}).start()

    async def run():
        async with Web(rail.url, rail.headers) as web:
            waiting = [asyncio.ensure_future(take(web, "a", wait_seconds=3)) for _ in range(2)]
            await asyncio.sleep(0.5)
            answer = await web.post(NEXT, {"agent_id": "b", "agent_name": "B", "wait_seconds": 1})
            assert (answer.status, answer.json()["code"]) == (503, "unavailable")
            assert int(answer.headers["retry-after"]) > 0
            assert await take(web, "b") is None, "who does not wait is answered as ever"
            made = await create(web, "b")
            assert await take_in_time(web, "b") == made
            assert await gather(*waiting) == [None, None]

    loop.run(run())


# --- Idempotency-Key -------------------------------------------------------------------------


async def take_with_key(web, agent, key, **parts):
    body = {"agent_id": agent, "agent_name": "N", **parts}
    return await web.post(NEXT, body, headers={"Idempotency-Key": key})


def test_a_repeat_is_given_the_same_packet(loop, web, agent, name):
    async def run():
        made = [await create(web, name) for _ in range(3)]
        await asyncio.sleep(0.6)
        key = uuid.uuid4().hex
        first = await take_with_key(web, name, key)
        assert first.status == 200 and first.json()["id"] == made[0]
        for wait in (0, 1):
            again = await take_with_key(web, name, key, wait_seconds=wait)
            assert again.status == 200 and again.json() == first.json()
            assert again.headers["x-hr-seq"] == first.headers["x-hr-seq"]
        reply = await agent.json(
            "packet.claim-next",
            {"agent_id": name, "agent_name": "N"},
            {"Idempotency-Key": key},
        )
        assert reply.json() == first.json(), "through the other door as well"
        other = await take_with_key(web, name, uuid.uuid4().hex)
        assert other.json()["id"] == made[1]

    loop.run(run())


def test_a_repeat_is_the_same_when_much_has_happened_to_the_packet(loop, web, name):
    async def run():
        made = await create(web, name)
        key = uuid.uuid4().hex
        first = await take_with_key(web, name, key, wait_seconds=2)
        assert first.json()["id"] == made
        for i in range(30):  # more than the packet remembers
            change = {"context": {"summary": str(i)}}
            assert (await web.request("PATCH", f"{PACKETS}/{made}", change)).status == 200
        await web.request("PATCH", f"{PACKETS}/{made}", {"status": "completed"})
        again = await take_with_key(web, name, key)
        assert again.json() == first.json()

    loop.run(run())


def test_a_key_is_not_for_another_request_and_not_for_another_tenant(loop, web, name):
    async def run():
        await create(web, name)
        await create(web, name + "-other")
        key = uuid.uuid4().hex
        assert (await take_with_key(web, name, key, wait_seconds=2)).status == 200
        refused = await take_with_key(web, name + "-other", key)
        assert refused.status == 422 and refused.json()["code"] == "idempotency_key_reused"

    loop.run(run())


def test_nothing_given_is_nothing_remembered(loop, web, name):
    async def run():
        key = uuid.uuid4().hex
        assert (await take_with_key(web, name, key)).status == 204
        made = await create(web, name)
        assert (await take_with_key(web, name, key, wait_seconds=2)).json()["id"] == made

    loop.run(run())


def test_repeats_at_once_are_given_one_packet(loop, web, name):
    async def run():
        made = [await create(web, name) for _ in range(8)]
        await asyncio.sleep(0.6)
        for _ in range(8):
            key = uuid.uuid4().hex
            answers = await gather(*(take_with_key(web, name, key) for _ in range(6)))
            found = {answer.json()["id"] for answer in answers if answer.status == 200}
            # While one of them is given the last packet, another may find that there is none.
            assert len(found) == 1 and {answer.status for answer in answers} <= {200, 204}
            made.remove(found.pop())
        assert await take(web, name) is None

    loop.run(run())


def test_a_choice_given_up_goes_to_whoever_waits(loop, web, name):
    async def run():
        key = uuid.uuid4().hex
        wish = {"agent_id": name, "agent_name": "N", "wait_seconds": 8}
        asking = []
        for headers in [{"Idempotency-Key": key}, {"Idempotency-Key": key}, {}]:
            asking.append(asyncio.ensure_future(web.post(NEXT, wish, headers)))
            await asyncio.sleep(0.3)  # they wait in this order
        # Each of the first two chooses one; the second to note it is given the other's, and the
        # packet it had chosen is free again.
        made = await gather(*(create(web, name) for _ in range(2)))
        found = [answer.json()["id"] for answer in await gather(*asking)]
        assert found[0] == found[1] and sorted({found[0], found[2]}) == sorted(made)

    loop.run(run())


def test_a_choice_that_was_noted_and_not_claimed_is_made_good(loop, web, admin, name):
    """As if the worker had died between the note and the claim."""
    from agent import record_pb2

    async def run():
        made = [await create(web, name) for _ in range(2)]
        await asyncio.sleep(0.6)
        key = uuid.uuid4().hex
        first = (await take_with_key(web, name, key)).json()
        assert first["id"] == made[0]
        import hashlib

        js = admin.nats.jetstream()
        subject = f"hr.v1.given.default.{hashlib.sha256(key.encode()).hexdigest()}"
        stored = await js.get_last_msg("HR_GIVEN", subject)
        note = record_pb2.Given.FromString(stored.data)
        assert note.packet_id == made[0] and note.sequence > 0
        # The claim is there, the second note is not.
        note.ClearField("sequence")
        await js.publish(subject, note.SerializeToString())
        assert (await take_with_key(web, name, key)).json() == first
        # Neither is there.
        other = uuid.uuid4().hex
        note.packet_id = made[1]
        subject = f"hr.v1.given.default.{hashlib.sha256(other.encode()).hexdigest()}"
        await js.publish(subject, note.SerializeToString())
        assert (await take_with_key(web, name, other)).json()["id"] == made[1]
        # It is somebody else's by now.
        third = uuid.uuid4().hex
        subject = f"hr.v1.given.default.{hashlib.sha256(third.encode()).hexdigest()}"
        await js.publish(subject, note.SerializeToString())
        await web.request("PATCH", f"{PACKETS}/{made[1]}", {"status": "failed"})
        new = await create(web, name)
        answer = await take_with_key(web, name, third, wait_seconds=2)
        assert answer.status == 200 and answer.json()["id"] == new

    loop.run(run())


# --- those who have gone -------------------------------------------------------------------------


async def leave_while_waiting(web, agent):
    """A client that asks, waits for half a second and closes its connection."""
    content = json.dumps({"agent_id": agent, "agent_name": "G", "wait_seconds": 20}).encode()
    head = web.head("POST", NEXT, {**web.headers, "Content-Length": str(len(content))})
    reader, writer = await asyncio.open_connection(web.host, web.port)
    writer.write(head + content)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(reader.read(1), 0.5)
    writer.close()
    await writer.wait_closed()


def test_a_client_that_has_gone_is_given_nothing(loop, web, name):
    async def run():
        for _ in range(3):
            await leave_while_waiting(web, name)
            packet = await create(web, name)
            assert await take_in_time(web, name) == packet

    loop.run(run())


def test_what_could_not_be_delivered_over_http_is_given_back(loop, rail, web, name):
    """The client goes in the moment in which it is given something."""

    async def run():
        for delay in (0, 0.001, 0.002, 0.004):
            content = json.dumps({"agent_id": name, "agent_name": "G", "wait_seconds": 20}).encode()
            head = web.head("POST", NEXT, {**web.headers, "Content-Length": str(len(content))})
            _, writer = await asyncio.open_connection(web.host, web.port)
            writer.write(head + content)
            await asyncio.sleep(0.3)
            packet = asyncio.ensure_future(create(web, name))
            await asyncio.sleep(delay)
            writer.transport.abort()
            taken = None
            for _ in range(20):
                answer = await web.get(f"{PACKETS}/{await packet}")
                # Created may also mean that it has not been given to the client yet.
                if answer.json()["status"] == "created":
                    taken = await take(web, name)
                if taken is not None:
                    break
                await asyncio.sleep(0.05)
            # Either it was given back, or its answer had been written before the client went.
            assert taken in (await packet, None)
            if taken is None:
                assert delay > 0

    loop.run(run())


def test_what_no_agent_on_nats_takes_is_given_back(loop, rail, web, agent, name):
    async def run():
        inbox = f"_INBOX.agent.{uuid.uuid4().hex}"
        subscription = await agent.nats.subscribe(inbox)
        content = json.dumps({"agent_id": name, "agent_name": "G", "wait_seconds": 20}).encode()
        await agent.nats.publish(agent.subject("packet.claim-next"), content, reply=inbox,
                                 headers={"Content-Type": "application/json"})
        await agent.nats.flush()
        await asyncio.sleep(0.3)
        await subscription.unsubscribe()
        await agent.nats.flush()
        packet = await create(web, name)
        assert await take_in_time(web, name) == packet
        history = (await web.get(f"{PACKETS}/{packet}/history?all=true")).json()
        kinds = [row["event_type"] for row in history["events"]] if "events" in history else history
        assert "released" in json.dumps(kinds)

    loop.run(run())


def test_an_agent_on_nats_may_withdraw_and_nobody_else_for_it(loop, rail, web, agent, admin, name):
    async def run():
        inbox = f"_INBOX.agent.{uuid.uuid4().hex}"
        answers = asyncio.Queue()

        async def on_answer(message):
            await answers.put(message)

        subscription = await agent.nats.subscribe(inbox, cb=on_answer)
        content = json.dumps({"agent_id": name, "agent_name": "G", "wait_seconds": 20}).encode()
        await agent.nats.publish(agent.subject("packet.claim-next"), content, reply=inbox,
                                 headers={"Content-Type": "application/json"})
        await asyncio.sleep(0.3)
        await admin.nats.publish("hr.v1.cmd.default.other.packet.claim-next-withdraw",
                                 inbox.encode())
        await asyncio.sleep(0.2)
        assert answers.empty()
        await agent.nats.publish(agent.subject("packet.claim-next-withdraw"), inbox.encode())
        message = await asyncio.wait_for(answers.get(), 5)
        assert message.headers["HR-Status"] == "204"
        packet = await create(web, name)
        assert await take_in_time(web, name) == packet
        await subscription.unsubscribe()

    loop.run(run())


def test_one_key_does_not_take_all_places_to_wait_in(make_rail, loop):
    with make_rail(env={"HR_CLAIM_NEXT_WAITING_MAX": "16"}) as rail:
        async def run():
            async with Web(rail.url, rail.headers, seconds=20) as web:
                first = [asyncio.ensure_future(web.post(NEXT, {
                    "agent_id": f"w{n}", "agent_name": "N", "wait_seconds": 3}))
                    for n in range(12)]
                done = await asyncio.gather(*first)
                statuses = sorted(answer.status for answer in done)
                assert statuses.count(503) >= 5 and statuses.count(204) >= 4, statuses

        loop.run(run())
