"""Postgres goes away for a while: work goes on, reading says so at once, nothing is missing."""

import asyncio
import time

import httpx
import pytest
from load import Load, check_postgres, check_stream, whole_stream
from packets import PACKETS
from pg import Postgres
from rail import wait_until

AWAY_SECONDS = 20
AT_ONCE_SECONDS = 1
NOTICED_SECONDS = 8  # a query that hangs is given up after 5
READS = [PACKETS, "/api/v1/audit", PACKETS + "/11111111-1111-4111-8111-111111111111/history"]


@pytest.fixture
def server():
    with Postgres() as running:
        yield running


class Reads:
    """What was answered while Postgres was away: (seconds, status, body)."""

    def __init__(self):
        self.answers = []

    async def run(self, load, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for target in READS:
                started = time.monotonic()
                answer = await load.web.get(target)
                self.answers.append((time.monotonic() - started, target, answer))
            await asyncio.sleep(0.2)

    def slowest(self):
        return max(seconds for seconds, _, _ in self.answers)

    def check(self, at_once):
        for seconds, target, answer in self.answers:
            assert answer.status == 503, (target, answer)
            assert int(answer.headers["retry-after"]) > 0
            assert answer.json()["code"] in ("unavailable", "projection_behind")
            assert seconds < at_once, (target, seconds, answer)


async def work(rail, take_away, give_back):
    reads = Reads()
    async with asyncio.timeout(150), Load(rail, clients=16, patient=False, seconds=10) as load:
        await load.progress(200)
        await asyncio.to_thread(take_away)
        # The workers need a moment to notice; from then on the answer comes at once.
        noticed = time.monotonic()
        async with asyncio.timeout(NOTICED_SECONDS):
            while (await load.web.get(PACKETS)).status != 503:
                await asyncio.sleep(0.02)
        print(f"noticed after {time.monotonic() - noticed:.2f} s")
        before = len(load.promises)
        await reads.run(load, AWAY_SECONDS)
        ready = await load.web.get("/ready")
        meanwhile = len(load.promises) - before
        give_back()
        await load.progress(200)
        await load.finish()
    return load, reads, meanwhile, ready


def check(rail, server, load, meanwhile):
    print(
        f"{load.summary()}, {meanwhile} of them while Postgres was away; p99 "
        + ", ".join(f"{kind} {load.percentile(kind, 0.99) * 1000:.0f} ms" for kind in load.latencies)
    )
    assert load.wrong == [], "every create, claim and completion succeeded"
    assert meanwhile > 1000
    records = asyncio.run(whole_stream(rail))
    check_stream(load, records)
    with server.connect() as connection:
        check_postgres(connection, records)

    def audit():
        answer = httpx.get(rail.url + "/api/v1/audit?limit=1", headers=rail.headers, timeout=10)
        return answer.json() if answer.status_code == 200 else None

    page = wait_until(audit, 20, "the audit log answers")
    assert page["total"] == len(records)
    wait_until(
        lambda: httpx.get(rail.url + "/ready", timeout=10).status_code == 200, 20, "ready again"
    )


def test_work_goes_on_without_postgres(make_rail, server):
    rail = make_rail(None, "--postgres-url", server.url).start()
    load, reads, meanwhile, ready = asyncio.run(work(rail, server.stop, server.start))
    print(f"{len(reads.answers)} reads answered 503, the slowest after {reads.slowest():.3f} s")
    reads.check(AT_ONCE_SECONDS)
    assert ready.status == 503
    assert ready.json()["db"] is False and ready.json()["nats"] is True
    check(rail, server, load, meanwhile)


def test_work_goes_on_while_postgres_hangs(make_rail, server):
    rail = make_rail(None, "--postgres-url", server.url).start()
    load, reads, meanwhile, _ = asyncio.run(work(rail, server.freeze, server.resume))
    print(f"{len(reads.answers)} reads answered 503, the slowest after {reads.slowest():.3f} s")
    reads.check(NOTICED_SECONDS)
    check(rail, server, load, meanwhile)
