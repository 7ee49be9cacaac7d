"""Webhooks, end to end: real receivers, real signatures, real refusals."""

import base64
import hashlib
import hmac
import json
import os
import shutil
import signal
import subprocess
import time
import uuid

import httpx
import pytest
from agent import Admin
from hooks import HOOKS, SECRET, make_hook
from packets import PACKETS, body, claim
from rail import BIN, Rail, wait_until
from receiver import Answer
from standardwebhooks.webhooks import Webhook, WebhookVerificationError
from tenants import Tenants

WHSEC = "whsec_" + base64.b64encode(b"0123456789abcdef01234567").decode()
STEPS = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3]  # as many as by default
SETTINGS = {
    "HR_ALLOWED_WEBHOOK_HOSTS": "127.0.0.1",
    "HR_WEBHOOK_RETRY_SECONDS": ",".join(map(str, STEPS)),
    "HR_WEBHOOK_TIMEOUT_MS": "1500",
}


def create(client, summary="do it", **parts):
    answer = client.post(PACKETS, json=body(summary, **parts))
    assert answer.status_code == 201, answer.text
    return answer.json()


def arrived(receiver, count, seconds=10):
    wait_until(lambda: len(receiver.requests) >= count, seconds, f"{count} requests")
    return receiver.requests


def deliveries(client, hook, **query):
    answer = client.get(f"{HOOKS}/{hook['id']}/deliveries", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def with_status(client, hook, status, count=1, seconds=15):
    return wait_until(
        lambda: (lambda found: found if len(found) >= count else None)(
            deliveries(client, hook, status=status)),
        seconds, f"{count} {status} deliveries")


def settled(value):
    """A number that goes no further."""
    seen = [None, value()]

    def rests():
        seen[:] = [seen[1], value()]
        time.sleep(0.1)
        return seen[0] == seen[1]

    wait_until(rests, 10, "an end")
    return seen[1]


# --- what is sent ----------------------------------------------------------------------------------


def test_a_change_is_told_and_signed_both_ways(client, receiver, hook_of):
    hook_of(receiver.url, ["packet.created", "packet.claimed"])
    packet = create(client)
    client.post(f"{PACKETS}/{packet['id']}/claim", json=claim())
    created, claimed = arrived(receiver, 2)[:2]

    told = json.loads(created.body)
    assert list(told)[:5] == ["event", "timestamp", "packet_id", "status", "metadata"]
    assert told["event"] == created.event == "packet.created"
    assert told["packet_id"] == packet["id"]
    assert told["status"] == "created"
    assert told["metadata"]["source_agent"]["id"] == "planner"
    assert claimed.event == "packet.claimed"
    assert json.loads(claimed.body)["status"] == "claimed"
    for request in created, claimed:
        expected = hmac.new(SECRET.encode(), request.body, hashlib.sha256).hexdigest()
        assert request.headers["x-hr-signature"] == expected
        assert request.headers["content-type"] == "application/json"
        assert uuid.UUID(request.id) and request.headers["webhook-id"] == request.id
        Webhook(base64.b64encode(SECRET.encode()).decode()).verify(request.body, request.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(WHSEC).verify(request.body, request.headers)
    assert created.id != claimed.id


def test_a_whsec_secret_verifies_with_the_stock_library(client, receiver, hook_of):
    hook_of(receiver.url, ["packet.created"], secret=WHSEC)
    create(client)
    request = arrived(receiver, 1)[0]
    assert Webhook(WHSEC).verify(request.body, request.headers)["event"] == "packet.created"


def test_after_a_rotation_both_secrets_sign(client, receiver, hook_of):
    hook = hook_of(receiver.url, ["packet.created"], secret=WHSEC)
    rotated = client.post(f"{HOOKS}/{hook['id']}/rotate-secret",
                          headers={"Idempotency-Key": f"rotate-{hook['id']}"})
    assert rotated.status_code == 200
    new = rotated.json()["secret"]
    assert new.startswith("whsec_") and new != WHSEC
    again = client.post(f"{HOOKS}/{hook['id']}/rotate-secret",
                        headers={"Idempotency-Key": f"rotate-{hook['id']}"})
    assert again.json()["secret"] == new
    create(client)
    request = arrived(receiver, 1)[0]
    for secret in WHSEC, new:
        Webhook(secret).verify(request.body, request.headers)
    expected = hmac.new(new.encode(), request.body, hashlib.sha256).hexdigest()
    assert request.headers["x-hr-signature"] == expected
    assert "secret" not in client.get(f"{HOOKS}/{hook['id']}").json()


def test_filters_choose(client, receiver, hook_of):
    hook_of(receiver.url + "agent", agents=["special"])
    hook_of(receiver.url + "tag", tags=["urgent", "other"])
    hook_of(receiver.url + "none", [])
    hook_of(receiver.url + "star")
    plain = create(client)
    tagged = create(client, metadata={**body()["metadata"], "tags": ["urgent"]})
    special = create(client, metadata={**body()["metadata"],
                                       "target_agent": {"id": "special", "name": "S"}})
    wait_until(lambda: len(receiver.of("/star")) == 3, 10, "three")
    wait_until(lambda: receiver.of("/agent") and receiver.of("/tag"), 10, "the chosen ones")
    time.sleep(0.3)

    def ids(path):
        return [json.loads(request.body)["packet_id"] for request in receiver.of(path)]

    assert ids("/agent") == [special["id"]]
    assert ids("/tag") == [tagged["id"]]
    assert ids("/none") == []
    assert set(ids("/star")) == {plain["id"], tagged["id"], special["id"]}


def test_answers_to_a_human_are_told(client, receiver, hook_of):
    hook_of(receiver.url, ["hitl.response_ready", "hitl.requested"])
    packet = create(client, hitl={"reason": "sure?", "question": "?", "options": ["yes", "no"]})
    client.post(f"{PACKETS}/{packet['id']}/respond",
                json={"response": "yes", "responded_by": "kim"})
    arrived(receiver, 2)
    assert [request.event for request in receiver.requests] == ["hitl.requested",
                                                               "hitl.response_ready"]


# --- what fails ------------------------------------------------------------------------------------


def test_a_failure_is_retried_with_the_same_id_and_body(client, receiver, hook_of):
    answers = [Answer(500, body=b"no"), Answer(302, {"Location": receiver.url + "elsewhere"}), 200]
    receiver.behave = lambda request: answers.pop(0)
    hook = hook_of(receiver.url, ["packet.created"])
    create(client)
    requests = arrived(receiver, 3)
    assert len({request.id for request in requests}) == 1
    assert len({request.body for request in requests}) == 1
    assert receiver.of("/elsewhere") == []
    found = with_status(client, hook, "delivered")[0]
    assert found["attempts"] == 3 and found["last_error"] is None
    assert found["last_status_code"] == 200 and found["delivered_at"].endswith("Z")
    assert found["id"] == requests[0].id


def test_what_keeps_failing_is_a_dead_letter_and_can_be_replayed(client, receiver, hook_of):
    receiver.behave = lambda request: Answer(500, body=b"x" * 5000)
    hook = hook_of(receiver.url, ["packet.created"])
    create(client)
    dead = with_status(client, hook, "dead_letter")[0]
    assert dead["attempts"] == 1 + len(STEPS) and dead["next_retry_at"] is None
    assert dead["last_error"] == "HTTP 500: " + "x" * 200
    assert [entry["id"] for entry in client.get(f"{HOOKS}/dlq").json()] == [dead["id"]]
    wait_until(lambda: 'handoffrail_webhook_dlq_size{tenant_id="default"} 1\n'
               in client.get("/metrics").text, 15, "the metric")
    assert set(client.get(f"{HOOKS}/dlq").json()[0]) == {
        "id", "webhook_id", "packet_id", "event_type", "attempts", "last_error",
        "last_status_code", "created_at", "updated_at"}

    detail = client.get(f"{HOOKS}/{hook['id']}/deliveries/{dead['id']}").json()
    assert detail["request"]["body"]["event"] == "packet.created"
    last = receiver.requests[-1].headers
    names = ["Content-Type", "X-HR-Event", "X-HR-Delivery-ID", "webhook-id", "webhook-timestamp"]
    assert detail["request"]["headers"] == {name: last[name.lower()] for name in names}
    assert detail["response"]["status_code"] == 500
    assert detail["response"]["body"] == "x" * 1024
    assert detail["response"]["head"].startswith("HTTP/1.1 500")

    replay = client.post(f"{HOOKS}/dlq/{dead['id']}/replay")
    assert replay.status_code == 404 and "DLQ entry" in replay.json()["detail"]
    receiver.behave = lambda request: 200
    replay = client.post(f"{HOOKS}/dlq/{dead['id']}/replay")
    assert replay.json() == {"delivery_id": dead["id"], "replayed": True}
    assert {request.id for request in receiver.requests} == {dead["id"]}
    wait_until(lambda: client.get(f"{HOOKS}/dlq").json() == [], 10, "an empty queue")
    assert client.post(f"{HOOKS}/dlq/{dead['id']}/replay").status_code == 404
    assert client.post(f"{HOOKS}/dlq/{uuid.uuid4()}/replay").status_code == 404


def test_all_dead_letters_and_a_recovery(client, receiver, hook_of):
    receiver.behave = lambda request: 500
    hook = hook_of(receiver.url, ["packet.created"])
    since = "2020-01-01T00:00:00Z"
    for _ in range(3):
        create(client)
    with_status(client, hook, "dead_letter", 3)
    assert client.post(f"{HOOKS}/dlq/retry-all").json() == {"retried": 3, "succeeded": 0, "failed": 3}
    receiver.behave = lambda request: 200
    wait_until(lambda: len(client.get(f"{HOOKS}/dlq").json()) == 3, 10, "three")
    recovered = client.post(f"{HOOKS}/{hook['id']}/recover", json={"since": since})
    assert recovered.json() == {"recovered": 3}
    assert len(with_status(client, hook, "delivered", 3)) == 3
    assert client.post(f"{HOOKS}/{hook['id']}/recover", json={"since": since}).json() == {
        "recovered": 0}
    assert client.post(f"{HOOKS}/{hook['id']}/recover", json={}).status_code == 422


def test_after_six_retries_that_took_their_time_it_is_given_up(client, receiver, hook_of):
    text = subprocess.run([BIN / "hr-worker-webhook", "--help"], capture_output=True, text=True,
                          check=True).stdout
    assert "Default: 1,5,30,300,3600,21600." in text and len(STEPS) == 6
    receiver.behave = lambda request: 500
    hook = hook_of(receiver.url, ["packet.created"])
    create(client)
    dead = with_status(client, hook, "dead_letter")[0]
    assert client.get(f"{HOOKS}/{hook['id']}").json()["active"]
    waits = [b.at - a.at for a, b in zip(receiver.requests, receiver.requests[1:])]
    assert len(waits) == 6 and dead["attempts"] == 7
    # The delay begins when the answer is there, and that is after the receiver saw the request.
    assert all(wait >= step for wait, step in zip(waits, STEPS)), waits
    time.sleep(2 * STEPS[-1])
    assert len(receiver.requests) == 7


def test_events_of_a_packet_wait_for_their_turn_and_others_do_not(client, receiver, hook_of):
    first = create(client, "before the hook")
    answers = {}

    def behave(request):
        told = json.loads(request.body)
        if told["packet_id"] == first["id"] and told["event"] == "packet.claimed":
            answers["claimed"] = answers.get("claimed", 0) + 1
            return 500 if answers["claimed"] < 3 else 200
        return 200

    receiver.behave = behave
    hook_of(receiver.url)
    client.post(f"{PACKETS}/{first['id']}/claim", json=claim())
    client.patch(f"{PACKETS}/{first['id']}", json={"status": "in_progress"})
    client.patch(f"{PACKETS}/{first['id']}", json={"status": "completed"})
    other = create(client)
    arrived(receiver, 6)
    of_first = [r.event for r in receiver.requests if json.loads(r.body)["packet_id"] == first["id"]]
    assert of_first == ["packet.claimed"] * 3 + ["packet.in_progress", "packet.completed"]
    at_other = [r.at for r in receiver.requests if json.loads(r.body)["packet_id"] == other["id"]]
    done = [r.at for r in receiver.requests if r.event == "packet.completed"]
    assert at_other[0] < done[0]


@pytest.mark.parametrize("status", [429, 503])
def test_retry_after_is_honoured(client, receiver, hook_of, status):
    answers = [Answer(status, {"Retry-After": "1"}), 200]
    receiver.behave = lambda request: answers.pop(0)
    hook_of(receiver.url, ["packet.created"])
    create(client)
    first, second = arrived(receiver, 2)
    assert 1 <= second.at - first.at < 3


def test_gone_makes_a_hook_inactive(client, receiver, hook_of):
    receiver.behave = lambda request: 410
    hook = hook_of(receiver.url, ["packet.created"])
    create(client)
    seen = wait_until(lambda: (lambda h: h if not h["active"] else None)(
        client.get(f"{HOOKS}/{hook['id']}").json()), 10, "inactive")
    assert "410" in seen["disabled_reason"]
    assert with_status(client, hook, "dead_letter")
    receiver.behave = lambda request: 200
    count = len(receiver.requests)
    create(client)
    again = client.patch(f"{HOOKS}/{hook['id']}", json={"active": True}).json()
    assert again["active"] and "disabled_reason" not in again
    packet = create(client)
    arrived(receiver, count + 1)
    assert [json.loads(r.body)["packet_id"] for r in receiver.requests[count:]] == [packet["id"]]


def test_nothing_is_sent_behind_a_410(client, receiver, hook_of):
    receiver.behave = lambda request: Answer(status=410, delay=0.05)
    for _ in range(8):
        count = len(receiver.requests)
        hook = hook_of(receiver.url, ["*"])
        packet = create(client)
        client.post(f"{PACKETS}/{packet['id']}/claim", json=claim())
        client.patch(f"{PACKETS}/{packet['id']}", json={"status": "completed"})
        # All have ended, so nothing more can come.
        with_status(client, hook, "dead_letter", 3)
        assert len(receiver.requests) == count + 1
        assert client.get(f"{HOOKS}/{hook['id']}").json()["active"] is False


def test_a_secret_that_is_taken_is_one_that_libraries_verify(client, receiver, hook_of):
    key = base64.b64encode(b"k" * 25).decode()
    urlsafe = base64.urlsafe_b64encode(b"\xfb\xff" * 12).decode()
    hook = hook_of(receiver.url, ["packet.created"])
    for secret in "whsec_" + key.rstrip("="), "whsec_" + urlsafe, "whsec_!!!notbase64!!!":
        wish = {"url": receiver.url, "secret": secret}
        for answer in (client.post(HOOKS, json=wish),
                       client.post(f"{HOOKS}/{hook['id']}/rotate-secret", json={"secret": secret})):
            assert answer.status_code == 422, secret
            assert answer.json()["detail"][0]["loc"] == ["body", "secret"]
            assert "base64" in answer.text and secret[6:] not in answer.text
    secrets = {"/padded": "whsec_" + key, "/bare": WHSEC[len("whsec_"):]}
    for path, secret in secrets.items():
        hook_of(receiver.url[:-1] + path, ["packet.created"], secret=secret)
    create(client)
    arrived(receiver, 3)
    for path, secret in secrets.items():
        request, = receiver.of(path)
        Webhook(secret).verify(request.body, request.headers)


def test_a_url_is_stored_and_sent_in_ascii(client, receiver, hook_of):
    hook = hook_of(receiver.url + "päth?name=Müller", ["packet.created"])
    path = "/p%C3%A4th?name=M%C3%BCller"
    assert hook["url"] == receiver.url[:-1] + path
    create(client)
    assert arrived(receiver, 1)[0].path == path
    changed = client.patch(f"{HOOKS}/{hook['id']}", json={"url": receiver.url + "?q=é"})
    assert changed.json()["url"] == receiver.url + "?q=%C3%A9"
    for url, reason in (("http://example.com:99999/", "port"), ("http://example.com/a b", "blank"),
                        ("http://me:x@example.com/", "credentials")):
        refused = client.post(HOOKS, json={"url": url, "secret": SECRET})
        assert refused.status_code == 422 and reason in refused.text, url
        assert "no host" not in refused.text
    inside = client.post(HOOKS, json={"url": "http://１０.0.0.1/", "secret": SECRET})
    assert inside.status_code == 422 and "blocked" in inside.text


def test_an_endless_answer_is_read_no_further_than_64_kb(client, receiver, hook_of):
    receiver.behave = lambda request: Answer(endless=True)
    hook = hook_of(receiver.url, ["packet.created"])
    create(client)
    assert with_status(client, hook, "delivered")[0]["attempts"] == 1
    request = receiver.requests[0]
    kilobytes = settled(lambda: request.sent) / 1024
    # What was on its way when the connection was closed counts too.
    assert 60 <= kilobytes < 256


def test_a_connection_is_used_again(client, receiver, hook_of):
    hook_of(receiver.url, ["packet.created"])
    for count in range(1, 31):
        create(client)
        arrived(receiver, count)
    assert len(receiver.requests) == 30 and receiver.connections == 1


def test_a_hanging_endpoint_does_not_delay_another(client, receiver, hook_of):
    receiver.behave = lambda request: Answer(hang=True) if request.path == "/hang" else 200
    hook_of(receiver.url + "hang")
    hook_of(receiver.url + "fine")
    for _ in range(20):
        create(client)
    wait_until(lambda: len(receiver.of("/fine")) == 20, 2, "twenty, at once")


# --- who may be told -------------------------------------------------------------------------------


@pytest.mark.parametrize("url", [
    "http://localhost/x", "http://LOCALHOST:8080/", "http://metadata.google.internal/",
    "http://metadata/", "http://169.254.169.254/latest", "http://10.1.2.3/", "http://172.20.0.1/",
    "http://192.168.1.1/", "http://0.0.0.0/", "http://255.255.255.255/", "http://100.64.1.1/",
    "http://192.0.0.8/", "http://224.0.0.1/", "http://240.0.0.1/", "http://127.2/",
    "http://2130706434/", "http://0x7f000002/", "http://0177.0.0.2/", "http://[::1]/",
    "http://[::]/", "http://[fc00::1]/", "http://[fe80::1]/", "http://[::ffff:10.0.0.1]/",
    "http://[64:ff9b::7f00:1]/", "http://[2002:7f00:1::]/", "http://a.localhost/", "http:///x",
])
def test_addresses_inside_are_refused(client, url):
    answer = client.post(HOOKS, json={"url": url, "events": [], "secret": SECRET})
    assert answer.status_code == 422, answer.text
    assert "blocked" in answer.text.lower()
    assert answer.json()["code"] == "validation_error"


@pytest.mark.parametrize("change", [
    {"url": "ftp://example.com/"}, {"url": "HTTP://example.com/"}, {"url": "example.com"},
    {"url": "http://user:pass@example.com/"}, {"url": "http://exa mple.com/"},
    {"url": "http://example.com/" + "x" * 2048}, {"url": ""}, {"url": None}, {"url": 5},
    {"secret": "short"}, {"secret": "x" * 257}, {"secret": None},
    {"events": ["packet.exploded"]}, {"events": "packet.created"}, {"events": [None]},
    {"events": ["packet.created"] * 65}, {"agents": ["a"] * 65}, {"tags": "x"},
])
def test_bad_hooks_are_refused(client, change):
    request = {"url": "https://example.invalid/hook", "secret": SECRET, **change}
    answer = client.post(HOOKS, json=request)
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "validation_error"


def test_a_hook_is_listed_changed_and_deleted(client):
    made = make_hook(client, "https://example.invalid/hook", ["packet.created"])
    assert set(made) >= {"id", "url", "events", "tenant_id", "active", "created_at"}
    assert "secret" not in made and made["active"] is True
    default = client.post(HOOKS, json={"url": "https://example.invalid/d", "secret": SECRET}).json()
    assert default["events"] == ["packet.created", "packet.claimed", "packet.completed",
                                 "packet.failed"]
    listed = client.get(HOOKS).json()
    assert [h["id"] for h in listed][-2:] == [made["id"], default["id"]]
    path = f"{HOOKS}/{made['id']}"
    changed = client.patch(path, json={"url": "https://example.invalid/two", "events": ["*"],
                                       "tags": ["t"]}).json()
    assert (changed["url"], changed["events"], changed["tags"]) == (
        "https://example.invalid/two", ["*"], ["t"])
    assert client.patch(path, json={"url": "http://127.1.2.3/"}).status_code == 422
    assert client.patch(path, json={"events": ["nonsense"]}).status_code == 422
    assert client.delete(path).status_code == 204
    again = client.delete(path)
    assert again.status_code == 409
    assert again.json()["detail"] == f"Webhook {made['id']} is already inactive"
    assert made["id"] in [h["id"] for h in client.get(HOOKS).json() if not h["active"]]
    client.delete(f"{HOOKS}/{default['id']}")
    unknown = uuid.uuid4()
    for method, path in [("GET", ""), ("DELETE", ""), ("GET", "/deliveries"), ("POST", "/test")]:
        answer = client.request(method, f"{HOOKS}/{unknown}{path}")
        assert answer.status_code == 404, (method, path)
        assert answer.json()["detail"] == f"Webhook {unknown} not found"
    assert client.patch(f"{HOOKS}/{unknown}", json={}).status_code == 404
    assert client.get(f"{HOOKS}/{unknown}/deliveries", params={"limit": 0}).status_code == 422
    assert client.get(f"{HOOKS}/dlq", params={"limit": "x"}).status_code == 422


def test_a_repeated_create_makes_one_hook(client):
    request = {"url": "https://example.invalid/once", "events": [], "secret": SECRET}
    headers = {"Idempotency-Key": uuid.uuid4().hex}
    first = client.post(HOOKS, json=request, headers=headers)
    again = client.post(HOOKS, json=request, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    other = client.post(HOOKS, json={**request, "events": ["*"]}, headers=headers)
    assert other.status_code == 422 and other.json()["code"] == "idempotency_key_reused"
    delete = {"Idempotency-Key": uuid.uuid4().hex}
    path = f"{HOOKS}/{first.json()['id']}"
    assert client.delete(path, headers=delete).status_code == 204
    assert client.delete(path, headers=delete).status_code == 204


def test_a_test_event_is_sent_at_once(client, receiver, hook_of):
    hook = hook_of(receiver.url, secret=WHSEC)
    answer = client.post(f"{HOOKS}/{hook['id']}/test").json()
    assert answer["delivered"] is True and answer["status_code"] == 200
    request = receiver.requests[0]
    assert request.event == "webhook.test"
    assert Webhook(WHSEC).verify(request.body, request.headers)["packet_id"] is None
    receiver.behave = lambda request: 500
    answer = client.post(f"{HOOKS}/{hook['id']}/test").json()
    assert (answer["delivered"], answer["status_code"]) == (False, 500)


def test_tenants_hear_only_of_their_own(hooked, client, receiver, hook_of, loop, admin_of_hooked):
    tenants = Tenants(hooked, loop, admin_of_hooked)
    other = tenants.client("t-other", role="writer")
    mine = hook_of(receiver.url + "mine")
    theirs = make_hook(other, receiver.url + "theirs")
    packet = create(client)
    theirs_packet = create(other)
    wait_until(lambda: receiver.of("/mine") and receiver.of("/theirs"), 10, "both")
    time.sleep(0.3)
    assert [json.loads(r.body)["packet_id"] for r in receiver.of("/mine")] == [packet["id"]]
    assert [json.loads(r.body)["packet_id"] for r in receiver.of("/theirs")] == [
        theirs_packet["id"]]
    found = with_status(client, mine, "delivered")[0]
    for method, path in [("GET", ""), ("PATCH", ""), ("DELETE", ""), ("POST", "/test"),
                         ("POST", "/rotate-secret"), ("GET", "/deliveries"),
                         ("GET", f"/deliveries/{found['id']}")]:
        kwargs = {"json": {}} if method == "PATCH" else {}
        answer = other.request(method, f"{HOOKS}/{mine['id']}{path}", **kwargs)
        assert answer.status_code == 404, (method, path, answer.text)
    assert [h["id"] for h in other.get(HOOKS).json()] == [theirs["id"]]
    assert other.post(f"{HOOKS}/dlq/{found['id']}/replay").status_code == 404
    assert other.post(f"{HOOKS}/dlq/retry-all").status_code == 403
    other.delete(f"{HOOKS}/{theirs['id']}")


@pytest.fixture
def admin_of_hooked(hooked, loop):
    it = Admin(hooked)
    loop.run(it.__aenter__())
    yield it
    loop.run(it.__aexit__())


# --- what survives ---------------------------------------------------------------------------------


def test_secrets_are_stored_sealed(hooked, client, hook_of, receiver):
    hook_of(receiver.url, secret="this must not be found on disk")
    time.sleep(0.5)
    for file in (hooked.folder / "nats").rglob("*.blk"):
        assert b"this must not be found on disk" not in file.read_bytes()


def test_a_schedule_survives_a_kill(make_rail, receiver):
    rail = make_rail(env={**SETTINGS, "HR_WEBHOOK_RETRY_SECONDS": "4"}).start()
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        receiver.behave = lambda request: 500
        hook = make_hook(client, receiver.url, ["packet.created"])
        create(client)
        arrived(receiver, 1)
        with_status(client, hook, "failed")
        pid = rail.pids["hr-worker-webhook-1"]
        os.kill(pid, signal.SIGKILL)
        rail.await_restart("hr-worker-webhook-1", pid)
        receiver.behave = lambda request: 200
        first, second = arrived(receiver, 2, 20)[:2]
        assert first.id == second.id
        assert second.at - first.at >= 3.9
        time.sleep(1)
        assert len(receiver.requests) == 2
        health = client.get("/api/v1/system/health").json()
        assert health["total_webhooks"] == 1
        assert health["recent_deliveries_1h"] == 1 and health["failed_deliveries_1h"] == 0
        assert health["avg_delivery_latency_ms"] > 0


def test_two_workers_share_the_work_and_one_alone_goes_on(make_rail, receiver):
    rail = make_rail(None, "--scale", "webhook=2", env=SETTINGS).start()
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        hooks = [make_hook(client, f"{receiver.url}{i}", ["packet.created"]) for i in range(12)]
        create(client)
        arrived(receiver, 12, 20)
        os.kill(rail.pids["hr-worker-webhook-1"], signal.SIGKILL)
        create(client)
        # By id: what the killed one had sent and not written down yet is sent again.
        wait_until(lambda: all(len({request.id for request in receiver.of(f"/{i}")}) == 2
                               for i, _ in enumerate(hooks)), 20, "both events at every hook")


def test_a_worker_that_slept_sends_nothing_that_others_have_sent(make_rail, receiver):
    rail = make_rail(None, "--scale", "webhook=2",
                     env={**SETTINGS, "HR_WEBHOOK_RETRY_SECONDS": "4"}).start()
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        receiver.behave = lambda request: 500
        hooks = [make_hook(client, f"{receiver.url}{i}", ["packet.created"]) for i in range(12)]
        create(client)
        for hook in hooks:
            with_status(client, hook, "failed")
        receiver.behave = lambda request: 200
        pid = rail.pids["hr-worker-webhook-1"]
        os.kill(pid, signal.SIGSTOP)
        try:
            arrived(receiver, 24, 20)  # the other one has taken over
        finally:
            os.kill(pid, signal.SIGCONT)  # its own time for the second attempt has passed
        time.sleep(3)
        for i, _ in enumerate(hooks):
            assert [request.answer for request in receiver.of(f"/{i}")] == [500, 200]


def test_webhooks_go_on_without_postgres(make_rail, receiver):
    rail = make_rail(env=SETTINGS).start()
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        make_hook(client, receiver.url, ["packet.created"])
        os.kill(rail.pids["postgres"], signal.SIGSTOP)
        try:
            create(client)
            arrived(receiver, 1)
        finally:
            os.kill(rail.pids["postgres"], signal.SIGCONT)


# --- names that turn -------------------------------------------------------------------------------


def can_have_own_hosts():
    return os.geteuid() == 0 and shutil.which("unshare") is not None


def test_a_name_that_turns_inward_gets_no_connection(tmp_path, receiver):
    """The whole rail has a hosts file of its own, in a mount namespace; the name moves in it."""
    assert can_have_own_hosts(), "this test takes root and unshare"
    hosts = tmp_path / "hosts"
    hosts.write_text("127.0.0.1 localhost\n203.0.113.7 turning.example\n")
    names = tmp_path / "nsswitch"
    names.write_text("hosts: files\npasswd: files\ngroup: files\n")
    wrapped = WrappedRail(hosts, names, env={"HR_WEBHOOK_RETRY_SECONDS": "0.1",
                                             "HR_WEBHOOK_TIMEOUT_MS": "1500"})
    with wrapped as rail, httpx.Client(base_url=rail.url, headers=rail.headers,
                                       timeout=30) as client:
        url = receiver.url.replace("127.0.0.1", "turning.example")
        hook = make_hook(client, url, ["packet.created"])
        hosts.write_text("127.0.0.1 localhost\n127.0.0.1 turning.example\n")
        refused = client.post(HOOKS, json={"url": url, "events": [], "secret": SECRET})
        assert refused.status_code == 422 and "blocked" in refused.text
        create(client)
        dead = with_status(client, hook, "dead_letter")[0]
        assert "blocked" in dead["last_error"] and dead["last_status_code"] is None
        assert receiver.connections == 0
        tested = client.post(f"{HOOKS}/{hook['id']}/test").json()
        assert tested["delivered"] is False and "blocked" in tested["error"]
        assert receiver.connections == 0


class WrappedRail(Rail):
    def __init__(self, hosts, names, **kwargs):
        super().__init__(**kwargs)
        self.mounts = (f"mount --bind {hosts} /etc/hosts && "
                       f"mount --bind {names} /etc/nsswitch.conf && exec \"$@\"")

    def command(self, *args):
        return ["unshare", "-m", "sh", "-c", self.mounts, "sh", *super().command(*args)]
