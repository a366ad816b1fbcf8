"""Servers that are no registry."""

import contextlib

from realtime_registry.testing.server import Response, Server


@contextlib.contextmanager
def answering(status, headers=None, body=b""):
    """Answers every request with the same."""

    async def handle(connection, request):
        connection.answer(Response(status, headers or {}, body))

    server = Server(handle)
    try:
        yield server.url
    finally:
        server.close()


@contextlib.contextmanager
def writing(data, then_close=True):
    """Writes these bytes, whatever was asked."""

    async def handle(connection, request):
        connection.writer.write(data)
        await connection.writer.drain()
        if then_close:
            connection.writer.close()

    server = Server(handle)
    try:
        yield server.url
    finally:
        server.close()
