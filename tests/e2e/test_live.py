"""Live streams: server-sent events and WebSocket, with resuming and their bounds."""

import asyncio
import json
import random
import secrets

import httpx
import httpx_sse
import pytest
import websockets
from agent import gather
from config import new_key, put_key, put_tenant
from listen import Listener, Refused
from packets import PACKETS, body, claim
from rail import Rail
from web import Web


@pytest.fixture(scope="module")
def rail():
    """One that pings often."""
    with Rail(env={"HR_LIVE_PING_SECONDS": "1"}) as running:
        yield running


class Tenant:
    def __init__(self, rail, key, name):
        self.rail = rail
        self.key = key
        self.name = name
        self.headers = {"X-API-Key": key}
        self.web = Web(rail.url, self.headers)

    def sse(self, last=None, **query):
        return Listener(self.rail.url, self.headers, last, **query)

    def ws(self, path="/ws", **query):
        url = self.rail.url.replace("http", "ws") + path
        return Socket(url, self.headers, query)

    async def create(self, summary="x", source="planner", target="coder"):
        content = body(summary)
        content["metadata"]["source_agent"]["id"] = source
        content["metadata"]["target_agent"]["id"] = target
        answer = await self.web.post(PACKETS, content)
        assert answer.status == 201, answer
        return answer.json()["id"]

    async def claim(self, packet, agent="coder"):
        answer = await self.web.post(f"{PACKETS}/{packet}/claim", claim(agent))
        assert answer.status == 200, answer

    async def patch(self, packet, **parts):
        answer = await self.web.request("PATCH", f"{PACKETS}/{packet}", parts)
        assert answer.status == 200, answer


class Socket:
    def __init__(self, url, headers, query):
        text = "&".join(f"{k}={v}" for k, v in query.items())
        self.connection = websockets.connect(
            url + ("?" + text if text else ""), additional_headers=headers
        )

    async def __aenter__(self):
        self.socket = await self.connection
        return self

    async def __aexit__(self, *_):
        await self.socket.close()

    def cut(self):
        self.socket.transport.abort()

    async def next(self, seconds=10):
        """The next message that is no ping."""
        async with asyncio.timeout(seconds):
            while True:
                message = json.loads(await self.socket.recv())
                if message["type"] != "ping":
                    return message

    async def say(self, message):
        await self.socket.send(message if isinstance(message, (str, bytes)) else json.dumps(message))

    async def ask(self, message):
        await self.say(message)
        return await self.next()

    async def events(self, count):
        return [await self.next() for _ in range(count)]

    async def quiet(self, seconds=0.3):
        try:
            await self.next(seconds)
            return False
        except TimeoutError:
            return True


@pytest.fixture
def make_tenant(rail, loop, admin):
    made = []

    def make(role="admin", tier="business"):
        name = "t" + secrets.token_hex(5)
        key = new_key()
        loop.run(put_tenant(admin, name, tier=tier))
        loop.run(put_key(admin, key, "k" + secrets.token_hex(5), name, role))
        made.append(Tenant(rail, key, name))

        async def known():
            for _ in range(500):
                if (await made[-1].web.get("/api/v1/packets?limit=1")).status == 200:
                    return
                await asyncio.sleep(0.01)
            raise AssertionError("the gateway has not seen the new key")

        loop.run(known())
        return made[-1]

    yield make
    for tenant in made:
        tenant.web.close()


@pytest.fixture
def tenant(make_tenant):
    return make_tenant()


# --- server-sent events ----------------------------------------------------------------------


