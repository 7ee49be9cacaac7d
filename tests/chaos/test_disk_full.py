"""NATS' disk is full, and has room again: serve heals the rail, and what was confirmed is there."""

import os
import subprocess

import httpx
import pytest
from packets import PACKETS, body
from rail import Rail, enterable_folder, wait_until

SIZE_MB = 24
SUMMARY = "x" * 9000
SETTINGS = {"HR_SERVE_DEAF_SECONDS": "4"}


def create(client):
    parts = [{"role": "user", "content": SUMMARY} for _ in range(40)]
    made = body()
    made["context"]["conversation_state"] = parts
    try:
        return client.post(PACKETS, json=made)
    except httpx.TransportError:
        return None


@pytest.fixture
def rail():
    """A rail whose NATS has a small disk of its own."""
    folder = enterable_folder()
    first = Rail(folder / "data").start()
    first.stop()
    first.close()
    mount = folder / "data/nats"
    kept = {f.name: f.read_bytes() for f in mount.iterdir() if f.is_file()}
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=0700", "tmpfs", mount], check=True
    )
    for name, text in kept.items():
        (mount / name).write_bytes(text)
    made = Rail(folder / "data", env=SETTINGS)
    try:
        made.start()
        made.mount = mount
        yield made
        made.close()
    finally:
        made.kill()
        subprocess.run(["umount", "-l", mount], check=True)
        subprocess.run(["rm", "-rf", folder], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may mount a small disk")
@pytest.mark.timeout(180)
def test_a_full_disk_heals_when_it_has_room_again(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=20) as client:
        confirmed = [create(client).json()["id"] for _ in range(3)]
        filler = rail.mount / "filler"
        # nats-server keeps within three quarters of the room that was there when it started: somebody
        # else takes the rest.
        with pytest.raises(OSError), filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 65536)
        for _ in range(20):
            answer = create(client)
            if answer is None or answer.status_code != 201:
                break
            confirmed.append(answer.json()["id"])
        else:
            raise AssertionError("the disk is not full")
        filler.unlink()

        def works():
            answer = create(client)
            return answer is not None and answer.status_code == 201

        wait_until(works, 60, "packets are made again")
        for id in confirmed:
            assert client.get(f"{PACKETS}/{id}").status_code == 200, id
