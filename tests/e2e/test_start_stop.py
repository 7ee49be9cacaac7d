"""Programs on their own, as a cluster runs them: NATS comes last, and gateways are replaced one by one."""

import pathlib
import signal
import subprocess
import threading
import time

import httpx
import pytest
from packets import PACKETS, body
from rail import BIN, SERVER, free_port, wait_until

PATIENCE = 20


class Program:
    """One of our programs; its log in lines."""

    def __init__(self, name, env):
        self.lines = []
        self.process = subprocess.Popen(
            [str(BIN / name)],
            env={"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "detect_leaks=0", **env},
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    def has_said(self, word):
        return any(word in line for line in self.lines)

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE)


@pytest.fixture
def start():
    made = []

    def make(name, **env):
        made.append(Program(name, env))
        return made[-1]

    yield make
    for one in made:
        if one.process.poll() is None:
            one.process.kill()
            one.process.wait()


def answers(path, what):
    transport = httpx.HTTPTransport(uds=path)
    try:
        with httpx.Client(transport=transport, base_url="http://it", timeout=5) as client:
            return client.get(what).status_code
    except httpx.TransportError:
        return None


def test_a_worker_that_is_there_before_nats_works_when_it_comes(start, tmp_path):
    port = free_port()
    health = str(tmp_path / "health")
    worker = start(
        "hr-worker-packet",
        HR_NATS_URL=f"nats://127.0.0.1:{port}",
        HR_HEALTH_LISTEN=f"unix:{health}",
        HR_LOG_LEVEL="info",
    )
    wait_until(lambda: worker.has_said("run.waiting"), PATIENCE, "it says that it waits")
    assert answers(health, "/healthz") == 200
    assert answers(health, "/readyz") == 503
    server = subprocess.Popen(
        [SERVER, "-a", "127.0.0.1", "-p", str(port), "-js", "-sd", str(tmp_path / "js")],
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: answers(health, "/readyz") == 200, PATIENCE, "it is ready")
        assert sum("run.waiting" in line for line in worker.lines) == 1
        assert worker.stop() == 0
    finally:
        server.kill()
        server.wait()


def test_a_program_that_waits_for_nats_can_be_stopped(start, tmp_path):
    worker = start("hr-gateway", HR_NATS_URL=f"nats://127.0.0.1:{free_port()}")
    wait_until(lambda: worker.has_said("run.waiting"), PATIENCE, "it says that it waits")
    assert worker.stop() == 0


class Client(threading.Thread):
    """Makes packets at whichever gateway was ready when it last looked, as a load balancer does."""

    def __init__(self, urls, headers):
        super().__init__(daemon=True)
        self.clients = {url: httpx.Client(base_url=url, headers=headers, timeout=10) for url in urls}
        self.ready = list(urls)
        self.failed = []
        self.made = 0
        self.done = threading.Event()

    def look(self):
        while not self.done.is_set():
            ready = []
            for url in self.clients:
                try:
                    if httpx.get(url + "/ready", timeout=5).status_code == 200:
                        ready.append(url)
                except httpx.TransportError:
                    pass
            self.ready = ready or self.ready
            self.done.wait(0.1)

    def run(self):
        threading.Thread(target=self.look, daemon=True).start()
        while not self.done.is_set():
            url = self.ready[self.made % len(self.ready)]
            try:
                answer = self.clients[url].post(PACKETS, json=body())
                if answer.status_code != 201:
                    self.failed.append(answer.text)
            except httpx.TransportError as error:
                self.failed.append(repr(error))
            self.made += 1


def test_gateways_replaced_one_by_one_lose_no_request(rail, start):
    environ = pathlib.Path(f"/proc/{rail.pids['hr-gateway-1']}/environ").read_bytes().decode()
    env = dict(item.split("=", 1) for item in environ.split("\0") if item)
    env |= {"HR_DRAIN_SECONDS": "2", "HR_HEALTH_LISTEN": "", "HR_LOG_LEVEL": "info"}
    ports = [free_port(), free_port()]

    def gateway(port):
        made = start("hr-gateway", **{**env, "HR_LISTEN": f"127.0.0.1:{port}"})

        def ready():
            try:
                return httpx.get(f"http://127.0.0.1:{port}/ready", timeout=5).status_code == 200
            except httpx.TransportError:
                return False

        wait_until(ready, PATIENCE, "a gateway is ready")
        return made

    running = [gateway(port) for port in ports]
    client = Client([f"http://127.0.0.1:{port}" for port in ports], rail.headers)
    client.start()
    for i, port in enumerate(ports):
        before = client.made
        wait_until(lambda: client.made > before + 50, PATIENCE, "packets are made")
        started = time.monotonic()
        assert running[i].stop() == 0
        assert time.monotonic() - started > 1.5, "it waited until others had noticed"
        gateway(port)
    before = client.made
    wait_until(lambda: client.made > before + 50, PATIENCE, "packets are made")
    client.done.set()
    client.join(PATIENCE)
    assert client.failed == []
