"""A small HTTP/1.1 client on asyncio: enough of it to load a gateway, or to send it nonsense.

    async with Web(rail.url, rail.headers) as web:
        answer = await web.post("/api/v1/packets", body)

Connections are kept and reused. A request that fails for want of a connection raises OSError or
TimeoutError; nothing is sent twice.
"""

import asyncio
import json
import urllib.parse


class Answer:
    def __init__(self, status, headers, body):
        self.status = status
        self.headers = headers  # names in lower case
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"<{self.status} {self.body[:400]!r}>"


async def read_answer(reader, method):
    head = await reader.readuntil(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    status = int(lines[0].split(" ")[1])
    headers = {}
    for line in lines[1:]:
        name, _, value = line.partition(":")
        if name:
            headers[name.lower()] = value.strip()
    if method == "HEAD" or status in (204, 304):
        return Answer(status, headers, b"")
    length = int(headers["content-length"])
    return Answer(status, headers, await reader.readexactly(length))


class Web:
    def __init__(self, url, headers=None, seconds=10):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.headers = dict(headers or {})
        self.seconds = seconds  # for one request
        self.spare = []

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        self.close()

    def close(self):
        for _, writer in self.spare:
            writer.close()
        self.spare = []

    def head(self, method, target, headers):
        lines = [f"{method} {target} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def raw(self, data, method="POST"):
        """Sends bytes as they are on a connection of their own; returns the answer."""
        async with asyncio.timeout(self.seconds):
            reader, writer = await asyncio.open_connection(self.host, self.port)
            try:
                writer.write(data)
                return await read_answer(reader, method)
            finally:
                writer.close()

    async def request(self, method, target, body=None, headers=None):
        """body: bytes, or what json.dumps takes."""
        if body is not None and not isinstance(body, bytes):
            body = json.dumps(body).encode()
        fields = {**self.headers, **(headers or {})}
        if body is not None:
            fields.setdefault("Content-Type", "application/json")
            fields["Content-Length"] = str(len(body))
        async with asyncio.timeout(self.seconds):
            reader = writer = None
            while self.spare and writer is None:
                reader, writer = self.spare.pop()
                if reader.at_eof() or writer.is_closing():
                    writer.close()
                    writer = None
            if writer is None:
                reader, writer = await asyncio.open_connection(self.host, self.port)
            try:
                writer.write(self.head(method, target, fields) + (body or b""))
                answer = await read_answer(reader, method)
            except BaseException as error:
                writer.close()
                if isinstance(error, asyncio.IncompleteReadError):
                    raise ConnectionResetError("the answer was cut off") from error
                raise
        if answer.headers.get("connection", "").lower() == "close":
            writer.close()
        else:
            self.spare.append((reader, writer))
        return answer

    async def get(self, target, headers=None):
        return await self.request("GET", target, None, headers)

    async def post(self, target, body, headers=None):
        return await self.request("POST", target, body, headers)

    async def patch(self, target, body, headers=None):
        return await self.request("PATCH", target, body, headers)

    async def delete(self, target, headers=None):
        return await self.request("DELETE", target, None, headers)
