"""What failed for good is put back: all of it, in the order of its packets, and never left behind."""

import collections
import json
from concurrent.futures import ThreadPoolExecutor

import httpx
from hooks import HOOKS, await_count, count, create_many, live, make_hook, recover
from rail import wait_until

SETTINGS = {
    "HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    "HR_WEBHOOK_RETRY_SECONDS": "0.01",
    # A hook that fails is not to be slowed down: its letters are what is wanted.
    "HR_WEBHOOK_CONCURRENCY": "256",
}
MANY = 2500  # more than a page of any list
PATIENCE = 70
LIFE = ["packet.created", "packet.claimed", "packet.in_progress", "packet.completed"]


def test_events_of_a_packet_come_back_oldest_first(client, receiver, hook_of):
    receiver.behave = lambda request: 500
    hook = hook_of(receiver.url)["id"]
    packets = create_many(client, 5)
    for packet in packets:
        live(client, packet)
    await_count(client, hook, "dead_letter", 20)
    # One that failed once more is the newest record of all, and still the oldest event.
    first = next(r for r in receiver.requests
                 if r.event == LIFE[0] and json.loads(r.body)["packet_id"] == packets[0])
    assert client.post(f"{HOOKS}/dlq/{first.id}/replay").status_code == 404
    before = len(receiver.requests)
    receiver.behave = lambda request: 200
    assert recover(client, hook).json() == {"recovered": 20}
    wait_until(lambda: len(receiver.requests) == before + 20, 10, "all of them")
    events = collections.defaultdict(list)
    for request in receiver.requests[before:]:
        events[json.loads(request.body)["packet_id"]].append(request.event)
    assert dict(events) == {packet: LIFE for packet in packets}


def test_one_recovery_is_of_all(client, receiver, hook_of):
    receiver.behave = lambda request: 500
    hook = hook_of(receiver.url, ["packet.created"])["id"]
    create_many(client, MANY)
    await_count(client, hook, "dead_letter", MANY, 60)
    receiver.behave = lambda request: 200
    assert recover(client, hook).json() == {"recovered": MANY}
    await_count(client, hook, "delivered", MANY, 60)
    assert recover(client, hook).json() == {"recovered": 0}


def test_recoveries_on_top_of_each_other_leave_nothing_behind(client, receiver, hook_of):
    receiver.behave = lambda request: 500
    hook = hook_of(receiver.url, ["packet.created"])["id"]
    create_many(client, MANY)
    await_count(client, hook, "dead_letter", MANY, 60)
    receiver.behave = lambda request: 200
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: recover(client, hook), range(6)))
    assert all(answer.status_code == 200 for answer in answers)
    assert max(answer.json()["recovered"] for answer in answers) == MANY
    await_count(client, hook, "delivered", MANY, 60)
    assert count(client, hook, "pending") == count(client, hook, "dead_letter") == 0


def test_what_the_queue_has_no_room_for_follows(make_rail, receiver):
    rail = make_rail(env={**SETTINGS, "HR_WEBHOOK_UNFINISHED_PER_HOOK": "64"}).start()
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=70) as client:
        receiver.behave = lambda request: 500
        hook = make_hook(client, receiver.url, ["packet.created"])["id"]
        create_many(client, 500)
        await_count(client, hook, "dead_letter", 500, 60)
        receiver.behave = lambda request: 200
        assert recover(client, hook).json() == {"recovered": 500}
        await_count(client, hook, "delivered", 500)


def test_a_repeated_recovery_gives_the_same_answer(client, receiver, hook_of):
    receiver.behave = lambda request: 500
    hook = hook_of(receiver.url, ["packet.created"])["id"]
    create_many(client, 3)
    await_count(client, hook, "dead_letter", 3)
    receiver.behave = lambda request: 200
    key = {"Idempotency-Key": f"recover-{hook}"}
    assert recover(client, hook, key).json() == {"recovered": 3}
    assert recover(client, hook).json() == {"recovered": 0}
    assert recover(client, hook, key).json() == {"recovered": 3}
    other = client.post(f"{HOOKS}/{hook}/recover", headers=key, json={"since": "2021-01-01T00:00:00Z"})
    assert other.status_code == 422 and other.json()["code"] == "idempotency_key_reused"
