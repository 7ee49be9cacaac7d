"""Keys out of the bucket HR_KEYS: usable at once, gone at once, each in its tenant and its role."""

import asyncio
import hashlib
import secrets

import contract
import httpx
import pytest
from packets import PACKETS, body, claim, postgres

admin_pb2 = contract.load("admin")

NOWHERE = "11111111-1111-4111-8111-111111111111"
AT_ONCE_SECONDS = 1
ROLES = ["reader", "agent", "writer", "admin"]


class Keys:
    """Writes the bucket as the admin."""

    def __init__(self, rail, loop, admin):
        self.url = rail.url
        self.loop = loop
        self.bucket = loop.run(self._open(admin))
        self.clients = []

    async def _open(self, admin):
        return await admin.nats.jetstream().key_value("HR_KEYS")

    @staticmethod
    def digest(text):
        return hashlib.sha256(text.encode()).hexdigest()

    def put(self, text, **entry):
        data = admin_pb2.ApiKey(**entry).SerializeToString()
        self.loop.run(self.bucket.put(self.digest(text), data))

    def delete(self, text):
        self.loop.run(self.bucket.delete(self.digest(text)))

    def make(self, role="admin", tenant="default", **entry):
        """A client with a new key that the gateway knows already."""
        text = "hr_" + secrets.token_urlsafe(32)
        entry = {"id": "k" + secrets.token_hex(6), "tenant": tenant, "role": role, **entry}
        self.put(text, **entry)
        client = httpx.Client(base_url=self.url, headers={"X-API-Key": text}, timeout=10)
        client.entry, client.text = entry, text
        self.clients.append(client)
        self.until(client, lambda answer: answer.status_code != 401)
        return client

    def until(self, client, condition):
        """Asks until the condition holds, but not for long: changes take effect at once."""

        async def ask():
            async with asyncio.timeout(AT_ONCE_SECONDS):
                while True:
                    answer = client.get(f"{PACKETS}/{NOWHERE}")
                    if condition(answer):
                        return answer
                    await asyncio.sleep(0.005)

        return self.loop.run(ask())


@pytest.fixture
def keys(rail, loop, admin):
    made = Keys(rail, loop, admin)
    yield made
    for client in made.clients:
        client.close()
        made.delete(client.text)


def create(client, **parts):
    answer = client.post(PACKETS, json=body(**parts))
    assert answer.status_code == 201, answer.text
    return answer.json()["id"]


def refusal(answer, status, code):
    assert (answer.status_code, answer.json()["code"]) == (status, code), answer.text
    return answer.json()["detail"]


def test_a_key_works_as_soon_as_it_is_in_the_bucket(keys):
    client = keys.make()
    packet_id = create(client)
    assert client.get(f"{PACKETS}/{packet_id}").status_code == 200


def test_a_revoked_key_is_refused_at_once(keys):
    client = keys.make()
    packet_id = create(client)
    keys.put(client.text, **client.entry, revoked=True)
    answer = keys.until(client, lambda answer: answer.status_code != 404)
    assert refusal(answer, 401, "key_revoked") == "API key has been revoked"
    refusal(client.post(PACKETS, json=body()), 401, "key_revoked")
    refusal(client.get(f"{PACKETS}/{packet_id}"), 401, "key_revoked")
    keys.put(client.text, **client.entry)
    keys.until(client, lambda answer: answer.status_code == 404)


def test_a_deleted_key_is_unknown_at_once(keys):
    client = keys.make()
    keys.delete(client.text)
    answer = keys.until(client, lambda answer: answer.status_code == 401)
    assert refusal(answer, 401, "key_invalid") == "Invalid API key"


def test_a_changed_role_holds_at_once(keys):
    client = keys.make(role="admin")
    keys.put(client.text, **{**client.entry, "role": "reader"})
    sent = body()

    async def demoted():
        async with asyncio.timeout(AT_ONCE_SECONDS):
            while client.post(PACKETS, json=sent).status_code != 403:
                await asyncio.sleep(0.005)

    keys.loop.run(demoted())


# What each asks for, and the least role that may.
REQUESTS = [
    ("GET", PACKETS, None, "reader"),
    ("GET", "/api/v1/audit", None, "reader"),
    ("GET", "/api/v1/audit/export", None, "reader"),
    ("GET", f"{PACKETS}/{NOWHERE}", None, "reader"),
    ("GET", f"{PACKETS}/{NOWHERE}/history", None, "reader"),
    ("PATCH", f"{PACKETS}/{NOWHERE}", {}, "agent"),
    ("POST", f"{PACKETS}/{NOWHERE}/claim", claim(), "agent"),
    ("POST", PACKETS, body(), "writer"),
    ("DELETE", f"{PACKETS}/{NOWHERE}", None, "writer"),
]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_allows_what_the_contract_says(keys, role):
    client = keys.make(role=role)
    for method, target, sent, least in REQUESTS:
        answer = client.request(method, target, json=sent)
        if ROLES.index(role) >= ROLES.index(least):
            assert answer.status_code in (200, 201, 404), (method, target, answer.text)
        else:
            assert refusal(answer, 403, "forbidden") == (
                f"Insufficient permissions. Required role: {least}, current role: {role}"
            )


