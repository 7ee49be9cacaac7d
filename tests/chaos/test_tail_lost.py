"""nats-server loses the end of its streams under a running fleet, as after a power loss.

The lost sequences are given to new changes, so every reader that went by sequences alone would pass
over those. Each kind of reader is looked at: webhooks, live streams, claim-next, lists.
"""

import json
import os
import shutil
import signal
import subprocess
import time

import httpx
from hooks import make_hook
from packets import PACKETS, body
from rail import wait_until
from receiver import Receiver

ENV = {"HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1", "HR_WEBHOOK_RETRY_SECONDS": "0.1,0.2,0.3"}
KEPT, LOST, NEW = 20, 10, 15


def create(client, count, target):
    made = []
    for _ in range(count):
        content = body()
        content["metadata"]["target_agent"] = {"id": target, "name": "T"}
        answer = client.post(PACKETS, json=content)
        assert answer.status_code == 201, answer.text
        made.append(answer.json()["id"])
    return made


def nats_pid(rail):
    return next((pid for name, pid in rail.pids.items() if name.startswith("nats")), 0)


def copy_streams(rail, to):
    pid = nats_pid(rail)
    os.kill(pid, signal.SIGSTOP)
    try:
        shutil.copytree(rail.folder / "nats", to)
    finally:
        os.kill(pid, signal.SIGCONT)


def go_back_to(rail, copy):
    """serve is stopped meanwhile, so that it does not start the server on what there is now."""
    old = nats_pid(rail)
    os.kill(rail.pid, signal.SIGSTOP)
    try:
        os.kill(old, signal.SIGKILL)
        wait_until(lambda: not alive(old), 5, "the end of nats-server")
        shutil.rmtree(rail.folder / "nats")
        shutil.copytree(copy, rail.folder / "nats")
    finally:
        os.kill(rail.pid, signal.SIGCONT)
    wait_until(lambda: nats_pid(rail) not in (0, old), 20, "a new nats-server")


def alive(pid):
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return state.stdout.strip() not in ("", "Z") and not state.stdout.startswith("Z")


def is_ready(rail):
    try:
        return httpx.get(rail.url + "/ready", timeout=5).status_code == 200
    except httpx.HTTPError:
        return False


def heard_ids(receiver):
    return [json.loads(request.body)["packet_id"] for request in receiver.requests]


class Stream:
    """Server-sent events, read until they end."""

    def __init__(self, rail, last=None):
        headers = dict(rail.headers)
        if last is not None:
            headers["Last-Event-ID"] = last
        self.client = httpx.Client(timeout=httpx.Timeout(10, read=30))
        self.answer = self.client.send(
            self.client.build_request("GET", rail.url + "/events", headers=headers), stream=True)
        self.lines = self.answer.iter_lines()
        self.last = last

    def next(self):
        """(event, data) of the next one that is no ping; None at the end."""
        name = None
        for line in self.lines:
            field, _, value = line.partition(": ")
            if field == "id":
                self.last = value
            elif field == "event":
                name = value
            elif field == "data" and name not in ("ping", "connected"):
                return name, value
        return None

    def close(self):
        self.answer.close()
        self.client.close()


def test_what_comes_after_a_lost_end_is_heard_by_every_reader(make_rail, tmp_path):
    rail = make_rail(env=ENV).start()
    with (Receiver() as receiver, httpx.Client(base_url=rail.url, headers=rail.headers,
                                               timeout=20) as client):
        make_hook(client, receiver.url, ["packet.created"])
        stream = Stream(rail)
        kept = create(client, KEPT, "kept")
        wait_until(lambda: set(kept) <= set(heard_ids(receiver)), 20, "the first webhooks")
        assert [stream.next()[0] for _ in kept] == ["packet.created"] * KEPT
        copy_streams(rail, tmp_path / "copy")
        lost = create(client, LOST, "lost")
        wait_until(lambda: set(lost) <= set(heard_ids(receiver)), 20, "the next webhooks")
        assert [stream.next()[0] for _ in lost] == ["packet.created"] * LOST
        go_back_to(rail, tmp_path / "copy")
        wait_until(lambda: is_ready(rail), 40, "ready again")
        new = create(client, NEW, "new")  # more than were lost: the end is beyond the old one

        wait_until(lambda: set(new) <= set(heard_ids(receiver)), 30, "webhooks of what is new")
        after = heard_ids(receiver)[KEPT + LOST :]
        assert sorted(after) == sorted(new), "what is left was told of once"
        # The listener is told that what it heard is gone, comes back, and hears what is new.
        event = stream.next()
        while event is not None and event[0] == "packet.created":
            event = stream.next()
        assert event is not None and event[0] == "closed", event
        stream.close()
        taken = set()
        deadline = time.monotonic() + 20
        while len(taken) < NEW and time.monotonic() < deadline:
            answer = client.post(PACKETS + "/claim-next", json={
                "agent_id": "new", "agent_name": "N", "wait_seconds": 1})
            if answer.status_code == 200:
                taken.add(answer.json()["id"])
        assert taken == set(new)
        page = client.get(PACKETS, params={"target_agent": "new", "limit": 100}).json()
        assert page["total"] == NEW
        assert any("consumer.rewound" in line for line in rail.errors), "nobody said so"

