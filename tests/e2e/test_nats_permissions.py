"""What nats-server itself lets each user of a local rail do: clients/cli/serve/nats.c."""

import asyncio

import nats
import pytest
from nats.errors import Error

PACKET = "hr.v1.packet.0.default.11111111-1111-4111-8111-111111111111"
COMMAND = "hr.v1.cmd.default.{}.packet.no-such-verb"


def password(rail, user):
    for line in (rail.folder / "secrets").read_text().splitlines():
        name, value = line.split(" ")
        if name == "nats." + user:
            return value
    raise KeyError(user)


async def attempt(rail, user, action):
    """Does something as a user; returns what the server refused."""
    refused = []

    async def on_error(error):
        refused.append(str(error).lower())

    connection = await nats.connect(
        rail.nats_url,
        user=user,
        password=password(rail, user),
        error_cb=on_error,
        allow_reconnect=False,
    )
    try:
        await action(connection)
        await connection.flush()
        await asyncio.sleep(0.05)
    except Error as error:
        refused.append(str(error).lower())
    finally:
        await connection.close()
    return [text for text in refused if "permissions violation" in text]


def publish(subject):
    return lambda connection: connection.publish(subject, b"")


def subscribe(subject):
    return lambda connection: connection.subscribe(subject)


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("agent", COMMAND.format("agent")),
        ("gateway", COMMAND.format("somebody")),
        ("gateway", "$SRV.PING"),
        ("worker", "hr.v1.packet.no-stream-takes-this"),
        ("worker", "_INBOX.somebody.1"),
        ("worker", "hr.v1.cmd.default.hr-worker-chain.packet.version"),
        ("worker", "hr.v1.cmd.default.hr-worker-packet.schema.check"),
        ("admin", "anything"),
    ],
)
def test_may_publish(rail, user, subject):
    assert asyncio.run(attempt(rail, user, publish(subject))) == []


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("agent", PACKET),
        ("agent", COMMAND.format("gateway")),
        ("agent", "hr.v1.cmd.other.agent.packet.create"),
        ("agent", "hr.v1.event.default.x"),
        ("agent", "_INBOX.agent.1"),
        ("agent", "$JS.API.INFO"),
        ("agent", "$JS.API.STREAM.MSG.GET.HR_PACKETS_0"),
        ("agent", "$SRV.PING"),
        ("gateway", PACKET),
        ("gateway", "_INBOX.somebody.1"),
        ("gateway", "$KV.HR_KEYS.x"),
        ("gateway", "$JS.API.STREAM.CREATE.X"),
        ("gateway", "$JS.API.STREAM.DELETE.HR_PACKETS_0"),
        ("worker", "$JS.API.STREAM.DELETE.HR_PACKETS_0"),
        ("worker", "$JS.API.STREAM.PURGE.HR_PACKETS_0"),
        ("worker", "$JS.API.STREAM.MSG.DELETE.HR_PACKETS_0"),
        ("worker", "$JS.API.STREAM.UPDATE.HR_PACKETS_0"),
        ("worker", "hr.v1.cmd.default.agent.packet.create"),
        ("worker", "hr.v1.cmd.default.hr-worker-packet.schema.create"),
        ("worker", "$KV.HR_KEYS.x"),
        ("agent", "$KV.HR_SCHEMAS.default.x"),
        ("worker", "hr.v1.event.default.x"),
    ],
)
def test_may_not_publish(rail, user, subject):
    assert asyncio.run(attempt(rail, user, publish(subject))) != []


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("agent", "_INBOX.agent.>"),
        ("agent", "hr.v1.event.default.>"),
        ("agent", "hr.v1.inbox.default.me"),
        ("gateway", "_INBOX.>"),
        ("gateway", "hr.v1.event.>"),
        ("worker", "hr.v1.cmd.>"),
        ("admin", ">"),
    ],
)
def test_may_subscribe(rail, user, subject):
    assert asyncio.run(attempt(rail, user, subscribe(subject))) == []


@pytest.mark.parametrize(
    ("user", "subject"),
    [
        ("agent", ">"),
        ("agent", "_INBOX.>"),
        ("agent", "hr.v1.cmd.>"),
        ("agent", "hr.v1.packet.>"),
        ("agent", "hr.v1.event.other.>"),
        ("gateway", "hr.v1.cmd.>"),
        ("gateway", "hr.v1.packet.>"),
        ("worker", "hr.v1.packet.>"),
    ],
)
def test_may_not_subscribe(rail, user, subject):
    assert asyncio.run(attempt(rail, user, subscribe(subject))) != []


def test_nobody_without_a_password(rail):
    async def connect(**login):
        connection = await nats.connect(
            rail.nats_url, allow_reconnect=False, max_reconnect_attempts=0, **login
        )
        await connection.close()

    for login in [{}, {"user": "admin", "password": "guess"}, {"user": "nobody", "password": ""}]:
        with pytest.raises(Error, match="(?i)authorization"):
            asyncio.run(connect(**login))


def test_urls_for_people_log_in(rail):
    async def connect(url):
        connection = await nats.connect(url, inbox_prefix="_INBOX.agent")
        await connection.flush()
        await connection.close()

    for url in [rail.agent_nats_url, rail.admin_nats_url]:
        asyncio.run(connect(url))
