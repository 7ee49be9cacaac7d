"""What an agent with a NATS credential sends to keep a worker busy, and what others notice of it."""

import asyncio
import json
import time
import urllib.parse

import pytest
from agent import JSON, command_pb2
from packets import body
from rail import Rail

LIMIT_SECONDS = 0.1  # for an answer to somebody else, meanwhile
MANY = 200_000


@pytest.fixture(scope="module")
def rail():
    """One copy of each worker: there is no other that could answer."""
    with Rail() as running:
        yield running


class RawAgent:
    """The agent's protocol by hand: for headers that no client library sends."""

    def __init__(self, rail):
        self.url = urllib.parse.urlsplit(rail.agent_nats_url)

    async def __aenter__(self):
        self.reader, self.writer = await asyncio.open_connection(self.url.hostname, self.url.port)
        await self.reader.readline()  # INFO
        options = {
            "verbose": False,
            "headers": True,
            "user": self.url.username,
            "pass": self.url.password,
        }
        self.writer.write(f"CONNECT {json.dumps(options)}\r\nPING\r\n".encode())
        while b"PONG" not in await self.reader.readline():
            pass
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    async def publish(self, subject, reply, lines, data):
        head = b"NATS/1.0\r\n" + lines + b"\r\n"
        sizes = f"{len(head)} {len(head) + len(data)}"
        self.writer.write(f"HPUB {subject} {reply} {sizes}\r\n".encode() + head + data + b"\r\n")
        await self.writer.drain()


async def slowest_answer(agent, packet_id, attack):
    """The longest that an answer takes while the attack lasts, and for half a second after."""
    slowest = 0
    attacking = asyncio.ensure_future(attack)
    end = None
    while end is None or time.monotonic() < end:
        if attacking.done() and end is None:
            await attacking
            end = time.monotonic() + 0.5
        started = time.monotonic()
        answer = await agent.json("packet.get", {"packet_id": packet_id})
        slowest = max(slowest, time.monotonic() - started)
        assert answer.status == 200
        await asyncio.sleep(0.005)
    return slowest


@pytest.mark.parametrize("data", [b"{}", b""], ids=["with data", "empty"])
def test_a_message_with_very_many_headers_is_refused_before_they_are_read(rail, loop, agent, data):
    async def run():
        made = (await agent.json("packet.create", body())).json()["id"]
        inbox = agent.nats.new_inbox()
        answers = await agent.nats.subscribe(inbox)
        await agent.nats.flush()

        async def attack(raw):
            for _ in range(5):
                await raw.publish(agent.subject("packet.get"), inbox, b"a: b\r\n" * MANY, data)

        async with RawAgent(rail) as raw:
            assert await slowest_answer(agent, made, attack(raw)) < LIMIT_SECONDS
            for _ in range(5):
                answer = await answers.next_msg(timeout=5)
                assert answer.headers["Nats-Service-Error"] == "invalid_header"
                assert answer.headers["Nats-Service-Error-Code"] == "400"
            # Nobody may have the answer sent to somebody else's inbox.
            await raw.publish(
                agent.subject("packet.get"), "_INBOX.admin.x", b"a: b\r\n" * MANY, data
            )
            # What is just short enough is read.
            lines = b"a: b\r\n" * 1300 + f"Content-Type: {JSON}\r\n".encode()
            wanted = json.dumps({"packet_id": made}).encode()
            await raw.publish(agent.subject("packet.get"), inbox, lines, wanted)
            answer = await answers.next_msg(timeout=5)
            assert json.loads(answer.data)["id"] == made

    loop.run(run())


def test_a_command_that_is_too_large_is_refused_before_it_is_decoded(rail, loop, agent):
    """Empty messages in protobuf are two bytes each, and cost sixty times as much once decoded."""

    async def run():
        made = (await agent.json("packet.create", body())).json()["id"]
        field = command_pb2.UpdatePacket.DESCRIPTOR.fields_by_name["decisions"].number
        payload = bytes([field << 3 | 2, 0]) * 3_900_000

        async def attack():
            for _ in range(3):
                answer = await agent.send("packet.update", payload)
                assert answer.status == 413
                assert answer.headers["Nats-Service-Error"] == "too_large"

        assert await slowest_answer(agent, made, attack()) < LIMIT_SECONDS
        answer = await agent.json("packet.update", b" " * 7_800_000)
        assert (answer.status, answer.json()["code"]) == (413, "too_large")

    loop.run(run())
