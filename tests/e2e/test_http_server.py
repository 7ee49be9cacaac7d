"""The HTTP server: what it takes for a request, what it refuses, and who may keep it waiting.

Everything is sent byte by byte over sockets of the test's own, because a client library would not
send most of it.
"""

import concurrent.futures
import contextlib
import http.client
import json
import select
import socket
import threading
import time
import urllib.parse
import uuid

import httpx
import pytest
from packets import PACKETS, body
from rail import Rail, wait_until

NEXT = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


def address(rail):
    parts = urllib.parse.urlsplit(rail.url)
    return parts.hostname, parts.port


def exchange(rail, data, seconds=5):
    """Sends the bytes; returns what came and whether the server closed the connection."""
    received = b""
    with socket.create_connection(address(rail), timeout=seconds) as it:
        it.sendall(data)
        try:
            while piece := it.recv(65536):
                received += piece
        except TimeoutError:
            return received, False
        except ConnectionResetError:
            return received, True
    return received, True


def status_of(received):
    return int(received[9:12]) if received.startswith(b"HTTP/1.1 ") else None


def post(rail, *lines, content=b"{}"):
    key = b"X-API-Key: " + rail.key.encode()
    head = [b"POST /api/v1/packets HTTP/1.1", b"Host: x", key, *lines]
    return b"\r\n".join(head) + b"\r\n\r\n" + content


# --- framing -------------------------------------------------------------------------------------

BAD_FRAMING = {
    "a length and a coding": (400, [b"Transfer-Encoding: chunked", b"Content-Length: 6"],
                              b"0\r\n\r\n"),
    "two lengths": (400, [b"Content-Length: 2", b"Content-Length: 60"], b"{}"),
    "the same length twice": (400, [b"Content-Length: 2", b"Content-Length: 2"], b"{}"),
    "a list of lengths": (400, [b"Content-Length: 2, 2"], b"{}"),
    "a negative length": (400, [b"Content-Length: -1"], b""),
    "a length with a sign": (400, [b"Content-Length: +2"], b"{}"),
    "a length that is no number": (400, [b"Content-Length: 0x2"], b"{}"),
    "a length beyond 64 bits": (400, [b"Content-Length: 99999999999999999999"], b"{}"),
    "a blank before the colon": (400, [b"Transfer-Encoding : chunked"], b"0\r\n\r\n"),
    "two codings": (501, [b"Transfer-Encoding: gzip, chunked"], b"2\r\n{}\r\n0\r\n\r\n"),
    "an unknown coding": (400, [b"Transfer-Encoding: gzip"], b"xx"),
    "two headers of a coding": (400, [b"Transfer-Encoding: chunked", b"Transfer-Encoding: chunked"],
                                b"2\r\n{}\r\n0\r\n\r\n"),
    "a folded header": (400, [b"X-Long: a", b" b", b"Content-Length: 2"], b"{}"),
    "a header without a colon": (400, [b"nonsense", b"Content-Length: 2"], b"{}"),
    "a control character": (400, [b"X-Odd: a\x01b", b"Content-Length: 2"], b"{}"),
    "a bare CR": (400, [b"X-Odd: a\rb", b"Content-Length: 2"], b"{}"),
    "a bare LF": (400, [b"X-Odd: a\nContent-Length: 2"], b"{}"),
    "a second host": (400, [b"Host: y", b"Content-Length: 2"], b"{}"),
    "chunks that end in LF": (400, [b"Transfer-Encoding: chunked"], b"2\n{}\n0\n\n"),
    "a chunk without its CRLF": (400, [b"Transfer-Encoding: chunked"], b"2\r\n{}0\r\n\r\n"),
    "a chunk of a negative size": (400, [b"Transfer-Encoding: chunked"], b"-2\r\n{}\r\n"),
    "a chunk size with a prefix": (400, [b"Transfer-Encoding: chunked"],
                                   b"0x2\r\n{}\r\n0\r\n\r\n"),
    "a chunk size beyond 64 bits": (400, [b"Transfer-Encoding: chunked"],
                                    b"10000000000000002\r\n{}\r\n"),
    "an unknown expectation": (417, [b"Expect: a miracle", b"Content-Length: 2"], b"{}"),
}