def test_every_change_is_told_as_the_contract_says(loop, tenant):
    async def run():
        async with tenant.sse() as events:
            assert "content-type: text/event-stream; charset=utf-8" in events.head.lower()
            assert "cache-control: no-cache" in events.head.lower()
            assert "x-accel-buffering: no" in events.head.lower()
            hello = await events.next()
            assert hello.name == "connected" and hello.data["connection_id"]
            assert hello.data["message"] == "HandoffRail SSE connected. Subscribed channels: all"
            packet = await tenant.create()
            await tenant.claim(packet)
            await tenant.patch(packet, status="in_progress")
            await tenant.patch(packet, context={"summary": "other"})
            await tenant.patch(packet, status="completed")
            told = await events.packets(5)
            assert [e.name for e in told] == [
                "packet.created",
                "packet.claimed",
                "packet.in_progress",
                "packet.updated",
                "packet.completed",
            ]
            for event in told:
                assert event.data["type"] == event.name
                assert event.data["packet_id"] == packet
                assert event.data["seq"] == int(event.id)
                assert event.data["timestamp"].endswith("Z")
                assert event.data["data"]["metadata"]["source_agent"]["id"] == "planner"
            assert told[-1].data["data"]["status"] == "completed"
            ids = [int(e.id) for e in told]
            assert ids == sorted(set(ids))

    loop.run(run())


def test_humans_chains_and_leases_are_told(loop, tenant):
    async def run():
        async with tenant.sse() as events:
            await events.next()
            asked = body("ask", hitl={"reason": "sure?", "options": ["yes", "no"]})
            first = (await tenant.web.post(PACKETS, asked)).json()["id"]
            event = (await events.packets(1))[0]
            assert event.name == "packet.created" and event.data["also"] == "hitl.requested"
            await tenant.web.post(
                f"{PACKETS}/{first}/respond", {"response": "yes", "responded_by": "ann"}
            )
            event = (await events.packets(1))[0]
            assert event.name == "hitl.response_ready" and event.data["also"] == "hitl.responded"
            assert event.data["data"]["hitl_response"] == "yes"
            assert event.data["data"]["status"] == "claimed"
            child = await tenant.web.post(f"{PACKETS}/{first}/chain", body("child"))
            event = (await events.packets(1))[0]
            assert event.name == "packet.chained"
            assert event.data["packet_id"] == child.json()["id"]
            assert event.data["data"]["parent_packet_id"] == first
            second = await tenant.create()
            await tenant.web.post(f"{PACKETS}/{second}/claim", claim(lease_seconds=1))
            await tenant.web.post(f"{PACKETS}/{second}/heartbeat", {})
            names = [e.name for e in await events.packets(3)]
            assert names == ["packet.created", "packet.claimed", "packet.lease_expired"]
            await tenant.web.request("DELETE", f"{PACKETS}/{second}")
            assert (await events.packets(1))[0].name == "packet.expired"

    loop.run(run())


def test_the_clocks_of_a_checkpoint_are_told(loop, tenant):
    async def run():
        async with tenant.sse() as events:
            await events.next()
            clocks = {
                "reason": "sure?",
                "timeout_seconds": 2,
                "warn_before_seconds": 1,
                "escalation": [{"after_seconds": 1, "to": "ann"}],
                "on_timeout": "fail",
            }
            packet = (await tenant.web.post(PACKETS, body("ask", hitl=clocks))).json()["id"]
            told = await events.packets(4)
            assert {e.data["packet_id"] for e in told} == {packet}
            names = [e.name for e in told]
            assert names[0] == "packet.created" and names[3] == "hitl.timed_out"
            assert set(names[1:3]) == {"hitl.escalated", "hitl.warning"}  # at one moment
            assert [e.data["type"] for e in told] == [e.name for e in told]
            status = [e.data["data"]["status"] for e in told]
            assert status == ["awaiting_human"] * 3 + ["failed"]

    loop.run(run())


def test_channels_are_joined_by_or(loop, tenant):
    async def run():
        packet = await tenant.create(target="zoe")
        query = {"subscribe": ["status:failed", f"packet:{packet}", "agent:a:b"]}
        async with tenant.sse(**query) as events:
            hello = await events.next()
            for name in query["subscribe"]:
                assert name in hello.data["message"]
            other = await tenant.create()
            await tenant.patch(other, status="failed")
            await tenant.claim(packet, "zoe")
            mine = await tenant.create(source="a:b")
            told = [(e.name, e.data["packet_id"]) for e in await events.packets(3)]
            assert told == [
                ("packet.failed", other),
                ("packet.claimed", packet),
                ("packet.created", mine),
            ]
            assert await events.quiet()

    loop.run(run())


