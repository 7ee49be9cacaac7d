"""What search, the queue of checkpoints and the numbers cost among a million packets.

    HR_PRESET=release build/venv/bin/python tests/bench/search.py [--packets N] [--keep FOLDER]

Fills the read side of a fresh rail by SQL, then asks over REST, one request at a time. Prints one JSON object a line:
p50, p99 and worst in ms, and how many packets matched. Texts are of 80 words of a vocabulary in which, as in a
language, the most common word is in most texts and most words are in few. One packet in ten belongs to another tenant.
"""

import argparse
import asyncio
import hashlib
import itertools
import json
import pathlib
import random
import re
import statistics
import sys
import time
import urllib.parse
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from agent import packet_pb2  # noqa: E402
from packets import postgres  # noqa: E402
from rail import Rail  # noqa: E402
from web import Web  # noqa: E402

PACKETS = "/api/v1/packets"
WORDS = 50_000
STATUSES = {"created": 30, "claimed": 8, "in_progress": 8, "awaiting_human": 4, "completed": 45,
            "failed": 3, "expired": 2}
PRIORITIES = {"low": 10, "normal": 70, "high": 15, "critical": 5}
TAKEN = ("claimed", "in_progress", "awaiting_human")
AGENTS = 2_000
CHUNK = 20_000


def vocabulary():
    """Pronounceable words, none of which is the stem of another."""
    syllables = [c + v for c in "bdfgklmnprtvz" for v in "aeiou"]
    return ["".join(parts) + "x" for parts in itertools.islice(
        itertools.product(syllables, syllables, syllables), WORDS)]


class Texts:
    def __init__(self):
        self.random = random.Random(7)
        self.words = vocabulary()
        self.random.shuffle(self.words)
        weights = [1 / (rank + 10) for rank in range(WORDS)]
        self.cumulative = list(itertools.accumulate(weights))

    def some(self, count):
        return " ".join(self.random.choices(self.words, cum_weights=self.cumulative, k=count))


def pick(dice, weights):
    return dice.choices(list(weights), weights.values())[0]


def plain(text):
    """As the audit worker writes it down."""
    return re.sub(r"[^A-Za-z0-9\x80-\U0010ffff]", " ", text)


def hash_of(approver):
    return int.from_bytes(hashlib.sha256(approver.encode()).digest()[:8], "big", signed=True)


def rows(texts, count, now):
    """(row of packets, row of the words) of each packet, the oldest first."""
    dice = texts.random
    for number in range(count):
        packet = packet_pb2.Packet(id=str(uuid.UUID(int=dice.getrandbits(128), version=4)),
                                   version="1.0.0")
        created = now - (count - number) * 0.3
        status, priority = pick(dice, STATUSES), pick(dice, PRIORITIES)
        source, target = (f"agent-{dice.randrange(AGENTS)}" for _ in "ab")
        tenant = "other" if dice.random() < 0.1 else "default"
        code = f"INV-{number // 1000}/{number % 1000}"
        packet.context.summary = f"{texts.some(8)} {code}"
        talk, reasons = texts.some(60), texts.some(12)
        packet.context.conversation_state.add(content=talk, role=1)
        packet.decisions.add(id="d", decision=reasons, rationale="")
        packet.metadata.source_agent.id = packet.metadata.source_agent.name = source
        packet.metadata.target_agent.id = packet.metadata.target_agent.name = target
        packet.metadata.priority = 1 + list(PRIORITIES).index(priority)
        packet.status = packet_pb2.Status.Value("STATUS_" + status.upper())
        packet.created_at.FromMicroseconds(int(created * 1e6))
        packet.updated_at.CopyFrom(packet.created_at)
        waits = status == "awaiting_human"
        due = created + 86400 * (1 + dice.random()) if waits and number % 3 else None
        approvers = [hash_of("group:ops")] if waits and number % 2 else []
        took = 5_000_000 if status in TAKEN + ("completed",) else None
        yield (
            (number + 1, created, created, packet.id, tenant, status, priority, source, target,
             ["tag-%d" % (number % 100)], packet.SerializeToString(), due, approvers, took,
             took if status == "completed" else None),
            (number + 1, packet.id, tenant, plain(packet.context.summary), reasons, talk),
        )


STAGING = """
CREATE UNLOGGED TABLE filling (seq bigint, id uuid, tenant text, title text, reasons text, talk text);
DROP INDEX packet_texts_words;
"""
WORDS_SQL = """
INSERT INTO packet_texts (seq, id, epoch, tenant, digest, words)
    SELECT seq, id, 1, tenant, '', packet_search(title, reasons, talk) FROM filling
"""
COUNTS = f"""
INSERT INTO packet_counts (tenant, status, shard, n, claims, claim_us, completions, complete_us)
    SELECT tenant, status, 0, count(*), count(claim_us), coalesce(sum(claim_us), 0),
           count(complete_us), coalesce(sum(complete_us), 0) FROM packets GROUP BY 1, 2;
INSERT INTO agent_counts (tenant, agent, shard, n, active)
    SELECT tenant, agent, 0, count(*), sum(active) FROM (
        SELECT tenant, source_agent AS agent, 0 AS active FROM packets
        UNION ALL
        SELECT tenant, target_agent, (status IN {TAKEN})::integer FROM packets) AS involved
    GROUP BY 1, 2;
INSERT INTO packet_hours (tenant, hour, shard, n)
    SELECT tenant, date_trunc('hour', created_at, 'UTC'), 0, count(*) FROM packets GROUP BY 1, 2;
DROP TABLE filling;
"""


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1e6):06}Z"


