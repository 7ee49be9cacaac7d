"""A clustered nats-server before 2.11 can accept two claims of one packet: workers refuse to start on one."""

import os
import re
import shutil
import socket
import subprocess
import time

import pytest

from rail import BIN, enterable_folder


def free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def server_version() -> tuple[int, int]:
    text = subprocess.run(["nats-server", "--version"], capture_output=True, text=True, check=True).stdout
    major, minor = re.search(r"v?(\d+)\.(\d+)\.", text).groups()
    return int(major), int(minor)


@pytest.fixture
def cluster(tmp_path):
    ports = free_ports(6)
    routes = ", ".join(f"nats://127.0.0.1:{port}" for port in ports[3:])
    servers = []
    for i in range(3):
        config = tmp_path / f"server{i}.conf"
        config.write_text(
            f"server_name: s{i}\nlisten: 127.0.0.1:{ports[i]}\n"
            f"jetstream {{ store_dir: {tmp_path}/js{i} }}\n"
            f"cluster {{ name: c, listen: 127.0.0.1:{ports[3 + i]}, routes: [{routes}] }}\n"
        )
        servers.append(subprocess.Popen(["nats-server", "-c", str(config)], stderr=subprocess.DEVNULL))
    try:
        yield f"nats://127.0.0.1:{ports[0]}"
    finally:
        for server in servers:
            server.kill()
        for server in servers:
            server.wait()


def test_a_worker_refuses_a_clustered_server_before_2_11(cluster):
    environment = {"PATH": os.environ["PATH"], "HR_NATS_URL": cluster, "HR_STREAM_REPLICAS": "3"}
    worker = subprocess.Popen(
        [BIN / "hr-worker-packet"], env=environment, stderr=subprocess.PIPE, text=True
    )
    if server_version() >= (2, 11):
        time.sleep(5)
        assert worker.poll() is None, "a current server is fine"
        worker.terminate()
        assert worker.wait(5) == 0
        return
    _, log = worker.communicate(timeout=40)
    assert worker.returncode == 2
    assert "topology.server_too_old" in log
    assert "2.11" in log


def test_serve_passes_the_reason_on(cluster):
    if server_version() >= (2, 11):
        return  # nothing to refuse
    folder = enterable_folder()
    try:
        serve = subprocess.run(
            [BIN / "handoffrail", "serve", "--port", "0", "--nats-url", cluster, "--data-dir", folder / "data"],
            env={"PATH": os.environ["PATH"], "HR_STREAM_REPLICAS": "3"},
            capture_output=True, text=True, timeout=90,
        )
    finally:
        shutil.rmtree(folder)
    assert serve.returncode == 1
    assert "topology.server_too_old" in serve.stderr
    assert "ready" not in serve.stdout