def test_a_channel_that_is_none_matches_nothing(loop, tenant):
    async def run():
        async with tenant.sse(subscribe="nonsense") as events:
            await events.next()
            await tenant.create()
            assert await events.quiet()

    loop.run(run())


def test_a_client_comes_back_to_where_it_was(loop, tenant):
    async def run():
        packets = [await tenant.create(str(i)) for i in range(3)]
        async with tenant.sse(since=0) as events:
            hello = await events.next()
            assert hello.data["reset"] is False
            told = await events.packets(3)
            assert [e.data["packet_id"] for e in told] == packets
        async with tenant.sse(last=told[0].id) as events:
            assert [e.id for e in await events.packets(2)] == [e.id for e in told[1:]]
            new = await tenant.create()
            assert (await events.packets(1))[0].data["packet_id"] == new
        for name in ("since", "Last-Event-ID", "last_event_id", "lastEventId"):
            async with tenant.sse(**{name: told[1].id}) as events:
                assert [e.data["packet_id"] for e in await events.packets(2)] == [packets[2], new]

    loop.run(run())


def test_the_greeting_is_a_place_to_come_back_to(loop, tenant):
    async def run():
        async with tenant.sse() as events:
            hello = await events.next()
        packet = await tenant.create()
        async with tenant.sse(since=hello.id) as events:
            assert (await events.packets(1))[0].data["packet_id"] == packet

    loop.run(run())


def test_a_place_beyond_the_stream_is_said_to_be_one(loop, tenant):
    async def run():
        async with tenant.sse(since=10**15) as events:
            hello = await events.next()
            assert hello.data["reset"] is True
            packet = await tenant.create()
            assert (await events.packets(1))[0].data["packet_id"] == packet

    loop.run(run())


def test_pings_come_while_nothing_happens(loop, tenant):
    async def run():
        async with tenant.sse() as events:
            await events.next()
            event = await events.next()
            assert event.name == "ping" and event.data["timestamp"].endswith("Z")

    loop.run(run())


def test_a_stock_client_reads_it(loop, tenant):
    async def run():
        async with httpx.AsyncClient(base_url=tenant.rail.url, timeout=10) as client:
            async with httpx_sse.aconnect_sse(
                client, "GET", "/api/v1/events", params={"api_key": tenant.key}
            ) as source:
                found = source.aiter_sse()
                hello = await anext(found)
                assert hello.event == "connected" and hello.retry == 1000
                packet = await tenant.create("line\nbreak \u2028 and more")
                event = await anext(found)
                while event.event == "ping":
                    event = await anext(found)
                assert event.json()["packet_id"] == packet and event.id == str(event.json()["seq"])

    loop.run(run())


@pytest.mark.parametrize(
    "query, status",
    [
        ({"since": "x"}, 422),
        ({"since": "-1"}, 422),
        ({"since": "1e3"}, 422),
        ({"since": "99999999999999999999999"}, 422),
        ({"since": " 1"}, 422),
        ({"subscribe": "packet:" + "x" * 400}, 422),
        ({"subscribe": [f"agent:{i}" for i in range(65)]}, 422),
        ({"subscribe": [f"agent:{i}" for i in range(64)]}, 200),
        ({"subscribe": ""}, 200),
        ({"since": ""}, 200),
    ],
)
@pytest.mark.parametrize("target", ["/events", "/ws"])
def test_bad_queries_are_refused(loop, tenant, query, status, target):
    async def run():
        handshake = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        }
        listener = tenant.sse(target=target, **query)
        if target == "/ws":
            listener.headers.update(handshake)
        try:
            await listener.open()
            found = 200
        except Refused as refusal:
            found = 200 if refusal.status == 101 else refusal.status
        except IndexError:
            found = 200  # 101 has no length
        listener.cut()
        assert found == status

    loop.run(run())


