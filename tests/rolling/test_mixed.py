"""The programs of an older version and ours side by side, as during an update.

HR_BIN_DIR: the mixed folder that build-old.sh makes. HR_TEST_SCALE: two copies of every worker.
"""

import pytest
from data import Client
from packets import PACKETS, body, claim
from rail import Rail

TRIES = 40
OWN = {"x_trace": {"id": "4bf92f35", "sampled": True}}


@pytest.fixture(scope="module")
def client():
    with Rail() as rail, Client(rail) as made:
        yield made


def test_old_workers_keep_unknown_members(client):
    """An old worker drops them when it creates a packet, as it always did; it must not take them
    out of a packet that has them."""
    kept = []
    for _ in range(TRIES):
        packet = client.made("POST", PACKETS, {**body("unknown members"), **OWN})
        if "x_trace" in packet:
            kept.append(packet["id"])
    assert kept, f"none of {TRIES} packets was created by one of our workers"
    for packet_id in kept:
        path = f"{PACKETS}/{packet_id}"
        changed = [
            client.made("PATCH", path, {"context": {"summary": f"turn {turn}"}}) for turn in range(3)
        ]
        changed.append(client.made("POST", path + "/claim", claim()))
        changed.append(client.made("PATCH", path, {"status": "in_progress"}))
        changed.append(client.made("PATCH", path, {"status": "completed"}))
        for packet in [*changed, client.made("GET", path)]:
            assert packet.get("x_trace", OWN["x_trace"]) == OWN["x_trace"]
        # Old workers do not show them; ours still find them.
        seen = [client.made("GET", path).get("x_trace") for _ in range(10)]
        assert OWN["x_trace"] in seen
