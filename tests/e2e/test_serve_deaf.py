"""handoffrail serve: what runs and does not answer is ended and started again."""

import os
import signal
import time

import httpx
import pytest
from packets import body, claim
from rail import wait_until

DEAF = {"HR_SERVE_DEAF_SECONDS": "3"}


def create(rail):
    return httpx.post(
        rail.url + "/api/v1/packets", headers=rail.headers, json=body(), timeout=10
    )


def creates(rail):
    try:
        return create(rail).status_code == 201
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    "name", ["hr-worker-packet-1", "hr-worker-claim-1", "hr-gateway-1", "nats-server", "postgres"]
)
def test_a_stopped_process_is_replaced_and_nothing_is_lost(make_rail, name):
    rail = make_rail(env=DEAF).start()
    made = create(rail).json()["id"]
    old = rail.pids[name]
    os.kill(old, signal.SIGSTOP)
    started = time.monotonic()
    rail.await_restart(name, old, seconds=15)
    assert time.monotonic() - started < 8
    assert rail.child(name)["deaf"] == 1
    assert any(name in line and "has not answered for 3 s" in line for line in rail.errors)
    wait_until(lambda: creates(rail), 20, "packets are made again")
    got = httpx.get(f"{rail.url}/api/v1/packets/{made}", headers=rail.headers, timeout=10)
    assert got.status_code == 200
    claimed = httpx.post(
        f"{rail.url}/api/v1/packets/{made}/claim",
        headers=rail.headers,
        json=claim(),
        timeout=10,
    )
    assert claimed.status_code == 200


def test_nobody_is_ended_who_answers(make_rail):
    rail = make_rail(env={"HR_SERVE_DEAF_SECONDS": "2"}).start()
    before = rail.pids
    # What was stopped for less than that goes on, and so does everybody while serve itself stood.
    os.kill(before["hr-worker-hitl-1"], signal.SIGSTOP)
    os.kill(rail.pid, signal.SIGSTOP)
    time.sleep(4)  # longer than the bound: that is what is tried
    os.kill(before["hr-worker-hitl-1"], signal.SIGCONT)
    os.kill(rail.pid, signal.SIGCONT)
    time.sleep(3)
    assert rail.pids == before
    assert [line for line in rail.errors if "has not answered" in line] == []
