"""Agents and the admin on NATS, and what they see of the packet stream.

    async with Agent(rail) as agent:
        answer = await agent.json("packet.create", body)
"""

import asyncio
import json

import contract
import nats

packet_pb2 = contract.load("packet")
command_pb2 = contract.load("command")
chain_pb2 = contract.load("chain")
admin_pb2 = contract.load("admin")
batch_pb2 = contract.load("batch")
query_pb2 = contract.load("query")
live_pb2 = contract.load("live")
webhook_pb2 = contract.load("webhook")
record_pb2 = contract.load("record")
audit_pb2 = contract.load("audit")
schema_pb2 = contract.load("schema")

STREAM = "HR_PACKETS_0"
JSON = "application/json"

# verb -> (request, reply)
MESSAGES = {
    "packet.create": (command_pb2.CreatePacket, packet_pb2.Packet),
    "packet.get": (command_pb2.PacketRef, packet_pb2.Packet),
    "packet.update": (command_pb2.UpdatePacket, packet_pb2.Packet),
    "packet.delete": (command_pb2.PacketRef, packet_pb2.Packet),
    "packet.claim": (command_pb2.ClaimPacket, packet_pb2.Packet),
    "packet.claim-next": (command_pb2.ClaimNext, packet_pb2.Packet),
    "packet.heartbeat": (command_pb2.HeartbeatClaim, packet_pb2.Packet),
    "packet.release": (command_pb2.ReleaseClaim, packet_pb2.Packet),
    "packet.decline": (command_pb2.DeclinePacket, packet_pb2.Packet),
    "packet.reassign": (command_pb2.ReassignPacket, packet_pb2.Packet),
    "packet.respond": (command_pb2.RespondPacket, packet_pb2.Packet),
    "hook.create": (webhook_pb2.CreateHook, webhook_pb2.HookView),
    "hook.get": (webhook_pb2.HookRef, webhook_pb2.HookView),
    "hook.list": (command_pb2.Empty, webhook_pb2.HookList),
    "hook.update": (webhook_pb2.UpdateHook, webhook_pb2.HookView),
    "hook.delete": (webhook_pb2.HookRef, webhook_pb2.HookView),
    "hook.deliveries": (webhook_pb2.ListDeliveries, webhook_pb2.DeliveryList),
    "packet.follow": (live_pb2.FollowPackets, live_pb2.Following),
    "packet.list": (command_pb2.ListPackets, command_pb2.PacketPage),
    "packet.batch-create": (batch_pb2.BatchCreate, batch_pb2.BatchCreated),
    "packet.batch-claim": (batch_pb2.BatchClaim, batch_pb2.BatchClaimed),
    "packet.batch-complete": (batch_pb2.BatchComplete, batch_pb2.BatchCompleted),
    "packet.batch-respond": (batch_pb2.BatchRespond, batch_pb2.BatchResponded),
    "packet.search": (query_pb2.SearchPackets, command_pb2.PacketPage),
    "packet.awaiting": (query_pb2.ListAwaiting, command_pb2.PacketPage),
    "stats.get": (command_pb2.Empty, query_pb2.Stats),
    "system.health": (command_pb2.Empty, query_pb2.SystemHealth),
    "packet.chain": (chain_pb2.ChainPacket, packet_pb2.Packet),
    "packet.context": (chain_pb2.GetContext, chain_pb2.OwnPart),
    "packet.version": (chain_pb2.GetVersion, packet_pb2.Packet),
    "packet.tree": (chain_pb2.GetTree, chain_pb2.ChainTree),
    "packet.history": (command_pb2.GetHistory, command_pb2.History),
    "schema.create": (schema_pb2.CreateSchema, schema_pb2.Schema),
    "schema.get": (schema_pb2.GetSchema, schema_pb2.Schema),
    "schema.list": (schema_pb2.ListSchemas, schema_pb2.SchemaPage),
    "schema.check": (schema_pb2.CheckContext, schema_pb2.SchemaVerdict),
    "audit.list": (command_pb2.ListAudit, command_pb2.AuditPage),
    "audit.export": (audit_pb2.ExportAudit, audit_pb2.AuditRows),
    "audit.wait": (command_pb2.Empty, command_pb2.Empty),
}


