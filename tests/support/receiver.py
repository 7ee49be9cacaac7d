"""A webhook's receiver: a real HTTP server that remembers, fails and hangs as it is told.

    with Receiver() as receiver:
        receiver.behave = lambda request: 200
        receiver.url  # http://127.0.0.1:PORT/

It is an asyncio program of its own thread, so that thousands of requests a second are no trouble.
"""

import asyncio
import threading
import time
from dataclasses import dataclass, field


@dataclass
class Request:
    path: str
    headers: dict
    body: bytes
    at: float  # time.time() of its arrival
    answer: int = 0  # the status it was answered with; 0: none
    sent: int = 0  # bytes of an endless body, until the other side closed

    @property
    def id(self):
        return self.headers["x-hr-delivery-id"]

    @property
    def event(self):
        return self.headers["x-hr-event"]


@dataclass
class Answer:
    status: int = 200
    headers: dict = field(default_factory=dict)
    body: bytes = b""
    delay: float = 0  # seconds before it is sent
    hang: bool = False  # never answers
    endless: bool = False  # its body does not end; a KB at a time


class Receiver:
    def __init__(self, behave=None):
        self.behave = behave or (lambda request: Answer())
        self.requests = []
        self.connections = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self._thread.start()
        self._ready.wait(10)
        return self

    def __exit__(self, *_):
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}/"

    def of(self, path):
        return [request for request in self.requests if request.path == path]

    def _run(self):
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(
            asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=1000))
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        self._loop.run_forever()
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        server.close()
        self._loop.run_until_complete(asyncio.sleep(0))
        self._loop.close()

    async def _serve(self, reader, writer):
        self.connections += 1
        try:
            while await self._exchange(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {}
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                headers[name.lower()] = value.strip()
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Request(lines[0].split(" ")[1], headers, body, time.time())
        self.requests.append(request)
        answer = self.behave(request)
        if isinstance(answer, int):
            answer = Answer(answer)
        if answer.hang:
            await reader.read()  # until the other side gives up
            return False
        if answer.delay:
            await asyncio.sleep(answer.delay)
        request.answer = answer.status
        if answer.endless:
            await self._stream(request, writer)
            return False
        lines = [f"HTTP/1.1 {answer.status} Whatever", f"Content-Length: {len(answer.body)}",
                 *(f"{name}: {value}" for name, value in answer.headers.items())]
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + answer.body)
        await writer.drain()
        return True

    async def _stream(self, request, writer):
        """Slowly enough for a reader to stop it before much is in the buffers between."""
        writer.write(b"HTTP/1.1 200 Whatever\r\nContent-Length: 1000000000\r\n\r\n")
        while not writer.transport.is_closing():
            writer.write(b"y" * 1024)
            await writer.drain()
            request.sent += 1024
            await asyncio.sleep(0.001)