def fill(db, count):
    """Makes count packets. db: a connection to the rail's database."""
    texts = Texts()
    index = db.execute("SELECT pg_get_indexdef('packet_texts_words'::regclass)").fetchone()[0]
    db.execute(STAGING)
    made = rows(texts, count, time.time())
    for _ in range(0, count, CHUNK):
        chunk = list(itertools.islice(made, CHUNK))
        with db.cursor().copy(
            "COPY packets (epoch, shard, seq, created_at, updated_at, id, tenant, status, priority,"
            " source_agent, target_agent, tags, packet, due_at, approvers, claim_us, complete_us)"
            " FROM STDIN"
        ) as copy:
            for row, _ in chunk:
                copy.write_row((1, 0, row[0], stamp(row[1]), stamp(row[2]), *row[3:11],
                                row[11] and stamp(row[11]), *row[12:]))
        with db.cursor().copy("COPY filling FROM STDIN") as copy:
            for _, row in chunk:
                copy.write_row(row)
    db.execute(WORDS_SQL)
    db.execute(COUNTS)
    db.execute(index)
    db.execute("VACUUM ANALYZE")
    return texts


def questions(texts):
    """name -> list of paths; each is asked once."""
    dice = random.Random(11)
    word = texts.words

    def search(*queries, **filters):
        return [f"{PACKETS}/search?" + urllib.parse.urlencode({"q": q, **filters}) for q in queries]

    rare = [word[dice.randrange(2_000, 20_000)] for _ in range(200)]
    pairs = [f"{word[dice.randrange(50, 500)]} {word[dice.randrange(50, 500)]}" for _ in range(200)]
    codes = [f"INV-{dice.randrange(900)}/{dice.randrange(1000)}" for _ in range(200)]
    return {
        "search: a code": search(*codes),
        "search: a rare word": search(*rare),
        "search: two frequent words": search(*pairs),
        "search: a phrase": search(*(f'"{pair}"' for pair in pairs[:50])),
        "search: the beginning of a word": search(*(w[:5] + "*" for w in rare[:50])),
        "search: the most common words": search(*word[:20]),
        "search: common words, one status": search(*word[:20], status="awaiting_human"),
        "search: all but a common word": search(*("-" + w for w in word[:10])),
        "search: two of the most common": search(*(f"{a} OR {b}" for a, b in zip(word, word[10:20]))),
        "awaiting": [f"{PACKETS}/awaiting"] * 100,
        "awaiting: an approver": [f"{PACKETS}/awaiting?approver=group:ops"] * 100,
        "awaiting: nobody's": [f"{PACKETS}/awaiting?approver=nobody"] * 100,
        "awaiting: due before": [
            f"{PACKETS}/awaiting?due_before=" + stamp(time.time() + 60 * n) for n in range(100)],
        "stats": ["/api/v1/stats"] * 100,
        "system health": ["/api/v1/system/health"] * 100,
    }


async def measure(rail, texts, name, paths):
    took, totals = [], []
    async with Web(rail.url, rail.headers, seconds=60) as web:
        for path in paths:
            started = time.perf_counter()
            answer = await web.get(path)
            took.append((time.perf_counter() - started) * 1000)
            assert answer.status == 200, (path, answer)
            totals.append(answer.json().get("total", answer.json().get("total_packets")))
    took.sort()
    print(json.dumps({
        "name": name, "asked": len(took), "p50_ms": round(statistics.median(took), 2),
        "p99_ms": round(took[len(took) * 99 // 100], 2), "worst_ms": round(took[-1], 2),
        "found": round(statistics.mean(totals)),
    }), flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--packets", type=int, default=1_000_000)
    arguments = options.parse_args()
    with Rail() as rail:
        with postgres(rail) as db:
            started = time.monotonic()
            texts = fill(db, arguments.packets)
            size = {name: db.execute("SELECT pg_total_relation_size(%s)", [name]).fetchone()[0] >> 20
                    for name in ("packets", "packet_texts", "packet_texts_words")}
            print(json.dumps({"name": "fill", "packets": arguments.packets, "mb": size,
                              "seconds": round(time.monotonic() - started)}), flush=True)
        for name, paths in questions(texts).items():
            asyncio.run(measure(rail, texts, name, paths))


if __name__ == "__main__":
    main()
