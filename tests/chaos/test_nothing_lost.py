"""Processes are killed in turn while agents work: what was acknowledged stays, and only once."""

import asyncio
import collections
import os
import signal
import time

import httpx
import pytest
from load import Load, check_postgres, check_stream, open_postgres, whole_stream
from rail import has_ended, wait_until

SCALE = "packet=2,claim=2,audit=2,query=2"


def is_ready(rail):
    try:
        return httpx.get(rail.url + "/ready", timeout=5).status_code == 200
    except httpx.TransportError:
        return False


async def kill_in_turn(rail, load, seconds):
    """Returns how often each process was killed."""
    kills = collections.Counter()
    deadline = time.monotonic() + seconds
    while True:
        for name in sorted(rail.pids):
            if kills[name] > 0 and time.monotonic() > deadline:
                return kills
            pid = await asyncio.to_thread(wait_until, lambda: rail.pids.get(name), 20, name)
            os.kill(pid, signal.SIGKILL)
            kills[name] += 1
            await asyncio.to_thread(rail.await_restart, name, pid, 20)
            await load.progress(50)


@pytest.mark.timeout(0)
def test_what_was_acknowledged_stays_and_only_once(make_rail, request):
    seconds = request.config.getoption("--chaos-seconds")
    rail = make_rail(None, "--scale", SCALE).start()

    async def run():
        async with asyncio.timeout(3 * seconds + 120), Load(rail) as load:
            await load.progress(100)
            kills = await kill_in_turn(rail, load, seconds)
            await load.finish()
            return load, kills

    load, kills = asyncio.run(run())
    print(f"{load.summary()}, killed {dict(kills)}")
    assert not has_ended(rail.process)
    wait_until(lambda: is_ready(rail), 30, "ready again")
    records = asyncio.run(whole_stream(rail))
    check_stream(load, records)
    with open_postgres(rail) as connection:
        check_postgres(connection, records)
    assert set(kills) == set(rail.pids), "every process was killed"