@pytest.mark.parametrize("path", ["/events", "/ws", "/api/v1/events", "/api/v1/ws"])
def test_a_key_is_needed(loop, rail, path):
    async def run():
        async with Web(rail.url) as web:
            answer = await web.get(path)
            assert answer.status == 401 and answer.json()["code"] == "key_missing"
            answer = await web.get(path + "?api_key=nonsense")
            assert answer.status == 401 and answer.json()["code"] == "key_invalid"

    loop.run(run())


def test_a_query_key_is_for_listening_only(loop, rail):
    async def run():
        async with Web(rail.url) as web:
            answer = await web.get(f"{PACKETS}?api_key={rail.key}")
            assert answer.status == 401

    loop.run(run())


def test_tenants_do_not_hear_each_other(loop, make_tenant):
    async def run():
        one, two = make_tenant_pair
        packet = await two.create()
        query = {"subscribe": [f"packet:{packet}", "agent:coder", "status:created"]}
        async with one.sse() as all_events, one.sse(since=0, **query) as old, one.ws() as socket:
            await socket.next()
            await all_events.next()
            await old.next()
            await socket.ask({"action": "subscribe", "channel": f"packet:{packet}", "since": 0})
            await two.claim(packet)
            await two.create()
            assert await all_events.quiet() and await old.quiet() and await socket.quiet()
            await one.create()
            assert (await all_events.packets(1))[0].name == "packet.created"

    make_tenant_pair = make_tenant(), make_tenant()
    loop.run(run())


def test_a_key_that_is_revoked_is_cut_off(loop, admin, rail, make_tenant):
    tenant = make_tenant()
    other = new_key()

    async def run():
        await put_key(admin, other, "k-cut", tenant.name, "reader")
        await asyncio.sleep(0.2)
        listener = Listener(rail.url, {"X-API-Key": other})
        socket = Socket(rail.url.replace("http", "ws") + "/ws", {"X-API-Key": other}, {})
        async with listener as events, socket as ws:
            await events.next()
            await ws.next()
            await put_key(admin, other, "k-cut", tenant.name, "reader", revoked=True)
            event = await events.next()
            while event.name == "ping":
                event = await events.next()
            assert event.name == "closed" and "not valid" in event.data["reason"]
            assert await events.next() is None
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await ws.next()
            assert closed.value.rcvd.code == 1008

    loop.run(run())


# --- a client that is cut --------------------------------------------------------------------


async def sse_from(tenant, since):
    """(packet changes behind a place, what cuts the connection)"""
    listener = tenant.sse(last=since)
    listener.seconds = 30
    await listener.open()

    async def changes():
        while True:
            event = await listener.next()
            if event.name.startswith("packet."):
                yield int(event.id), event.data["packet_id"], event.name

    return changes(), listener.cut


async def ws_from(tenant, since):
    # Without a channel it would be told everything before it says from where.
    socket = await tenant.ws(subscribe="agent:nobody").__aenter__()
    assert (await socket.next())["type"] == "connected"
    place = {"action": "subscribe", "channel": "agent:coder", "since": since}
    assert (await socket.ask(place))["type"] == "subscribed"

    async def changes():
        while True:
            event = await socket.next(30)
            yield event["seq"], event["packet_id"], event["type"]

    return changes(), socket.cut