@pytest.mark.parametrize(
    "entry",
    [
        {"role": ""},
        {"role": "root"},
        {"role": "Admin"},
        {"role": "none"},
        {"tenant": "*"},
        {"tenant": ">"},
        {"tenant": "a.b"},
        {"tenant": ""},
        {"tenant": "x" * 65},
        {"id": "*"},
        {"id": ""},
        {"id": "a b"},
    ],
)
def test_an_entry_that_makes_no_sense_lets_nobody_in(keys, entry):
    good = keys.make()
    text = "hr_" + secrets.token_urlsafe(32)
    keys.put(text, **{"id": "k", "tenant": "default", "role": "admin", **entry})
    keys.put(good.text, **good.entry, revoked=True)  # read behind it
    keys.until(good, lambda answer: answer.status_code == 401)
    for method, target, sent, _ in REQUESTS:
        answer = httpx.request(
            method, keys.url + target, json=sent, headers={"X-API-Key": text}, timeout=10
        )
        assert answer.status_code in (401, 403), answer.text
    keys.delete(text)


def test_garbage_in_the_bucket_lets_nobody_in(keys):
    text = "hr_" + secrets.token_urlsafe(32)
    good = keys.make()
    for data in [b"", b"\xff\xff", b"{}"]:
        keys.loop.run(keys.bucket.put(keys.digest(text), data))
        keys.put(good.text, **good.entry)
        answer = httpx.get(keys.url + PACKETS, headers={"X-API-Key": text}, timeout=10)
        assert answer.status_code == 401
    keys.delete(text)


# --- tenants -------------------------------------------------------------------------------------


def test_tenants_do_not_see_each_other(rail, keys):
    ours = keys.make(tenant="t-ours")
    theirs = keys.make(tenant="t-theirs")
    packet_id = create(ours, summary="secret")
    target = f"{PACKETS}/{packet_id}"

    for method, suffix, sent in [
        ("GET", "", None),
        ("PATCH", "", {"status": "failed"}),
        ("DELETE", "", None),
        ("POST", "/claim", claim("thief")),
        ("GET", "/history", None),
    ]:
        answer = theirs.request(method, target + suffix, json=sent)
        assert refusal(answer, 404, "not_found") == f"Packet {packet_id} not found"
    for client, total in [(ours, 1), (theirs, 0)]:
        page = client.get(PACKETS).json()
        assert (page["total"], len(page["packets"])) == (total, total)
        log = client.get("/api/v1/audit").json()
        assert (log["total"], len(log["entries"])) == (total, total)
    assert theirs.get("/api/v1/audit", params={"packet_id": packet_id}).json()["total"] == 0
    assert ours.get(target).json()["status"] == "created"
    entry = ours.get("/api/v1/audit").json()["entries"][0]
    assert entry["key_id"] == ours.entry["id"], "who did it is known from the key"
    with postgres(rail) as connection:
        row = connection.execute(
            "SELECT tenant, key_id FROM packet_events WHERE packet_id = %s", (packet_id,)
        ).fetchone()
    assert row == ("t-ours", ours.entry["id"])


def test_tenants_do_not_share_idempotency_keys(keys):
    key = {"Idempotency-Key": secrets.token_hex(8)}
    made = set()
    for tenant in ("t-one", "t-two"):
        answer = keys.make(tenant=tenant).post(PACKETS, json=body(tenant), headers=key)
        assert answer.status_code == 201, answer.text
        made.add(answer.json()["id"])
    assert len(made) == 2


def test_two_keys_of_a_tenant_share_its_packets(keys):
    one, two = keys.make(tenant="t-shared"), keys.make(tenant="t-shared", role="agent")
    packet_id = create(one)
    assert two.post(f"{PACKETS}/{packet_id}/claim", json=claim("two")).status_code == 200
    events = one.get(f"{PACKETS}/{packet_id}/history").json()["events"]
    assert [event["key_id"] for event in events] == [one.entry["id"], two.entry["id"]]


def test_a_cursor_is_worth_nothing_elsewhere(keys):
    ours, theirs = keys.make(tenant="t-cursor"), keys.make(tenant="t-cursor-too")
    for _ in range(3):
        create(ours)
    create(theirs)
    cursor = ours.get(PACKETS + "?limit=1").json()["next_cursor"]
    answer = theirs.get(PACKETS, params={"cursor": cursor})
    if answer.status_code == 200:
        assert all(p["context"]["summary"] == "do it" for p in answer.json()["packets"])
        ids = {p["id"] for p in ours.get(PACKETS).json()["packets"]}
        assert not ids & {p["id"] for p in answer.json()["packets"]}
    else:
        refusal(answer, 400, "invalid_cursor")


def test_the_bootstrap_key_needs_no_bucket(rail):
    answer = httpx.get(rail.url + PACKETS, headers=rail.headers, timeout=10)
    assert answer.status_code == 200
