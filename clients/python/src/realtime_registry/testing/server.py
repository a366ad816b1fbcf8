"""As much HTTP/1.1 as a fake needs, in a thread of its own: requests with a
Content-Length, answers whole or in chunks, and connections that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from dataclasses import dataclass, field
from typing import Any, Awaitable, Callable, Dict, List, Optional, Set, Tuple


@dataclass
class Request:
    method: str
    target: str
    headers: Dict[str, str]  # names in small letters; values of one name joined by ", "
    body: bytes


@dataclass
class Response:
    status: int
    headers: Dict[str, str] = field(default_factory=dict)
    body: bytes = b""


class Connection:
    """One connection, on which answers are written."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def request(self) -> Optional[Request]:
        try:
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        except (asyncio.IncompleteReadError, ConnectionError):
            return None
        first, *lines = head.rstrip("\r\n").split("\r\n")
        headers: Dict[str, str] = {}
        for line in lines:
            name, _, value = line.partition(":")
            known = headers.get(name.lower())
            headers[name.lower()] = value.strip() if known is None else f"{known}, {value.strip()}"
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        method, target, _ = first.split(" ")
        return Request(method, target, headers, body)

    def answer(self, response: Response, chunked: bool = False) -> None:
        length = {"Transfer-Encoding": "chunked"} if chunked else {"Content-Length": str(len(response.body))}
        if response.status == 204:
            length = {}
        lines = [f"HTTP/1.1 {response.status} -"]
        lines += [f"{name}: {value}" for name, value in {**response.headers, **length}.items()]
        self.writer.write("\r\n".join([*lines, "", ""]).encode() + response.body)

    async def chunk(self, data: bytes) -> None:
        self.writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        await self.writer.drain()

    async def gone(self) -> None:
        """Returns when the client has closed its side."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(1 << 16):
                pass

    def cut(self) -> None:
        self.writer.transport.abort()


class Server:
    """Serves until it is closed. ``handle`` is called in the server's event loop, once
    for each request; other threads get there by ``call``."""

    def __init__(self, handle: Callable[[Connection, Request], Awaitable[None]]) -> None:
        self._handle = handle
        self._connections: Set[Connection] = set()
        self._tasks: Set[asyncio.Task[Any]] = set()
        self.loop = asyncio.new_event_loop()
        started: List[Tuple[str, int]] = []
        ready = threading.Event()

        def run() -> None:
            asyncio.set_event_loop(self.loop)
            server = self.loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=2048))
            started.append(server.sockets[0].getsockname())
            ready.set()
            self.loop.run_forever()
            server.close()
            self.cut()
            self.loop.run_until_complete(self._end())
            self.loop.close()

        self._thread = threading.Thread(target=run, name="fake registry", daemon=True)
        self._thread.start()
        ready.wait()
        self.url = f"http://127.0.0.1:{started[0][1]}"

    def close(self) -> None:
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()

    def call(self, do: Callable[[], Any]) -> None:
        """Returns when it is done."""
        done = threading.Event()

        def run() -> None:
            do()
            done.set()

        self.loop.call_soon_threadsafe(run)
        done.wait()

    def cut(self) -> None:
        for connection in list(self._connections):
            connection.cut()

    @property
    def connections(self) -> int:
        return len(self._connections)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = Connection(reader, writer)
        self._connections.add(connection)
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            while request := await connection.request():
                await self._handle(connection, request)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._connections.discard(connection)
            self._tasks.discard(task)
            writer.close()

    async def _end(self) -> None:
        for task in list(self._tasks):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await task
