"""Webhooks that fail, and what became of their deliveries."""

from packets import PACKETS, body, claim
from rail import wait_until

HOOKS = "/api/v1/hooks"
SECRET = "a secret of some length"
SINCE = {"since": "2020-01-01T00:00:00Z"}
BATCH = 50  # packets that one request may create


def make_hook(client, url, events=("*",), secret=SECRET, **parts):
    answer = client.post(HOOKS, json={"url": url, "events": list(events), "secret": secret, **parts})
    assert answer.status_code == 201, answer.text
    return answer.json()


def create_many(client, count):
    """Their ids, in order."""
    made = []
    while len(made) < count:
        answer = client.post(f"{PACKETS}/batch", json={
            "packets": [body() for _ in range(min(BATCH, count - len(made)))]})
        assert answer.status_code == 201, answer.text
        made += [packet["id"] for packet in answer.json()["created"]]
    return made


def live(client, packet_id):
    """From created to completed."""
    assert client.post(f"{PACKETS}/{packet_id}/claim", json=claim()).status_code == 200
    for status in "in_progress", "completed":
        assert client.patch(f"{PACKETS}/{packet_id}", json={"status": status}).status_code == 200


def count(client, hook, status):
    """How many of a hook's deliveries have it."""
    found = 0
    while True:
        page = client.get(f"{HOOKS}/{hook}/deliveries",
                          params={"status": status, "limit": 200, "offset": found}).json()
        found += len(page)
        if len(page) < 200:
            return found


def await_count(client, hook, status, wanted, seconds=30):
    wait_until(lambda: count(client, hook, status) == wanted, seconds, f"{wanted} {status}")


def recover(client, hook, headers=None):
    return client.post(f"{HOOKS}/{hook}/recover", json=SINCE, headers=headers)
