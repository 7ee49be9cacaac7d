"""A chain of 200 links: what it costs to store, and to read."""

import os
import pathlib
import time

import httpx
import pytest
from agent import STREAM, Agent
from chains import chain, follow, link, root, said, sha256, talk
from packets import PACKETS
from tenants import Tenants

LINKS = 200
LINK_BYTES = 4096
READ_SECONDS = 0.05
LIMIT_BYTES = 30_000_000


@pytest.fixture(scope="module")
def tenants(rail, loop, admin):
    made = Tenants(rail, loop, admin)
    yield made
    made.close()


@pytest.fixture(scope="module")
def client(tenants):
    made = tenants.client("t-cost")
    tenants.limit("t-cost", max_hops=300)
    return made


def content(i):
    """Of link i: 4 KB in four entries."""
    quarter = LINK_BYTES // 4
    return [f"{i}.{part} ".ljust(quarter, "x") for part in range(4)]


def context(i):
    return {"summary": f"link {i}", "conversation_state": said(*content(i))}


@pytest.fixture(scope="module")
def links(client, admin, loop):
    """The packets of a chain, and the bytes of the stream that they take."""

    def stored():
        return loop.run(admin.api("STREAM.INFO." + STREAM))["state"]["bytes"]

    before = stored()
    made = [root(client, "a0", "a1", context=context(0))]
    for i in range(1, LINKS):
        sent = link(f"a{i}", f"a{i + 1}", context=context(i))
        answer = client.post(f"{PACKETS}/{made[-1]['id']}/chain", json=sent)
        assert answer.status_code == 201, answer.text
        made.append(answer.json())
    return made, stored() - before


def test_it_stores_less_than_twice_its_content(links):
    stored = links[1]
    raw = LINKS * LINK_BYTES
    print(f"{LINKS} links of {LINK_BYTES} B: {stored} B stored, {stored / raw:.2f} x")
    assert stored < 2 * raw


@pytest.mark.measures
def test_the_last_link_gives_all_of_it_in_order_at_once(client, links):
    last = links[0][-1]
    wanted = [text for i in range(LINKS) for text in content(i)]
    times = []
    for _ in range(20):
        started = time.monotonic()
        answer = client.get(f"{PACKETS}/{last['id']}")
        times.append(time.monotonic() - started)
        assert answer.status_code == 200
    times.sort()
    assert talk(answer.json()) == wanted
    assert "omitted" not in answer.json()["lineage"]
    print(f"read: best {times[0] * 1e3:.1f} ms, median {times[10] * 1e3:.1f} ms")
    assert times[10] < READ_SECONDS


def test_links_beyond_the_nearest_are_found(client, links):
    made = links[0]
    for i in (0, 7, 8, 100, 190, 198):
        answer = client.get(f"{PACKETS}/{made[-1]['id']}/context", params={"from": made[i]["id"]})
        assert answer.status_code == 200
        part = answer.json()["context"]
        assert [entry["content"] for entry in part["conversation_state"]] == content(i)


def test_most_of_it_left_out_is_listed(client, links):
    made = links[0]
    end = follow(client, made[-1], f"a{LINKS}", "end", max_context_bytes=5 * 5000)
    taken = len(end["context"]["conversation_state"]) // 4
    assert 3 <= taken <= 5
    omitted = end["lineage"]["omitted"]
    assert len(omitted) == LINKS - taken
    assert [ref["packet_id"] for ref in omitted] == [p["id"] for p in reversed(made[:-taken])]
    far = client.get(f"{PACKETS}/{end['id']}/context", params={"from": omitted[-1]["packet_id"]})
    assert sha256(far.content) == omitted[-1]["sha256"]


def test_the_300th_hop_is_the_last(client, tenants):
    tenants.limit("t-cost", max_hops=3)
    packet = root(client, "b0", "b1")
    for i in range(1, 4):
        packet = follow(client, packet, f"b{i}", f"b{i + 1}")
    assert chain(client, packet, "b4", "b5").status_code == 409
    tenants.limit("t-cost", max_hops=300)
    assert chain(client, packet, "b4", "b5").status_code == 201


def memory(rail, name):
    """Bytes a process holds."""
    for line in pathlib.Path(f"/proc/{rail.pids[name]}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise KeyError(name)


def test_what_is_not_taken_is_not_held(make_rail, loop):
    """40 links of 1 MB each: neither making nor reading the last one holds more than a few."""
    # What a sanitizer keeps of freed memory is not held by the program.
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    rail = make_rail(env={"ASAN_OPTIONS": options}).start()
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        packet = root(client)
        before = {name: memory(rail, name) for name in ("hr-gateway-1", "hr-worker-chain-1")}
        ids = []

        async def grow():
            async with Agent(rail) as agent:
                parent = packet["id"]
                for i in range(40):
                    sent = link(f"a{i}", f"a{i + 1}", context={"summary": "s", "custom": {"x": "y" * 1000000}})
                    reply = await agent.json("packet.chain", {"packet_id": parent, **sent})
                    parent = reply.json()["id"]
                    ids.append(parent)

        loop.run(grow())
        for _ in range(5):
            last = client.get(f"{PACKETS}/{ids[-1]}").json()
        assert len(last["lineage"]["omitted"]) == 39, "one fits"
        for name, held in before.items():
            grown = memory(rail, name) - held
            print(f"{name}: {grown / 1e6:.1f} MB more")
            assert grown < LIMIT_BYTES
