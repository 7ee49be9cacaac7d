"""GET /api/v1/audit/export and audit.export: everything, in order, in little memory, or visibly not."""

import csv
import hashlib
import io
import json
import os
import pathlib
import socket
import time
import urllib.parse

import httpx
import pytest
import seal
from packets import PACKETS, body, claim
from pg import Postgres
from rail import Rail, wait_until

EXPORT = "/api/v1/audit/export"
csv.field_size_limit(1 << 27)  # a record may be larger than the reader expects
BIG = 60_000  # bytes of a summary: nine of them fill a page


def rss_kb(pid):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1])
    raise KeyError("VmRSS")


@pytest.fixture(scope="module")
def rail():
    """One of its own: a log with what others have left has other pages."""
    with Rail() as running:
        yield running


@pytest.fixture(scope="module")
def http(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        yield client


def rows_of(answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-ndjson"
    return [json.loads(line) for line in answer.text.split("\n")[:-1]]


def from_csv(text):
    rows = []
    for row in csv.DictReader(io.StringIO(text, newline="")):
        for name in ("shard", "epoch", "seq", "part", "number", "mac_key"):
            row[name] = int(row[name])
        rows.append({name: v[1:] if isinstance(v, str) and v[:1] == "'" else v
                     for name, v in row.items()})
    return rows


def test_both_formats_hold_the_whole_log_in_order(rail, http):
    text = 'odd, "quoted"\r\n\x00 ü'
    made = http.post(PACKETS, json=body(text)).json()
    http.post(f"{PACKETS}/{made['id']}/claim", json=claim("=cmd()"))
    for i in range(15):
        http.post(PACKETS, json=body(f"{i} " + "x" * BIG))
    rows = rows_of(http.get(EXPORT))
    answer = http.get(EXPORT, params={"format": "csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "attachment" in answer.headers["content-disposition"]
    assert from_csv(answer.content.decode()) == rows
    assert len(rows) == http.get("/api/v1/audit?limit=1").json()["total"]
    places = [(row["epoch"], row["seq"], row["part"]) for row in rows]
    assert places == sorted(places)
    assert [row["number"] for row in rows] == list(range(1, len(rows) + 1))

    keys = seal.read_keys(rail.folder / "audit.keys")
    previous = bytes(32)
    for row in rows:
        assert seal.row_mac(row, previous, keys).hex() == row["mac"], row["number"]
        previous = bytes.fromhex(row["mac"])
    assert seal.found("--key-file", rail.folder / "audit.keys",
                      stdin=http.get(EXPORT).content) == set()


def test_filters_are_those_of_the_list(http):
    made = [http.post(PACKETS, json=body(f"filtered {i}")).json() for i in range(3)]
    http.post(f"{PACKETS}/{made[1]['id']}/claim", json=claim("filterer"))
    only = rows_of(http.get(EXPORT, params={"packet_id": made[1]["id"]}))
    assert [row["type"] for row in only] == ["created", "claimed"]
    only = rows_of(http.get(EXPORT, params={"actor": "agent:filterer"}))
    assert [row["packet_id"] for row in only] == [made[1]["id"]]
    only = rows_of(http.get(EXPORT, params={"action": "claimed", "packet_id": made[0]["id"]}))
    assert only == []
    since = rows_of(http.get(EXPORT, params={"created_after": made[2]["created_at"]}))
    assert [row["packet_id"] for row in since] == [made[2]["id"], made[1]["id"]]
    until = rows_of(http.get(EXPORT, params={"created_before": made[0]["created_at"]}))
    assert until[-1]["packet_id"] == made[0]["id"]
    empty = http.get(EXPORT, params={"action": "no such thing", "format": "csv"}).text
    assert empty.startswith("tenant,") and empty.count("\r\n") == 1


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("format=xml", 422, "validation_error"),
        ("format=", 422, "validation_error"),
        ("created_after=yesterday", 422, "validation_error"),
        ("actor=%ff", 422, "validation_error"),
        ("cursor=x", 400, "invalid_cursor"),
        ("cursor=" + "A" * 5000, 400, "invalid_cursor"),
    ],
)
def test_bad_input_is_refused_before_anything_is_sent(http, query, status, code):
    answer = http.get(f"{EXPORT}?{query}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_a_header_that_cannot_be_read_is_refused(http):
    answer = http.get(EXPORT, headers={"X-HR-Min-Seq": "x"})
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_header")


def test_an_unknown_key_gets_nothing(rail):
    assert httpx.get(rail.url + EXPORT, headers={"X-API-Key": "nope"}).status_code == 401
    assert httpx.get(rail.url + EXPORT).status_code == 401


def test_pages_over_nats_make_the_same_whole(http, agent, loop):
    for i in range(12):
        http.post(PACKETS, json=body(f"{i} " + "y" * BIG))
    whole = rows_of(http.get(EXPORT))
    last = {"HR-Min-Seq": str(whole[-1]["seq"])}
    rows, cursor, pages = [], None, 0
    while pages == 0 or cursor is not None:
        asked = {} if cursor is None else {"cursor": cursor}
        page = loop.run(agent.json("audit.export", asked, last)).json()
        rows += page["rows"]
        cursor = page["next_cursor"]
        pages += 1
    assert rows == whole
    assert pages > 1
    refused = loop.run(agent.json("audit.export", {"cursor": "x"}))
    assert (refused.status, refused.json()["code"]) == (400, "invalid_cursor")
    refused = loop.run(agent.json("audit.export", {"format": "xml"}))
    assert refused.status == 422


# --- slow, gone and broken -----------------------------------------------------------------------


class Slow:
    """A reader with a small window that takes what it is told to."""

    def __init__(self, rail, target=EXPORT):
        parts = urllib.parse.urlsplit(rail.url)
        self.socket = socket.socket()
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        self.socket.settimeout(30)
        self.socket.connect((parts.hostname, parts.port))
        self.socket.sendall(
            f"GET {target} HTTP/1.1\r\nHost: x\r\nX-API-Key: {rail.key}\r\n\r\n".encode()
        )
        self.bytes = bytearray()

    def take(self, count):
        while len(self.bytes) < count:
            got = self.socket.recv(65_536)
            if not got:
                return False
            self.bytes += got
        return True

    def rest(self):
        """Up to the last chunk or the end of the connection. True: the answer is whole."""
        while not self.bytes.endswith(b"\r\n0\r\n\r\n"):
            try:
                got = self.socket.recv(1 << 20)
            except ConnectionResetError:
                return False
            if not got:
                return False
            self.bytes += got
        return True

    def body(self):
        at = self.bytes.index(b"\r\n\r\n") + 4
        assert self.bytes.startswith(b"HTTP/1.1 200 ")
        body = bytearray()
        while True:
            end = self.bytes.index(b"\r\n", at)
            length = int(self.bytes[at:end], 16)
            if length == 0:
                return bytes(body)
            body += self.bytes[end + 2 : end + 2 + length]
            at = end + 2 + length + 2

    def close(self):
        self.socket.close()


def fill(rail, count):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=30) as client:
        for i in range(count):
            assert client.post(PACKETS, json=body(f"{i} " + "z" * BIG)).status_code == 201
        assert client.get("/api/v1/audit?limit=1").status_code == 200  # the projection has it


def test_a_tenant_has_four_exports_at_a_time_and_lists_do_not_wait_for_them(make_rail):
    rail = make_rail(None, env={"HR_POSTGRES_CONNECTIONS": "1"}).start()
    fill(rail, 160)  # more than a socket takes
    slow = [Slow(rail) for _ in range(4)]
    for one in slow:
        assert one.take(1000)
    refused = httpx.get(rail.url + EXPORT, headers=rail.headers)
    assert refused.status_code == 503 and int(refused.headers["retry-after"]) > 0
    assert refused.json()["code"] == "unavailable" and "exports" in refused.text
    assert httpx.get(rail.url + PACKETS, headers=rail.headers).status_code == 200
    slow[0].close()

    def exported():
        answer = httpx.get(rail.url + EXPORT, headers=rail.headers, timeout=60)
        return answer.status_code == 200 and answer

    assert len(wait_until(exported, 10, "a place").content) > 160 * BIG
    for one in slow[1:]:
        assert one.rest()
        one.close()
    # All are given back.
    slow = [Slow(rail) for _ in range(4)]
    for one in slow:
        assert one.take(1000) and one.bytes.startswith(b"HTTP/1.1 200 ")
        one.close()


def test_a_slow_reader_costs_no_memory_and_loses_nothing(make_rail):
    # Else a sanitizer keeps what was freed, and that is what would be measured.
    options = os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=1:thread_local_quarantine_size_kb=64"
    rail = make_rail(env={"ASAN_OPTIONS": options.strip(":")}).start()
    fill(rail, 400)
    warm = httpx.get(rail.url + EXPORT, headers=rail.headers, timeout=60)
    pids = {name: rail.pids[name] for name in ("hr-gateway-1", "hr-worker-query-1")}
    before = {name: rss_kb(pid) for name, pid in pids.items()}
    slow = [Slow(rail) for _ in range(4)]
    for one in slow:
        assert one.take(1000)
    time.sleep(1)
    grown = {name: rss_kb(pid) - before[name] for name, pid in pids.items()}
    print(f"export of {len(warm.content)} bytes, 4 readers that stand still; grown by KB: {grown}")
    assert len(warm.content) > 30_000_000
    # Four times 32 MB is what would be queued without back-pressure.
    assert grown["hr-gateway-1"] < 40_000
    assert grown["hr-worker-query-1"] < 40_000
    for one in slow:
        assert one.rest()
        assert hashlib.sha256(one.body()).digest() == hashlib.sha256(warm.content).digest()
        one.close()


def test_readers_that_go_away_leave_nothing_behind(make_rail):
    rail = make_rail().start()
    fill(rail, 60)
    for i in range(30):
        gone = Slow(rail)
        if i % 3 > 0:
            assert gone.take(1 + 200_000 * (i % 3 - 1))
        gone.close()
    answer = httpx.get(rail.url + EXPORT, headers=rail.headers, timeout=60)
    assert len(answer.text.splitlines()) == 60
    status, seconds = rail.stop()
    assert (status, seconds < 5) == (0, True)


def test_an_error_in_the_middle_is_visible():
    with Postgres() as server:

        with Rail(None, "--postgres-url", server.url) as rail:
            fill(rail, 200)
            broken = Slow(rail)
            assert broken.take(100_000)
            server.stop()
            assert not broken.rest()
            broken.close()
            # Before the first byte it is an ordinary refusal.
            answer = httpx.get(rail.url + EXPORT, headers=rail.headers, timeout=30)
            assert answer.status_code == 503
            server.start()
            wait_until(
                lambda: httpx.get(rail.url + EXPORT, headers=rail.headers,
                                  timeout=30).status_code == 200,
                20, "the export works again",
            )


def test_a_stop_does_not_wait_for_ever_for_a_reader_that_stands_still(make_rail):
    rail = make_rail().start()
    fill(rail, 200)
    still = Slow(rail)
    assert still.take(1000)
    status, seconds = rail.stop()
    assert status == 0
    assert seconds < 8, "the drain has its limit"
    assert not still.rest(), "and the reader sees that it was cut"
