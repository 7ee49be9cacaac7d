"""What is sent because somebody asks for it now: bounded, and once for each Idempotency-Key."""

import uuid
from concurrent.futures import ThreadPoolExecutor

from hooks import HOOKS, await_count, create_many
from rail import wait_until
from receiver import Answer

SETTINGS = {
    "HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    "HR_WEBHOOK_RETRY_SECONDS": "0.01",
    "HR_WEBHOOK_CONCURRENCY": "256",
}
AT_ONCE = 8  # of one hook, and of one list
DELAY = 0.5  # seconds that the endpoint takes
PATIENCE = 70


def most_at_once(requests):
    """How many were being answered at one moment."""
    return max(sum(other.at <= one.at < other.at + DELAY * 0.9 for other in requests)
               for one in requests)


def dead_letters(client, receiver, hook, count):
    receiver.behave = lambda request: 500
    create_many(client, count)
    await_count(client, hook, "dead_letter", count)


def test_tests_wait_for_each_other_and_too_many_are_refused(client, receiver, hook_of):
    hook = hook_of(receiver.url, [])["id"]
    receiver.behave = lambda request: Answer(delay=DELAY)
    with ThreadPoolExecutor(60) as pool:
        answers = list(pool.map(lambda _: client.post(f"{HOOKS}/{hook}/test"), range(60)))
    sent = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert len(sent) == len(receiver.requests) == 40 and len(refused) == 20
    assert all(answer.json()["delivered"] for answer in sent)
    assert {answer.status_code for answer in refused} == {503}
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in refused)
    assert most_at_once(receiver.requests) <= AT_ONCE
    assert client.post(f"{HOOKS}/{hook}/test").status_code == 200


def test_a_retry_of_all_is_of_some_at_a_time(client, receiver, hook_of):
    hook = hook_of(receiver.url, ["packet.created"])["id"]
    dead_letters(client, receiver, hook, 30)
    before = len(receiver.requests)
    receiver.behave = lambda request: Answer(delay=DELAY)
    answer = client.post(f"{HOOKS}/dlq/retry-all")
    assert answer.json() == {"retried": 30, "succeeded": 30, "failed": 0}
    assert most_at_once(receiver.requests[before:]) <= AT_ONCE


def key():
    return {"Idempotency-Key": uuid.uuid4().hex}


def test_a_repeated_test_is_sent_once(client, receiver, hook_of):
    hook, other = hook_of(receiver.url, [])["id"], hook_of(receiver.url, [])["id"]
    same = key()
    first = client.post(f"{HOOKS}/{hook}/test", headers=same)
    receiver.behave = lambda request: 500
    assert client.post(f"{HOOKS}/{hook}/test", headers=same).json() == first.json()
    assert len(receiver.requests) == 1
    refused = client.post(f"{HOOKS}/{other}/test", headers=same)
    assert refused.status_code == 422 and refused.json()["code"] == "idempotency_key_reused"
    assert len(receiver.requests) == 1


def test_a_repeat_while_the_first_is_under_way_is_told_so(client, receiver, hook_of):
    hook = hook_of(receiver.url, [])["id"]
    same = key()
    receiver.behave = lambda request: Answer(delay=DELAY)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, f"{HOOKS}/{hook}/test", headers=same)
        wait_until(lambda: receiver.requests, 5, "the first")
        second = client.post(f"{HOOKS}/{hook}/test", headers=same)
        assert second.status_code == 503 and second.json()["code"] == "contended"
        assert int(second.headers["Retry-After"]) > 0
        assert first.result().status_code == 200
    assert client.post(f"{HOOKS}/{hook}/test", headers=same).json() == first.result().json()
    assert len(receiver.requests) == 1


def test_a_repeated_replay_is_sent_once_whatever_came_of_it(client, receiver, hook_of):
    hook = hook_of(receiver.url, ["packet.created"])["id"]
    dead_letters(client, receiver, hook, 1)
    path = f"{HOOKS}/dlq/{receiver.requests[0].id}/replay"
    before = len(receiver.requests)
    failed = key()
    first = client.post(path, headers=failed)
    assert first.status_code == 404
    receiver.behave = lambda request: 200
    again = client.post(path, headers=failed)
    assert (again.status_code, again.json()["detail"]) == (404, first.json()["detail"])
    assert len(receiver.requests) == before + 1
    worked = key()
    assert client.post(path, headers=worked).json()["replayed"] is True
    assert client.post(path, headers=worked).json()["replayed"] is True
    assert client.post(path, headers=key()).status_code == 404
    assert len(receiver.requests) == before + 2


def test_a_repeated_retry_of_all_gives_the_same_answer(client, receiver, hook_of):
    hook = hook_of(receiver.url, ["packet.created"])["id"]
    dead_letters(client, receiver, hook, 3)
    receiver.behave = lambda request: 200
    same = key()
    first = client.post(f"{HOOKS}/dlq/retry-all", headers=same)
    assert first.json() == {"retried": 3, "succeeded": 3, "failed": 0}
    assert client.post(f"{HOOKS}/dlq/retry-all", headers=same).json() == first.json()