async def make_changes(tenant, total):
    """Four of each packet, four packets at a time."""

    async def one(count):
        async with Web(tenant.rail.url, tenant.headers, seconds=30) as web:
            for _ in range(count):
                packet = (await web.post(PACKETS, body("x"))).json()["id"]
                await web.post(f"{PACKETS}/{packet}/claim", claim())
                await web.request("PATCH", f"{PACKETS}/{packet}", {"status": "in_progress"})
                await web.request("PATCH", f"{PACKETS}/{packet}", {"status": "completed"})

    await gather(*(one(total // 16) for _ in range(4)))


async def listen_and_be_cut(tenant, listen_from, total, cuts, chance):
    """(what was told, how often it was cut). Some cuts are long enough to need the stream."""
    told, cut = [], 0
    while len(told) < total:
        changes, cut_off = await listen_from(tenant, told[-1][0] if told else 0)
        budget = chance.randrange(2 * total // cuts) if cut < cuts else total
        while budget > 0 and len(told) < total:
            told.append(await anext(changes))
            budget -= 1
        cut_off()
        cut += 1
        if cut % 10 == 0:
            await asyncio.sleep(0.5)
    return told, cut


def check_told(told, packets):
    ids = [id for id, _, _ in told]
    assert ids == sorted(set(ids)), "twice, or out of order"
    kinds = ["packet.created", "packet.claimed", "packet.in_progress", "packet.completed"]
    steps = {}
    for _, packet, name in told:
        steps.setdefault(packet, []).append(name)
    assert len(steps) == packets
    assert all(names == kinds for names in steps.values())


def test_cut_a_hundred_times_they_miss_none_and_see_none_twice(loop, tenant):
    """10,000 events, a listener of each kind; cuts at random moments."""
    total, cuts = 10_000, 100

    async def run():
        found = await gather(
            make_changes(tenant, total),
            listen_and_be_cut(tenant, sse_from, total, cuts, random.Random(11)),
            listen_and_be_cut(tenant, ws_from, total, cuts, random.Random(12)),
        )
        for told, cut in found[1:]:
            assert cut >= cuts
            check_told(told, total // 4)
        last = found[1][0][-1][0]
        async with tenant.sse(since=last) as events, tenant.ws(since=last) as socket:
            assert (await socket.next())["type"] == "connected"
            assert await events.quiet() and await socket.quiet()

    loop.run(run())


async def make_flood(tenant):
    """More than the network holds, in 1,000 packets. Returns their ids."""
    big = body("s" * 200)
    big["metadata"]["tags"] = ["t" * 200] * 60  # the envelope holds the metadata
    answers = await gather(
        *(tenant.web.post(f"{PACKETS}/batch", {"packets": [big] * 50}) for _ in range(20))
    )
    ids = [p["id"] for a in answers for p in a.json()["created"]]
    assert len(ids) == 1000
    return ids


def test_a_slow_reader_is_cut_with_a_reason_and_comes_back(loop, tenant):
    async def run():
        listener = tenant.sse()
        async with listener as events:
            hello = await events.next()
            ids = await make_flood(tenant)
            await asyncio.sleep(1)
            told, since = [], hello.id
            while True:
                event = await events.next()
                if event.name == "closed":
                    assert "too slow" in event.data["reason"]
                    break
                if event.name != "ping":
                    told.append(event.data["packet_id"])
                    since = event.id
            assert await events.next() is None
            assert len(told) < 1000
        async with tenant.sse(since=since) as events:
            told += [e.data["packet_id"] for e in await events.packets(1000 - len(told))]
        assert len(told) == 1000 and set(told) == set(ids)

    loop.run(run())


def test_a_slow_socket_is_cut_with_a_reason_and_comes_back(loop, tenant):
    async def run():
        told = []
        async with tenant.ws() as socket:
            since = (await socket.next())["seq"]
            ids = await make_flood(tenant)
            await asyncio.sleep(1)
            with pytest.raises(websockets.ConnectionClosed) as closed:
                while True:
                    event = await socket.next()
                    told.append(event["packet_id"])
                    since = event["seq"]
            assert closed.value.rcvd.code == 1013 and "too slow" in closed.value.rcvd.reason
            assert len(told) < 1000
        changes, cut_off = await ws_from(tenant, since)
        while len(told) < 1000:
            told.append((await anext(changes))[1])
        cut_off()
        assert set(told) == set(ids)

    loop.run(run())


def test_no_consumer_is_left_behind(loop, rail, tenant, admin):
    async def run():
        js = admin.nats.jetstream()

        async def count():
            return (await js.stream_info("HR_PACKETS_0")).state.consumer_count

        async with tenant.sse() as events:
            await events.next()
            for _ in range(3):
                await tenant.create()
            await events.packets(3)
            before = await count()
            for _ in range(20):
                async with tenant.sse(since=0) as other:
                    await other.packets(3)
            for _ in range(100):
                if await count() <= before:
                    return
                await asyncio.sleep(0.05)
            assert await count() <= before

    loop.run(run())


def test_streams_go_on_over_a_restart_of_nats(loop, make_rail):
    rail = make_rail()
    rail.start()

    async def run():
        async with Web(rail.url, rail.headers, seconds=30) as web:
            listener = Listener(rail.url, rail.headers, seconds=60)
            async with listener as events:
                await events.next()
                first = (await web.post(PACKETS, body())).json()["id"]
                assert (await events.packets(1))[0].data["packet_id"] == first
                old = rail.child("nats-server")["pid"]
                import os
                import signal

                os.kill(old, signal.SIGKILL)
                rail.await_restart("nats-server", old)
                for _ in range(300):
                    answer = await web.post(PACKETS, body())
                    if answer.status == 201:
                        break
                    await asyncio.sleep(0.1)
                event = await events.packets(1)
                assert event[0].data["packet_id"] == answer.json()["id"]

    loop.run(run())


def test_a_gateway_that_stops_says_so(loop, make_rail):
    rail = make_rail()
    rail.start()

    async def run():
        listener = Listener(rail.url, rail.headers, seconds=20)
        socket = Socket(rail.url.replace("http", "ws") + "/ws", rail.headers, {})
        async with listener as events, socket as ws:
            await events.next()
            await ws.next()
            rail.process.terminate()
            event = await events.next()
            while event.name == "ping":
                event = await events.next()
            assert event.name == "closed" and "shutting down" in event.data["reason"]
            assert await events.next() is None
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await ws.next()
            assert closed.value.rcvd.code == 1001

    loop.run(run())


# --- WebSocket -------------------------------------------------------------------------------


def test_a_socket_speaks_as_the_contract_says(loop, tenant):
    async def run():
        async with tenant.ws() as socket:
            hello = await socket.next()
            assert hello["type"] == "connected" and hello["tier"] == "business"
            assert hello["connection_id"] and hello["message"]
            packet = await tenant.create()
            event = await socket.next()
            assert event["type"] == "packet.created" and event["packet_id"] == packet
            pong = await socket.ask({"action": "ping"})
            assert pong["type"] == "pong" and pong["timestamp"].endswith("Z")
            answer = await socket.ask({"action": "subscribe", "channel": "status:failed"})
            assert answer == {"type": "subscribed", "channel": "status:failed"}
            answer = await socket.ask({"action": "subscribe", "channel": "what \x00 is"})
            assert answer == {"type": "subscribed", "channel": "what \x00 is"}
            await tenant.create()
            assert await socket.quiet()
            answer = await socket.ask({"action": "unsubscribe", "channel": "status:failed"})
            assert answer == {"type": "unsubscribed", "channel": "status:failed"}
            await socket.ask({"action": "unsubscribe", "channel": "what \x00 is"})
            await tenant.create()
            assert (await socket.next())["type"] == "packet.created", "everything again"

    loop.run(run())


@pytest.mark.parametrize(
    "said, answer",
    [
        ("no json", "Invalid JSON"),
        ("", "Invalid JSON"),
        ({"action": "dance"}, "Unknown action: dance"),
        ({"action": "pong"}, "Unknown action: pong"),
        ({}, "Unknown action: "),
        ({"action": {"a": 1}}, "must be strings"),
        ({"action": "subscribe", "channel": "x", "since": "y"}, "since a whole number"),
        ({"action": "subscribe", "channel": "agent:" + "x" * 400}, "Too many channels"),
    ],
)
def test_a_socket_says_what_it_did_not_understand(loop, tenant, said, answer):
    async def run():
        async with tenant.ws() as socket:
            await socket.next()
            found = await socket.ask(said)
            assert found["type"] == "error" and answer in found["message"]
            assert (await socket.ask({"action": "ping"}))["type"] == "pong"

    loop.run(run())


@pytest.mark.parametrize("said", [{"action": "subscribe"}, {"action": "subscribe", "channel": ""}])
def test_a_socket_is_silent_about_no_channel(loop, tenant, said):
    async def run():
        async with tenant.ws() as socket:
            await socket.next()
            await socket.say(said)
            assert (await socket.ask({"action": "ping"}))["type"] == "pong"

    loop.run(run())


@pytest.mark.parametrize(
    "said, code",
    [("[1]", 1003), ("1", 1003), (b"\x00\x01", 1003), ("x" * 20_000, 1009)],
)
def test_a_socket_is_closed_over_what_it_cannot_be_for(loop, tenant, said, code):
    async def run():
        async with tenant.ws() as socket:
            await socket.next()
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await socket.say(said)
                await socket.next()
            assert closed.value.rcvd.code == code

    loop.run(run())


def test_a_socket_goes_on_from_a_place_without_gap_or_repetition(loop, tenant):
    async def run():
        first = [await tenant.create(target="ann") for _ in range(3)]
        other = await tenant.create(target="bob")
        async with tenant.ws() as socket:
            place = (await socket.next())["seq"]
            # Told as part of everything, so not again as part of the channel.
            live = await tenant.create(target="ann")
            assert (await socket.next())["packet_id"] == live
            subscribe = {"action": "subscribe", "channel": "agent:ann", "since": 0}
            assert (await socket.ask(subscribe))["type"] == "subscribed"
            told = [e["packet_id"] for e in await socket.events(3)]
            assert told == first
            assert await socket.quiet()
            # What another channel has told is not told again.
            subscribe = {"action": "subscribe", "channel": "status:created", "since": 0}
            assert (await socket.ask(subscribe))["type"] == "subscribed"
            assert (await socket.next())["packet_id"] == other
            assert await socket.quiet()
            new = await tenant.create(target="ann")
            assert (await socket.next())["packet_id"] == new
            assert await socket.quiet()
        async with tenant.ws(since=place) as socket:
            hello = await socket.next()
            assert hello["seq"] == place
            assert [e["packet_id"] for e in await socket.events(2)] == [live, new]

    loop.run(run())


def test_sockets_are_counted_by_tier(loop, rail, admin, make_tenant):
    for tier, most in (("free", 1), ("pro", 5), ("business", 25), ("unheard-of", 1)):
        tenant = make_tenant(tier=tier)

        async def run():
            sockets = [tenant.ws() for _ in range(most)]
            for socket in sockets:
                await socket.__aenter__()
            with pytest.raises(websockets.InvalidStatus) as refused:
                await tenant.ws().__aenter__()
            assert refused.value.response.status_code == 403
            stats = (await tenant.web.get("/api/v1/stats")).json()
            assert stats["active_ws_connections"] == most
            await sockets[0].__aexit__()
            for _ in range(100):
                if (await tenant.web.get("/api/v1/stats")).json()[
                    "active_ws_connections"
                ] == most - 1:
                    break
                await asyncio.sleep(0.02)
            async with tenant.ws() as again:
                assert (await again.next())["type"] == "connected"
            for socket in sockets[1:]:
                await socket.__aexit__()

        loop.run(run())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Version": "13"},
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "8",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
        {
            "Upgrade": "h2c",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
        },
        {
            "Upgrade": "websocket",
            "Connection": "Upgrade",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "short",
        },
    ],
)
def test_a_bad_handshake_is_refused(loop, tenant, headers):
    async def run():
        answer = await tenant.web.request("GET", "/ws", headers={**tenant.headers, **headers})
        assert answer.status == 400 and answer.json()["code"] == "invalid_header"

    loop.run(run())