@pytest.mark.parametrize("what", BAD_FRAMING)
def test_a_request_that_could_be_read_in_two_ways_is_refused_once_and_is_the_last(rail, what):
    status, lines, content = BAD_FRAMING[what]
    received, closed = exchange(rail, post(rail, *lines, content=content + NEXT))
    assert status_of(received) == status, received
    assert received.count(b"HTTP/1.1 ") == 1, "what followed was taken for a request"
    assert closed
    head, _, answer = received.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head.lower()
    assert b"connection: close" in head.lower()
    refusal = json.loads(answer)
    assert refusal["code"] and refusal["detail"] and refusal["request_id"]


HEADS = {
    "no host": (400, b"GET /health HTTP/1.1\r\nConnection: close\r\n\r\n"),
    "a host with a path": (400, b"GET /health HTTP/1.1\r\nHost: a/b\r\n\r\n"),
    "HTTP/1.0 needs no host": (200, b"GET /health HTTP/1.0\r\n\r\n"),
    "HTTP/2": (505, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
    "HTTP/1.2": (505, b"GET /health HTTP/1.2\r\nHost: x\r\n\r\n"),
    "no version": (505, b"GET /health\r\n\r\n"),
    "two blanks": (400, b"GET  /health HTTP/1.1\r\nHost: x\r\n\r\n"),
    "an absolute target": (
        200, b"GET http://rail.example/health HTTP/1.1\r\nHost: rail.example\r\n"
             b"Connection: close\r\n\r\n"),
    "a target without a slash": (400, b"GET health HTTP/1.1\r\nHost: x\r\n\r\n"),
    "an asterisk": (404, b"OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    "an encoded slash": (404, b"GET /api%2fv1%2fpackets HTTP/1.1\r\nHost: x\r\n"
                              b"Connection: close\r\n\r\n"),
    "an encoded NUL": (404, b"GET /health%00x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"),
    "an empty line first": (200, b"\r\nGET /health HTTP/1.1\r\nHost: x\r\n"
                                 b"Connection: close\r\n\r\n"),
    "101 headers": (431, b"GET /health HTTP/1.1\r\nHost: x\r\n" + b"X-A: b\r\n" * 100 + b"\r\n"),
    "64 KB of headers": (431, b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: " + b"b" * 66000),
    "64 KB of target": (414, b"GET /" + b"b" * 66000),
    "50 KB of target": (414, b"GET /" + b"b" * 50000 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "1,001 parameters": (414, b"GET /health?" + b"a&" * 1001 + b" HTTP/1.1\r\nHost: x\r\n\r\n"),
    "not HTTP": (400, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"),
}


@pytest.mark.parametrize("what", HEADS)
def test_heads(rail, what):
    status, data = HEADS[what]
    received, closed = exchange(rail, data)
    assert status_of(received) == status, received[:300]
    assert closed
    if status != 200:
        assert json.loads(received.partition(b"\r\n\r\n")[2])["code"]


def test_requests_may_be_sent_before_the_answer_and_in_pieces(rail):
    content = json.dumps(body()).encode()
    request = post(rail, b"Content-Length: %d" % len(content), content=content)
    received, closed = exchange(rail, request * 3 + NEXT)
    assert received.count(b"HTTP/1.1 201") == 3 and received.count(b"HTTP/1.1 200") == 1
    assert closed
    with socket.create_connection(address(rail), timeout=5) as it:
        for at in range(0, len(request), 7):
            it.sendall(request[at : at + 7])
        assert it.recv(65536).startswith(b"HTTP/1.1 201")


def test_chunks_may_have_extensions_and_trailers(rail):
    content = json.dumps(body()).encode()
    data = b"%x;a=b\r\n%s\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(content), content)
    request = post(rail, b"Transfer-Encoding: chunked", b"Connection: close", content=data)
    assert status_of(exchange(rail, request)[0]) == 201


def test_a_body_is_asked_for_when_the_client_waits_for_that(rail):
    content = json.dumps(body()).encode()
    head = post(rail, b"Expect: 100-continue", b"Content-Length: %d" % len(content), content=b"")
    with socket.create_connection(address(rail), timeout=5) as it:
        it.sendall(head)
        assert it.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        it.sendall(content)
        assert it.recv(65536).startswith(b"HTTP/1.1 201")
        it.sendall(head.replace(rail.key.encode(), b"wrong"))
        assert it.recv(65536).startswith(b"HTTP/1.1 401"), "asked for a body that is not wanted"


# --- headers and parameters ----------------------------------------------------------------------


@pytest.mark.parametrize(("tail", "status"), [(b" ", 200), (b"\t", 200), (b" \t ", 200),
                                              (b"\0junk", 401), (b" junk", 401)])
def test_blanks_around_a_key_are_not_part_of_it(rail, tail, status):
    key = rail.key.encode()
    received, _ = exchange(rail, b"GET /api/v1/packets?limit=1 HTTP/1.1\r\nHost: x\r\n"
                                 b"X-API-Key: \t" + key + tail + b"\r\nConnection: close\r\n\r\n")
    assert status_of(received) == status


@pytest.mark.parametrize("letter", ["a", "\u8a9e", "\U0001f600"])
def test_the_longest_documented_query_fits(rail, letter):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=20) as client:
        answer = client.get(PACKETS + "/search", params={"q": letter * 2000})
        assert answer.status_code == 200, answer.text[:200]
        answer = client.get(PACKETS, params=[("tags", "x")] * 300)
        assert answer.status_code == 200


def test_all_channels_of_a_listener_fit(rail):
    names = [("subscribe", "agent:" + "\u00e9" * 90 + str(n)) for n in range(64)]
    with (httpx.Client(base_url=rail.url, headers=rail.headers, timeout=10) as client,
          client.stream("GET", "/events", params=names) as answer):
        assert answer.status_code == 200
        assert "event: connected" in (line for line in answer.iter_lines())


def test_a_parameter_may_hold_a_nul(rail):
    agent = "n\0x" + uuid.uuid4().hex[:6]
    packet = body()
    packet["metadata"]["source_agent"]["id"] = agent
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=20) as client:
        assert client.post(PACKETS, json=packet).status_code == 201
        page = client.get(PACKETS, params={"source_agent": agent}).json()
        assert page["total"] == 1
        audit = client.get("/api/v1/audit", params={"actor": "agent:" + agent}).json()
        assert audit["total"] == 1
        assert client.get(PACKETS, params={"limit": "1\0x"}).status_code == 422


def test_a_mistaken_parameter_is_named_and_another_is_ignored_aloud(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=20) as client:
        for name in ("status[]", "statsu", "limits", "source_agnt"):
            answer = client.get(PACKETS, params={name: "1"})
            assert answer.status_code == 422, name
            assert answer.json()["detail"][0]["loc"] == ["query", name]
        answer = client.get(PACKETS, params={"utm_source": "x", "_": "1", "limit": "1"})
        assert answer.status_code == 200
        assert answer.headers["X-HR-Ignored-Params"] == "utm_source, _"
        assert client.get(PACKETS + "/search", params={"q": "ab", "v": "1"}).status_code == 200


def test_an_encoded_body_is_refused_by_name(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=20) as client:
        answer = client.post(PACKETS, content=b"\x1f\x8b", headers={"Content-Encoding": "gzip"})
        assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_ids_of_other_things_than_packets_are_not_found(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=20) as client:
        for method, target in [("GET", "/api/v1/hooks/x"), ("DELETE", "/api/v1/hooks/x"),
                               ("POST", "/api/v1/hooks/x/test"),
                               ("POST", "/api/v1/hooks/dlq/x/replay"),
                               ("GET", f"/api/v1/hooks/{uuid.uuid4()}/deliveries/x")]:
            answer = client.request(method, target)
            assert (answer.status_code, answer.json()["code"]) == (404, "not_found"), target
        assert client.get(PACKETS + "/x").status_code == 422


# --- refusals that every client can read ---------------------------------------------------------


def test_a_body_over_the_limit_is_refused_so_that_the_client_reads_it(rail):
    host, port = address(rail)
    for size, key in [(4 << 20, rail.key)] * 20 + [(2 << 20, "wrong")] * 5:
        it = http.client.HTTPConnection(host, port, timeout=20)
        it.request("POST", PACKETS, b"x" * size, {"X-API-Key": key})
        answer = it.getresponse()
        assert answer.status == (413 if key == rail.key else 401)
        assert json.loads(answer.read())["code"] in ("too_large", "key_invalid")
        it.close()


def test_a_key_is_checked_before_the_body_is_read(rail):
    head = (b"POST /api/v1/packets HTTP/1.1\r\nHost: x\r\nX-API-Key: wrong\r\n"
            b"Content-Length: 1000000\r\n\r\n")
    with socket.create_connection(address(rail), timeout=5) as it:
        it.sendall(head)
        assert it.recv(65536).startswith(b"HTTP/1.1 401")
    with socket.create_connection(address(rail), timeout=5) as it:  # a short body is skipped
        it.sendall(head.replace(b"1000000", b"10") + b"0123456789" + NEXT)
        received = b""
        while piece := it.recv(65536):
            received += piece
        assert received.count(b"HTTP/1.1 401") == 1 and received.count(b"HTTP/1.1 200") == 1


# --- browsers ------------------------------------------------------------------------------------


def test_pages_of_other_origins_are_answered_only_if_they_may_be(make_rail):
    page = "http://localhost:3000"
    ask = {"Origin": page, "Access-Control-Request-Method": "POST",
           "Access-Control-Request-Headers": "x-api-key"}
    with make_rail(env={"HR_CORS_ORIGINS": f"https://app.example, {page}"}) as rail:
        answer = httpx.options(rail.url + PACKETS, headers=ask)
        assert (answer.status_code, answer.text) == (200, "OK")
        assert answer.headers["access-control-allow-origin"] == page
        assert answer.headers["access-control-allow-headers"] == "x-api-key"
        assert "POST" in answer.headers["access-control-allow-methods"]
        for target in ("/health", PACKETS, "/nothing"):
            answer = httpx.get(rail.url + target, headers={"Origin": page})
            assert answer.headers["access-control-allow-origin"] == page, target
            assert "ETag" in answer.headers["access-control-expose-headers"]
            assert answer.headers["vary"] == "Origin"
        other = httpx.get(rail.url + "/health", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in other.headers
        assert httpx.options(rail.url + PACKETS,
                             headers={**ask, "Origin": "null"}).status_code == 405
        assert httpx.options(rail.url + PACKETS).status_code == 405


# --- slow and many clients -----------------------------------------------------------------------


@contextlib.contextmanager
def many(rail, count, data):
    """Connections that send something and then say nothing more."""
    opened = []
    try:
        for _ in range(count):
            it = socket.create_connection(address(rail), timeout=10)
            opened.append(it)
            with contextlib.suppress(OSError):
                it.sendall(data)
        yield opened
    finally:
        for it in opened:
            it.close()


def health_in(rail):
    started = time.monotonic()
    received, _ = exchange(rail, NEXT, 10)
    assert status_of(received) == 200
    return time.monotonic() - started


@pytest.mark.measures
def test_half_open_connections_keep_nobody_waiting(make_rail):
    with make_rail(env={"HR_MAX_CONNECTIONS": "500"}) as rail:
        with many(rail, 1200, b"GET /health HTTP/1.1\r\nHo") as opened:
            assert max(health_in(rail) for _ in range(20)) < 0.1
            stop = threading.Event()

            def drip():
                while not stop.wait(0.5):
                    for it in opened:
                        with contextlib.suppress(OSError):
                            it.send(b"s")

            thread = threading.Thread(target=drip)
            thread.start()
            try:
                deadline = time.monotonic() + 12
                while time.monotonic() < deadline:
                    assert health_in(rail) < 0.5
                    time.sleep(0.2)
            finally:
                stop.set()
                thread.join()
            # Those that were not closed for others have been told that they were too slow.
            answers = []
            for it in opened[-400:]:
                with contextlib.suppress(OSError):
                    answers.append(status_of(it.recv(65536)))
            assert answers.count(408) > 300, answers


def test_one_address_has_its_share(make_rail):
    env = {"HR_TRUSTED_PROXIES": "", "HR_MAX_CONNECTIONS_PER_ADDRESS": "20"}
    with make_rail(env=env) as rail, many(rail, 20, b""):
        with socket.create_connection(address(rail), timeout=5) as it:
            with contextlib.suppress(OSError):
                it.sendall(NEXT)
            with contextlib.suppress(ConnectionResetError):
                assert it.recv(100) == b""
        wait_until(lambda: True, 1, "")
    with pytest.raises(AssertionError, match="not an address"):
        make_rail(env={"HR_TRUSTED_PROXIES": "10.0.0.0/33"}).start(20)


def rss_mb(pid):
    with open(f"/proc/{pid}/status") as lines:
        return next(int(x.split()[1]) for x in lines if x.startswith("VmRSS")) / 1024


def test_bodies_of_many_requests_take_a_bounded_place(make_rail):
    with make_rail() as rail:
        pid = next(pid for name, pid in rail.pids.items() if "gateway" in name)
        with concurrent.futures.ThreadPoolExecutor(8) as pool:
            before = rss_mb(pid)
            junk = (b"POST /api/v1/packets HTTP/1.1\r\nHost: x\r\nX-API-Key: wrong\r\n"
                    b"Content-Length: 900000\r\n\r\n" + b"x" * 500000)
            with many(rail, 300, junk):
                assert rss_mb(pid) - before < 60
            good = post(rail, b"Content-Length: 1000000", content=b"x" * 500000)
            opened = []

            def half():
                it = socket.create_connection(address(rail), timeout=10)
                opened.append(it)
                with contextlib.suppress(OSError):
                    it.sendall(good)

            list(pool.map(lambda _: half(), range(400)))
            assert rss_mb(pid) - before < 400  # 128 MB of bodies, under the sanitizer
            refused = 0
            for it in opened:
                it.settimeout(0.05)
                with contextlib.suppress(OSError):
                    refused += it.recv(65536).startswith(b"HTTP/1.1 503")
                it.close()
            assert refused > 50
            wait_until(lambda: httpx.post(rail.url + PACKETS, json=body(), headers=rail.headers,
                                          timeout=10).status_code == 201, 10, "room again")


def test_a_version_is_the_same_however_a_proxy_writes_it(rail):
    with httpx.Client(base_url=rail.url, headers=rail.headers, timeout=20) as client:
        target = PACKETS + "/" + client.post(PACKETS, json=body()).json()["id"]

        def tag():
            return client.get(target).headers["ETag"]

        for form in ("%s", "W/%s", '"999999", %s', 'W/%s, "1"', '"x", %s', "*"):
            value = form.replace("%s", tag())
            answer = client.patch(target, json={}, headers={"If-Match": value})
            assert answer.status_code == 200, (value, answer.text)
        for value in ('"1"', 'W/"1", "2"', '"x"', "1, 2, 3"):
            answer = client.patch(target, json={}, headers={"If-Match": value})
            assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed")
        for form in ("%s", "W/%s", '"1", %s', "*"):
            value = form.replace("%s", tag())
            answer = client.get(target, headers={"If-None-Match": value})
            assert answer.status_code == 304, value
        assert client.get(target, headers={"If-None-Match": '"1"'}).status_code == 200


def test_the_reference_is_a_page_that_loads_nothing_from_elsewhere(rail):
    for target in ("/docs", "/redoc"):
        answer = httpx.get(rail.url + target)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/html")
        assert "default-src 'none'" in answer.headers["content-security-policy"]
        assert "http://" not in answer.text and "https://" not in answer.text


def test_requests_that_come_faster_than_answers_wait_at_the_client(rail):
    request = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"
    answers = 0
    sent = 0
    with socket.create_connection(address(rail), timeout=0.2) as it:
        it.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
        deadline = time.monotonic() + 3
        it.setblocking(False)
        while time.monotonic() < deadline:
            readable, writable, _ = select.select([it], [it], [], 0.1)
            if writable:
                sent += it.send(request * 2000)
            if readable:
                answers += it.recv(1 << 20).count(b"HTTP/1.1 ")
    assert answers > 20
    assert sent - answers * len(request) < 16 << 20, "all of it is in the gateway or on its way"
