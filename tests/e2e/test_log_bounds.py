"""What somebody sends again and again does not fill the disk with what is said about it."""

import json
import re
import socket
from urllib.parse import urlsplit

import pytest
from rail import wait_until

MANY = 100_000
REFUSED_REPLY = b"PUB hr.v1.cmd.default.agent.packet.get hr.v1.packet.0.default.x 2\r\n{}\r\n"
DENIED = b"PUB hr.v1.packet.0.default.x 2\r\n{}\r\n"


class Sender:
    """Speaks the protocol of NATS with the agent's credentials."""

    def __init__(self, rail):
        url = urlsplit(rail.agent_nats_url)
        self.socket = socket.create_connection((url.hostname, url.port), timeout=60)
        self.file = self.socket.makefile("rb")
        self.file.readline()
        self.send({"user": url.username, "pass": url.password, "verbose": False, "pedantic": False})

    def send(self, options):
        self.socket.sendall(b"CONNECT " + json.dumps(options).encode() + b"\r\n")
        self.ping()

    def ping(self):
        self.socket.sendall(b"PING\r\n")
        while True:
            line = self.file.readline()
            assert line, "the server has closed the connection"
            if line == b"PONG\r\n":
                return

    def flood(self, message, count):
        for _ in range(count // 1000):
            self.socket.sendall(message * 1000)
            self.ping()


def suppressed(rail, event):
    return sum(
        int(found[1])
        for line in rail.errors
        if (found := re.search(rf"log.suppressed of={event} count=(\d+)", line))
    )


def test_100000_refused_replies_write_less_than_1_mb(make_rail):
    rail = make_rail().start()
    Sender(rail).flood(REFUSED_REPLY, MANY)

    def said():
        Sender(rail).flood(REFUSED_REPLY, 1000)  # something has to be said for the count to be told
        return suppressed(rail, "service.reply_refused") > MANY * 0.9

    wait_until(said, 60, "the number of lines that were left out")
    assert sum(len(line) + 1 for line in rail.errors) < 1_000_000


@pytest.mark.timeout(180)
def test_denied_publishes_do_not_fill_nats_log(make_rail):
    rail = make_rail().start()
    log = rail.folder / "log/nats.log"
    Sender(rail).flood(DENIED, MANY)
    old = log.with_name("nats.log.old")
    wait_until(lambda: old.exists() and log.stat().st_size < 8_000_000, 10, "room in the log")
    assert old.stat().st_size <= 1_000_000
    wait_until(
        lambda: any("nats.log" in line and "had grown" in line for line in rail.errors), 5, "a word"
    )
    # It is still written to, from its start on.
    Sender(rail).flood(DENIED, 1000)
    wait_until(lambda: b"Violation" in log.read_bytes()[:100_000], 10, "new lines")
