"""JetStream has no room: told as that, to clients, load balancers and metrics."""

import subprocess

import httpx
import pytest
from packets import PACKETS, body
from rail import SERVER, free_port, wait_until

LIMIT_MB = 8


@pytest.fixture
def nats_url(tmp_path):
    port = free_port()
    config = tmp_path / "nats.conf"
    config.write_text(
        f"listen: 127.0.0.1:{port}\nmax_payload: 8MB\n"
        f"jetstream {{ store_dir: {tmp_path}/js, max_file_store: {LIMIT_MB}MB }}\n"
    )
    server = subprocess.Popen([SERVER, "-c", str(config)], stderr=subprocess.DEVNULL)
    yield f"nats://127.0.0.1:{port}"
    server.kill()
    server.wait()


def test_no_room_is_507_and_not_ready_and_counted(make_rail, nats_url):
    rail = make_rail(None, "--nats-url", nats_url).start()
    made = body()
    made["context"]["conversation_state"] = [
        {"role": "user", "content": "x" * 9000} for _ in range(60)
    ]
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=20) as client:
        for _ in range(4 * LIMIT_MB):
            answer = client.post(PACKETS, json=made)
            if answer.status_code != 201:
                break
            kept = answer.json()["id"]
        assert answer.status_code == 507, answer.text
        assert answer.json()["code"] == "storage_full"
        assert int(answer.headers["Retry-After"]) > 0
        wait_until(lambda: client.get("/ready").status_code == 503, 10, "it is not ready")
        assert client.get(f"{PACKETS}/{kept}").status_code == 200, "reading goes on"

    def gauge():
        transport = httpx.HTTPTransport(uds=str(rail.folder / "run/hr-worker-packet-1.sock"))
        with httpx.Client(transport=transport, base_url="http://worker") as worker:
            return "handoffrail_storage_full 1\n" in worker.get("/metrics").text

    assert gauge()
