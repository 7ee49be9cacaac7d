"""Agents at work, and the account of what they were promised.

Every agent makes packets, lets two claim each at once, and completes them, over REST and NATS in
turn. With patience it repeats whatever was not answered for certain, under the same
Idempotency-Key. check_stream and check_postgres then hold the stores against the account.
"""

import asyncio
import collections
import itertools
import time

import nats.errors
from agent import Admin, Agent
from packets import PACKETS, body, claim, postgres
from rail import wait_until
from web import Web

NO_ANSWER = (OSError, TimeoutError, nats.errors.Error)
CHANGED = {"create": "created", "claim": "claimed", "complete": "completed"}


class Promise:
    """One change that was acknowledged."""

    def __init__(self, kind, packet_id, seq, agent):
        self.kind = kind
        self.packet_id = packet_id
        self.seq = seq
        self.agent = agent  # who claimed


class Load:
    def __init__(self, rail, clients=16, patient=True, seconds=4, pause=0):
        self.rail = rail
        self.clients = clients
        self.patient = patient  # repeats; otherwise the first failure counts
        self.seconds = seconds  # until a request counts as unanswered
        self.pause = pause  # between the packets of one client
        self.promises = []
        self.packets = {}  # idempotency key of the create -> packet id
        self.attempted = set()  # keys
        self.repeats = collections.Counter()  # why
        self.wrong = []  # answers that no failure of ours explains
        self.latencies = collections.defaultdict(list)  # kind -> seconds
        self.stopping = False
        self.longest_pause = 0.0  # without any promise
        self.last_promise_at = None
        self._tasks = []

    async def __aenter__(self):
        self.web = Web(self.rail.url, self.rail.headers, seconds=self.seconds)
        self.agent = Agent(self.rail, seconds=self.seconds)
        await self.agent.__aenter__()
        self.last_promise_at = time.monotonic()
        self._tasks = [asyncio.create_task(self._client(i)) for i in range(self.clients)]
        return self

    async def __aexit__(self, *_):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.web.close()
        await self.agent.__aexit__()

    async def finish(self, seconds=60):
        """Lets every client end what it has begun."""
        self.stopping = True
        async with asyncio.timeout(seconds):
            await asyncio.gather(*self._tasks)

    def failed(self):
        """Raises what a client died of."""
        for task in self._tasks:
            if task.done() and not task.cancelled() and task.exception():
                raise task.exception()

    async def progress(self, count, seconds=30):
        """Waits for so many more promises."""
        goal = len(self.promises) + count
        async with asyncio.timeout(seconds):
            while len(self.promises) < goal:
                self.failed()
                await asyncio.sleep(0.02)

    # --- one client ------------------------------------------------------------------------------

    async def _client(self, number):
        for i in itertools.count():
            if self.stopping:
                return
            await self._life(f"{number}-{i}", rest=(number + i) % 2 == 0)
            await asyncio.sleep(self.pause)

    async def _life(self, name, rest):
        self.attempted.add(name)
        done = await self._change("create", rest, name, None, body(name))
        if done is None:
            return
        packet_id, _ = done
        assert self.packets.setdefault(name, packet_id) == packet_id
        takers = [f"{name}-left", f"{name}-right"]
        doors = [rest, not rest]
        won = await asyncio.gather(
            *(
                self._change("claim", door, taker, packet_id, claim(taker))
                for taker, door in zip(takers, doors)
            )
        )
        if sum(result is not None for result in won) != 1:
            self.wrong.append((name, "winners", [won]))
        await self._change(
            "complete", not rest, name + "-done", packet_id, {"status": "completed"}
        )

    async def _change(self, kind, rest, key, packet_id, content):
        """Does it until the answer is certain. Returns (packet_id, seq), or None: refused."""
        while True:
            started = time.monotonic()
            try:
                status, seq, answer = await (self._rest if rest else self._nats)(
                    kind, key, packet_id, content
                )
            except NO_ANSWER as error:
                status, seq, answer = 0, 0, type(error).__name__
            if status in (200, 201):
                return self._promised(kind, key, answer["id"], int(seq), started)
            if status == 409 and kind == "claim":
                return None
            if not self.patient or status not in (0, 503):
                self.wrong.append((kind, key, status, answer))
                return None
            self.repeats[answer["code"] if status else answer] += 1
            await asyncio.sleep(0.05)

    def _promised(self, kind, key, packet_id, seq, started):
        now = time.monotonic()
        self.latencies[kind].append(now - started)
        self.longest_pause = max(self.longest_pause, now - self.last_promise_at)
        self.last_promise_at = now
        self.promises.append(Promise(kind, packet_id, seq, key))
        return packet_id, seq

    async def _rest(self, kind, key, packet_id, content):
        headers = {"Idempotency-Key": key}
        if kind == "create":
            answer = await self.web.post(PACKETS, content, headers)
        elif kind == "claim":
            answer = await self.web.post(f"{PACKETS}/{packet_id}/claim", content, headers)
        else:
            answer = await self.web.patch(f"{PACKETS}/{packet_id}", content, headers)
        return answer.status, answer.headers.get("x-hr-seq", 0), answer.json()

    async def _nats(self, kind, key, packet_id, content):
        verb = {"complete": "update"}.get(kind, kind)
        if packet_id:
            content = {**content, "packet_id": packet_id}
        answer = await self.agent.json("packet." + verb, content, {"Idempotency-Key": key})
        return answer.status, answer.seq, answer.json()

    def percentile(self, kind, part):
        values = sorted(self.latencies[kind])
        return values[min(len(values) - 1, int(len(values) * part))]

    def summary(self):
        return (
            f"{len(self.promises)} changes acknowledged, {len(self.packets)} packets, "
            f"repeats {dict(self.repeats)}, longest pause {self.longest_pause:.2f} s"
        )


