"""Many listeners at once: of many tenants, and of one tenant that all come back together."""

import asyncio
import time

import pytest
from agent import gather
from config import new_key, put_key
from listen import Listener
from packets import PACKETS, body
from rail import Rail
from web import Web

TENANTS = 500
RETURNING = 2000
EVENTS = 3000  # in the stream
OWN = 100  # of the tenant whose listeners return
AT_ONCE = 50  # connections that are being opened at a time


@pytest.fixture(scope="module")
def rail():
    with Rail(env={"HR_LIVE_PING_SECONDS": "60"}) as running:
        yield running


async def in_turn(make, count):
    """make(0), make(1), ...: AT_ONCE at a time; the results in order."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(i):
        async with gate:
            return await make(i)

    return await gather(*(one(i) for i in range(count)))


async def make_keys(rail, admin, names):
    """A key for every tenant; the gateway knows all of them when this returns."""
    keys = {name: new_key() for name in names}
    for name, key in keys.items():
        await put_key(admin, key, name, name, "writer")
    async with Web(rail.url, {"X-API-Key": keys[names[-1]]}) as web:
        deadline = time.monotonic() + 10
        while (await web.get(PACKETS)).status == 401:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
    return keys


async def create(web, count):
    content = body("x")
    answers = await in_turn(lambda i: web.post(PACKETS, content), count)
    assert {answer.status for answer in answers} == {201}
    return [answer.json()["id"] for answer in answers]


def test_500_tenants_with_a_listener_each_hear_their_own_events(rail, loop, admin):
    names = [f"many-{i}" for i in range(TENANTS)]
    pid = rail.pids["hr-gateway-1"]

    async def run():
        keys = await make_keys(rail, admin, names)
        listeners = [Listener(rail.url, {"X-API-Key": keys[name]}, seconds=30) for name in names]
        await in_turn(lambda i: listeners[i].open(), TENANTS)
        await in_turn(lambda i: listeners[i].next(), TENANTS)  # connected

        async def tell(i):
            async with Web(rail.url, {"X-API-Key": keys[names[i]]}) as web:
                return (await create(web, 1))[0]

        made = await in_turn(tell, TENANTS)
        heard = await in_turn(lambda i: listeners[i].packets(1), TENANTS)
        assert [events[0].data["packet_id"] for events in heard] == made
        for listener in listeners:
            listener.cut()

    loop.run(run())
    assert rail.pids["hr-gateway-1"] == pid


def test_2000_listeners_that_come_back_at_once_miss_nothing(rail, loop, admin):
    pid = rail.pids["hr-gateway-1"]

    async def run():
        keys = await make_keys(rail, admin, ["back", "others"])
        async with Web(rail.url, {"X-API-Key": keys["others"]}) as web:
            await create(web, EVENTS - OWN)
        async with Web(rail.url, {"X-API-Key": keys["back"]}) as web:
            made = await create(web, OWN)

        async def come_back(i):
            listener = Listener(rail.url, {"X-API-Key": keys["back"]}, last=0, seconds=60)
            await listener.open()
            heard = [event.data["packet_id"] for event in await listener.packets(OWN)]
            listener.cut()
            return heard

        # All at once: each waits for its turn with its connection open.
        heard = await gather(*(come_back(i) for i in range(RETURNING)))
        assert {tuple(sorted(ids)) for ids in heard} == {tuple(sorted(made))}
        assert len(heard) == RETURNING

    loop.run(run())
    assert rail.pids["hr-gateway-1"] == pid


def test_listeners_that_do_not_read_give_way_to_those_who_do(rail, loop, admin):
    """They occupy every place; the others are served all the same, and they lose nothing either."""

    async def run():
        keys = await make_keys(rail, admin, ["slow"])
        headers = {"X-API-Key": keys["slow"]}
        async with Web(rail.url, headers) as web:
            content = body("x")
            content["context"]["summary"] = "s" * 40_000
            answers = await in_turn(lambda i: web.post(PACKETS, content), 400)
            made = {answer.json()["id"] for answer in answers}
            assert len(made) == 400
        stuck = [Listener(rail.url, headers, last=0, seconds=60) for _ in range(80)]
        await in_turn(lambda i: stuck[i].open(), len(stuck))
        started = time.monotonic()
        async with Listener(rail.url, headers, last=0, seconds=30) as reader:
            heard = await reader.packets(400)
        assert {event.data["packet_id"] for event in heard} == made
        assert time.monotonic() - started < 30
        late = await stuck[0].packets(400)
        assert {event.data["packet_id"] for event in late} == made
        for listener in stuck:
            listener.cut()

    loop.run(run())


@pytest.mark.parametrize("size", [200_000, 300_000, 900_000])
def test_a_large_event_cuts_off_nobody_who_reads(rail, web, loop, size):
    """A client that is not slow hears of it, and of what comes behind it."""

    async def run():
        agent = f"large-{size}"
        content, small = body(), body()
        content["metadata"]["source_agent"] = {"id": agent, "name": "x" * size}
        small["metadata"]["source_agent"] = {"id": agent, "name": "small"}
        async with Listener(rail.url, rail.headers, subscribe=f"agent:{agent}") as listener:
            made = []
            for _ in range(3):
                for packet in (content, small):
                    answer = await web.post(PACKETS, packet)
                    assert answer.status == 201
                    made.append(answer.json()["id"])
            heard = await listener.packets(6)
            assert [event.data["packet_id"] for event in heard] == made

    loop.run(run())
