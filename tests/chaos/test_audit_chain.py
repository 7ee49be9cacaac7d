"""Audit workers are killed, two compete, the database goes away: the sealed log never forks or skips."""

import asyncio
import os
import random
import signal

import psycopg
import seal
from load import Load, check_postgres, check_stream, whole_stream
from pg import Postgres
from rail import wait_until

KILLS = 8


def check(rail, server, load):
    assert load.wrong == []
    records = asyncio.run(whole_stream(rail))
    check_stream(load, records)

    def stored():
        try:
            with server.connect() as connection:
                return connection.execute("SELECT count(*) FROM packet_events").fetchone()[0]
        except psycopg.OperationalError:
            return None  # it has only just been started again

    wait_until(lambda: stored() == len(records), 30, "everything is in the log")
    with server.connect() as connection:
        check_postgres(connection, records)
    assert rail.stop()[0] == 0  # the last heads are told
    status, answer, errors = seal.verify(
        "--database", server.url, "--key-file", rail.folder / "audit.keys",
        "--heads", rail.folder / "audit.heads",
    )
    assert (status, answer["tampered"], answer["rows"]) == (0, [], len(records)), errors
    heads = len((rail.folder / "audit.heads").read_text().splitlines())
    print(f"{load.summary()}, {answer['rows']} rows in one chain, {heads} heads, verified in"
          f" {answer['milliseconds']} ms")


def workers(rail):
    return {name: pid for name, pid in rail.pids.items() if name.startswith("hr-worker-audit")}


async def under_load(rail, disturb):
    async with asyncio.timeout(120), Load(rail, clients=16) as load:
        await asyncio.sleep(2.5)  # serve gives up on what has never lived for 2 s
        await load.progress(100)
        for _ in range(KILLS):
            await asyncio.to_thread(disturb)
            await load.progress(100)
        await load.finish()
    return load


def test_a_worker_that_is_killed_while_rows_flow_leaves_a_sound_chain(make_rail):
    with Postgres() as server:
        rail = make_rail(None, "--postgres-url", server.url,
                         env={"HR_AUDIT_HEADS_SECONDS": "1"}).start()

        def kill():
            pid = rail.pids["hr-worker-audit-1"]
            os.kill(pid, signal.SIGKILL)
            rail.await_restart("hr-worker-audit-1", pid)

        check(rail, server, asyncio.run(under_load(rail, kill)))


def test_two_workers_that_compete_make_one_chain(make_rail):
    with Postgres() as server:
        rail = make_rail(None, "--postgres-url", server.url, "--scale", "audit=2",
                         env={"HR_AUDIT_HEADS_SECONDS": "1"}).start()
        dice = random.Random(7)

        def disturb():
            # Their sessions are cut, so the lock changes hands while both go on; or one is stopped
            # long enough for the other to take over, and then wakes in the middle of its work.
            with server.connect() as connection:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name = 'hr-worker-audit'")
            name, pid = dice.choice(sorted(workers(rail).items()))
            if dice.random() < 0.5:
                os.kill(pid, signal.SIGKILL)
                rail.await_restart(name, pid)
            else:
                os.kill(pid, signal.SIGSTOP)
                try:
                    asyncio.run(asyncio.sleep(0.7))
                finally:
                    os.kill(pid, signal.SIGCONT)

        check(rail, server, asyncio.run(under_load(rail, disturb)))


def test_a_database_that_goes_away_leaves_a_sound_chain(make_rail):
    with Postgres() as server:
        rail = make_rail(None, "--postgres-url", server.url,
                         env={"HR_AUDIT_HEADS_SECONDS": "1"}).start()

        async def work():
            async with asyncio.timeout(120), Load(rail, clients=16) as load:
                for _ in range(3):
                    await load.progress(150)
                    await asyncio.to_thread(server.stop)
                    await load.progress(50)
                    server.start()  # on the main thread: it ends with the thread that started it
                await load.progress(150)
                await load.finish()
            return load

        check(rail, server, asyncio.run(work()))