# --- the account ---------------------------------------------------------------------------------


def check_stream(load, records):
    """records: the whole stream. Every promise is kept in it, and nothing happened twice."""
    assert load.wrong == []
    by_seq = {seq: record for seq, _, record in records}
    for promise in load.promises:
        record = by_seq.get(promise.seq)
        assert record is not None, f"promised, but not in the stream: {vars(promise)}"
        assert record.event.type == CHANGED[promise.kind]
        assert record.packet.id == promise.packet_id
        if promise.kind == "claim":
            assert record.packet.claim.holder.id == promise.agent

    events = collections.Counter(record.event.id for _, _, record in records)
    assert [event for event, count in events.items() if count > 1] == []
    per_packet = collections.Counter(
        (record.packet.id, record.event.type) for _, _, record in records
    )
    assert [key for key, count in per_packet.items() if count > 1] == []
    # The summary of a packet is the key it was made with.
    made = [record.packet for _, _, record in records if record.event.type == "created"]
    ours = [packet for packet in made if packet.context.summary in load.attempted]
    assert len({packet.context.summary for packet in ours}) == len(ours), "made twice"
    ids = {packet.context.summary: packet.id for packet in ours}
    assert {key: ids.get(key) for key in load.packets} == load.packets


def check_postgres(connection, records, seconds=60):
    """Waits for the projection, then holds it against the whole stream."""
    last = records[-1][0]
    wait_until(
        lambda: (connection.execute("SELECT last_seq FROM projector").fetchone() or [0])[0] >= last,
        seconds,
        f"the projection reaches {last}",
    )
    rows = connection.execute(
        "SELECT seq, event_id::text, packet_id::text, type, record FROM packet_events"
        " WHERE seq <= %s ORDER BY epoch, seq",
        (last,),
    ).fetchall()
    assert [row[0] for row in rows] == [seq for seq, _, _ in records], "a gap, a repeat, an order"
    for (_, event_id, packet_id, kind, data), (_, _, record) in zip(rows, records):
        assert (event_id, packet_id, kind) == (
            record.event.id,
            record.packet.id,
            record.event.type,
        )
        assert type(record).FromString(data) == record
    newest = {record.packet.id: (seq, record.packet.status) for seq, _, record in records}
    status = type(records[0][2].packet).DESCRIPTOR.fields_by_name["status"].enum_type
    found = connection.execute("SELECT id::text, seq, status FROM packets").fetchall()
    assert {row[0]: (row[1], row[2]) for row in found} == {
        packet_id: (seq, status.values_by_number[number].name.removeprefix("STATUS_").lower())
        for packet_id, (seq, number) in newest.items()
    }
    assert connection.execute("SELECT count(*) FROM projector_epochs").fetchone() == (1,)


async def whole_stream(rail):
    async with Admin(rail, seconds=20) as admin:
        return await admin.records()


def open_postgres(rail, seconds=30):
    """A connection to the rail's Postgres, as soon as it accepts one."""
    import psycopg

    def attempt():
        try:
            return postgres(rail)
        except (psycopg.OperationalError, KeyError, FileNotFoundError):
            return None

    return wait_until(attempt, seconds, "Postgres accepts connections")
