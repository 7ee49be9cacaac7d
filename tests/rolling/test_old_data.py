"""A data folder that an older version made starts under this one, with everything in it.

HR_OLD_BIN: the folder of the older version's programs, see build-old.sh.
"""

import os
import pathlib
import shutil

import pytest
from data import Client
from hooks import HOOKS, make_hook
from packets import PACKETS, body, claim
from rail import BIN, Rail, enterable_folder, wait_until


def old_programs():
    return pathlib.Path(os.environ["HR_OLD_BIN"])


@pytest.fixture
def folder():
    made = enterable_folder()
    yield made / "data"
    shutil.rmtree(made, ignore_errors=True)


def fill(client):
    """Packets in every state; what each answers, by its id."""
    ids = []
    for i in range(20):
        ids.append(client.made("POST", PACKETS, body(f"old number {i}"))["id"])
    for packet_id in ids[5:15]:
        client.made("POST", f"{PACKETS}/{packet_id}/claim", claim(lease_seconds=600))
    for packet_id in ids[10:15]:
        generation = client.made("GET", f"{PACKETS}/{packet_id}")["claim"]["generation"]
        answer = client.patch(
            f"{PACKETS}/{packet_id}",
            json={"status": "completed"},
            headers={"HR-Claim": str(generation)},
        )
        assert answer.status_code == 200, answer.text
    ids.append(client.made("POST", f"{PACKETS}/{ids[10]}/chain", body("the next link"))["id"])
    make_hook(client, "https://example.org/h")
    packets = {packet_id: client.made("GET", f"{PACKETS}/{packet_id}") for packet_id in ids}
    histories = {
        packet_id: client.made("GET", f"{PACKETS}/{packet_id}/history?all=true") for packet_id in ids
    }
    return packets, histories


def test_an_old_data_folder_keeps_everything(folder):
    with Rail(folder, bin_dir=old_programs()) as old, Client(old) as client:
        packets, histories = fill(client)
        key = old.headers
        hooks = client.made("GET", HOOKS)
    with Rail(folder, bin_dir=BIN) as new, Client(new) as client:
        assert new.headers == key
        for packet_id, packet in packets.items():
            now = client.made("GET", f"{PACKETS}/{packet_id}")
            assert now == packet
            assert client.made("GET", f"{PACKETS}/{packet_id}/history?all=true") == histories[packet_id]
        assert client.made("GET", HOOKS) == hooks
        # Its leases still hold, and its packets can be changed.
        held, free = list(packets)[5], list(packets)[0]
        refused = client.post(f"{PACKETS}/{held}/claim", json=claim("another"))
        assert refused.status_code == 409
        client.made("POST", f"{PACKETS}/{free}/claim", claim("another"))
        found = wait_until(
            lambda: client.made("GET", f"{PACKETS}/search?q=number+7")["packets"], 20, "search"
        )
        assert found


def test_the_old_version_starts_again_on_what_this_one_wrote(folder):
    with Rail(folder, bin_dir=old_programs()) as old, Client(old) as client:
        packets, _ = fill(client)
    with Rail(folder, bin_dir=BIN) as new, Client(new) as client:
        fresh = client.made("POST", PACKETS, body("by the new one"))
        client.made("POST", f"{PACKETS}/{fresh['id']}/claim", claim("another"))
    with Rail(folder, bin_dir=old_programs()) as old, Client(old) as client:
        for packet_id in packets:
            assert client.made("GET", f"{PACKETS}/{packet_id}")["id"] == packet_id
        again = client.made("GET", f"{PACKETS}/{fresh['id']}")
        assert (again["status"], again["context"]["summary"]) == ("claimed", "by the new one")