class Reply:
    def __init__(self, message, verb):
        self.headers = message.headers or {}
        self.data = message.data
        done = self.headers.get("HR-Status", "200")  # 204: nothing to answer with
        self.status = int(self.headers.get("Nats-Service-Error-Code", done))
        self.seq = int(self.headers.get("HR-Seq", "0"))
        self._type = command_pb2.Error if self.status >= 400 else MESSAGES[verb][1]
        assert "HR-Part" not in self.headers

    def json(self):
        assert self.headers["Content-Type"] == JSON
        return json.loads(self.data)

    def message(self):
        assert self.headers["Content-Type"] == "application/protobuf"
        return self._type.FromString(self.data)

    def __repr__(self):
        return f"<{self.status} {self.headers} {self.data[:400]!r}>"


class Agent:
    """A connection as the agent of a rail: it may send commands as key `agent` of `default`."""

    key = "agent"

    def __init__(self, rail, seconds=10, **options):
        self.url = rail.agent_nats_url
        self.seconds = seconds
        self.options = options
        self.refused = []  # what the server said it will not do

    async def __aenter__(self):
        async def on_error(error):
            self.refused.append(str(error))

        self.nats = await nats.connect(
            self.url,
            inbox_prefix=b"_INBOX." + self.key.encode(),
            error_cb=on_error,
            **{"max_reconnect_attempts": -1, "reconnect_time_wait": 0.1, **self.options},
        )
        return self

    async def __aexit__(self, *_):
        await self.nats.close()

    def subject(self, verb):
        return f"hr.v1.cmd.default.{self.key}.{verb}"

    async def send(self, verb, payload, headers=None):
        message = await self.nats.request(
            self.subject(verb), payload, timeout=self.seconds, headers=headers or {}
        )
        if message.headers and message.headers.get("Status") == "503":
            raise ConnectionError("no worker listens")
        return Reply(message, verb)

    async def json(self, verb, body, headers=None):
        """body: bytes, or what json.dumps takes."""
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        return await self.send(verb, body, {"Content-Type": JSON, **(headers or {})})

    async def protobuf(self, verb, message, headers=None):
        return await self.send(verb, message.SerializeToString(), headers)


class Admin(Agent):
    key = "admin"

    def __init__(self, rail, **options):
        super().__init__(rail, **options)
        self.url = rail.admin_nats_url

    async def api(self, subject, body=b""):
        """A request to JetStream."""
        message = await self.nats.request("$JS.API." + subject, body, timeout=self.seconds)
        return json.loads(message.data)

    async def last_seq(self):
        return (await self.api("STREAM.INFO." + STREAM))["state"]["last_seq"]

    async def last_record(self, tenant, packet_id):
        """What the stream holds last of a packet."""
        js = self.nats.jetstream(timeout=self.seconds)
        message = await js.get_last_msg(STREAM, f"hr.v1.packet.0.{tenant}.{packet_id}")
        return record_pb2.PacketRecord.FromString(message.data)

    async def records(self, first=1):
        """The stream from a sequence to its end: [(sequence, subject, PacketRecord)]."""
        last = await self.last_seq()
        found = []
        if last < first:
            return found
        js = self.nats.jetstream(timeout=self.seconds)
        config = nats.js.api.ConsumerConfig(
            deliver_policy=nats.js.api.DeliverPolicy.BY_START_SEQUENCE,
            opt_start_seq=first,
        )
        # Ordered, so with flow control: the server cuts off who cannot keep up with a long stream.
        subscription = await js.subscribe(
            "hr.v1.packet.0.*.*", stream=STREAM, config=config, ordered_consumer=True
        )
        try:
            while not found or found[-1][0] < last:
                message = await subscription.next_msg(timeout=self.seconds)
                record = record_pb2.PacketRecord.FromString(message.data)
                found.append((message.metadata.sequence.stream, message.subject, record))
        finally:
            await subscription.unsubscribe()
        return found


async def gather(*jobs):
    """asyncio.gather that leaves nothing running when one fails, and raises what failed first."""
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
