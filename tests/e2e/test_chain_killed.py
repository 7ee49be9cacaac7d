"""Chain workers die under load: every acknowledged follow-up is one child, and no other exists."""

import asyncio
import collections
import os
import signal

import pytest
from agent import Admin
from chains import link, said
from packets import PACKETS, body
from web import Web

CLIENTS = 32
CHAINS_EACH = 30  # at least: the load goes on as long as there is killing
KILLS = 8
SECONDS = 120


@pytest.fixture
def rail(make_rail):
    return make_rail(None, "--scale", "chain=2").start()


async def insist(web, parent, key, number):
    """Repeats a chain with one key until it is acknowledged; returns the child's id and the tries."""
    sent = link("coder", f"agent-{number}", context={"summary": key})
    for tries in range(1, 100):
        try:
            answer = await web.post(f"{PACKETS}/{parent}/chain", sent, {"Idempotency-Key": key})
        except (OSError, TimeoutError):
            continue
        if answer.status == 201:
            whole = answer.json()
            texts = [entry["content"] for entry in whole["context"]["conversation_state"]]
            assert texts == ["one", "two"], "never shorter"
            return whole["id"], tries
        assert answer.status == 503, answer
        await asyncio.sleep(0.02)
    raise AssertionError(f"{key} was never acknowledged")


async def kill_in_turn(rail):
    for number in range(KILLS):
        name = f"hr-worker-chain-{number % 2 + 1}"
        pid = rail.pids[name]
        os.kill(pid, signal.SIGKILL)
        await asyncio.to_thread(rail.await_restart, name, pid, 20)


@pytest.mark.timeout(SECONDS + 60)
def test_every_acknowledged_chain_is_one_child(rail):
    async def run():
        async with (
            asyncio.timeout(SECONDS),
            Web(rail.url, rail.headers, seconds=10) as web,
            Admin(rail) as admin,
        ):
            talk = {"summary": "root", "conversation_state": said("one", "two")}
            root = (await web.post(PACKETS, body(context=talk))).json()["id"]
            acknowledged = {}
            tries = 0
            killer = asyncio.create_task(kill_in_turn(rail))

            async def client(number):
                nonlocal tries
                i = 0
                while i < CHAINS_EACH or not killer.done():
                    key = f"{number}-{i}"
                    acknowledged[key], needed = await insist(web, root, key, number)
                    tries += needed
                    i += 1

            await asyncio.gather(*[client(number) for number in range(CLIENTS)])
            await killer
            return acknowledged, tries, await admin.records()

    acknowledged, tries, records = asyncio.run(run())
    children = collections.Counter()
    for _, _, record in records:
        if record.packet.HasField("parent_packet_id"):
            assert record.event.type == "created"
            children[(record.packet.context.summary, record.packet.id)] += 1
    print(f"{len(acknowledged)} chains, {tries} tries, {KILLS} kills")
    assert len(acknowledged) >= CLIENTS * CHAINS_EACH and tries > len(acknowledged)
    assert set(children) == set(acknowledged.items()), "none lost, none doubled"
    assert set(children.values()) == {1}
