"""A client of server-sent events on asyncio that can be cut at any byte, and comes back.

    async with Listener(rail.url, rail.headers) as events:
        event = await events.next()

The parser follows the standard's own rules; tests/e2e/test_live.py holds it against a stock client.
"""

import asyncio
import json
import urllib.parse


class Event:
    def __init__(self, name, id, data):
        self.name = name
        self.id = id
        self.data = data

    def __repr__(self):
        return f"<{self.name} {self.id} {self.data}>"


class Refused(Exception):
    def __init__(self, status, body):
        super().__init__(f"{status} {body[:300]!r}")
        self.status = status
        self.body = body


class Listener:
    def __init__(self, url, headers=None, last=None, target="/events", seconds=10, **query):
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname, parts.port
        self.headers = dict(headers or {})
        if last is not None:
            self.headers["Last-Event-ID"] = str(last)
        pairs = [(k, v) for k, vs in query.items() for v in (vs if isinstance(vs, list) else [vs])]
        self.target = target + ("?" + urllib.parse.urlencode(pairs) if pairs else "")
        self.seconds = seconds
        self.id = last  # of the last event
        self.buffer = b""
        self.raw = b""

    async def __aenter__(self):
        await self.open()
        return self

    async def __aexit__(self, *_):
        self.cut()

    async def open(self):
        self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        lines = [f"GET {self.target} HTTP/1.1", f"Host: {self.host}:{self.port}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        self.writer.write(("\r\n".join(lines) + "\r\n\r\n").encode())
        head = (await self.read(self.reader.readuntil(b"\r\n\r\n"))).decode("latin-1")
        self.head = head
        status = int(head.split(" ")[1])
        if status != 200:
            length = int(head.lower().split("content-length:")[1].split("\r\n")[0])
            raise Refused(status, await self.read(self.reader.readexactly(length)))

    def cut(self):
        self.writer.transport.abort()

    async def read(self, awaitable):
        async with asyncio.timeout(self.seconds):
            return await awaitable

    async def chunk(self):
        """False at the end."""
        size = int(await self.read(self.reader.readuntil(b"\r\n")), 16)
        data = await self.read(self.reader.readexactly(size + 2))
        self.buffer += data[:-2]
        return size > 0

    async def next(self):
        """The next event, or None at the end of the stream."""
        while b"\n\n" not in self.buffer:
            if not await self.chunk():
                return None
        block, _, self.buffer = self.buffer.partition(b"\n\n")
        fields = {}
        for line in block.decode().split("\n"):
            name, _, value = line.partition(":")
            fields[name] = value.removeprefix(" ")
        if "id" in fields:
            self.id = int(fields["id"])
        return Event(fields["event"], fields.get("id"), json.loads(fields["data"]))

    async def packets(self, count):
        """The next events that are no pings."""
        found = []
        while len(found) < count:
            event = await self.next()
            assert event is not None, "the stream ended"
            if event.name not in ("ping", "connected"):
                found.append(event)
        return found

    async def quiet(self, seconds=0.3):
        """True when nothing but pings comes for so long."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    event = await self.next()
                    if event is None or event.name not in ("ping", "connected"):
                        return False
        except TimeoutError:
            return True
