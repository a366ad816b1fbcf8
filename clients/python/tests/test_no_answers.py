"""Both clients: what is no answer of the registry's."""

import asyncio
import hashlib
import time

import pytest

from realtime_registry import AsyncClient, Client, Unavailable
from realtime_registry.testing.server import Response, Server
from servers import answering, writing


CALLS = [
    ("check", "t_acme", "thread", "th_1"), ("claim", "t_acme", "thread", "th_1"), ("take", "t_acme", "chat_send"),
    ("check_all", "t_acme", [("thread", "th_1")]),
]  # fmt: skip


def client_of(kind, url, **options):
    if kind == "async":
        return AsyncClient(url, **options)
    sync = Client(url, **options)

    class Both:
        def __getattr__(self, name):
            async def call(*args, **kw):
                return getattr(sync, name)(*args, **kw)

            return call

    return Both()


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("status", [200, 201, 204, 302, 400, 401, 404, 409, 429, 500, 503])
async def test_another_servers_answer_is_none(kind, status):
    with answering(status, {"Location": "http://127.0.0.1:1/", "Content-Type": "text/html"}, b"<html>" * (status != 204)) as url:
        client = client_of(kind, url)
        for name, *args in CALLS:
            with pytest.raises(Unavailable):
                await getattr(client, name)(*args)


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize(
    "asked", ["t_globex thread/th_1", "t_acme thread/th_2", "t_acme canvas/th_1", "t_acme thread/th_1, t_acme thread/th_1", ""]
)
async def test_the_registrys_answer_to_another_question_is_none(kind, asked):
    for status in (204, 201, 404, 409):
        with answering(status, {"X-Registry-Asked": asked}) as url:
            client = client_of(kind, url)
            for name, *args in CALLS[:2]:
                with pytest.raises(Unavailable, match="is this the registry"):
                    await getattr(client, name)(*args)


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b'{"owned":[]}', b'{"owned":[1]}', b'{"owned":[true,true]}', b'{"owned":"yes"}', b'{"owned":null}']
)
async def test_a_list_that_does_not_answer_is_none(kind, body):
    """Not the hash alone is looked at."""
    asked = b'{"tenant_id":"t_acme","resources":[{"kind":"thread","id":"th_1"}]}'
    echo = "sha256:" + hashlib.sha256(asked).hexdigest()
    with answering(200, {"Content-Type": "application/json", "X-Registry-Asked": echo}, body) as url:
        with pytest.raises(Unavailable):
            await client_of(kind, url).check_all("t_acme", [("thread", "th_1")])


@pytest.mark.parametrize("kind", ["async", "sync"])
@pytest.mark.parametrize("data", [b"", b"nonsense\r\n\r\n", b"HTTP/1.1 204 No Content\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab"])
async def test_what_is_no_answer_is_unavailable(kind, data):
    with writing(data) as url:
        for name, *args in CALLS:
            with pytest.raises(Unavailable):
                await getattr(client_of(kind, url, timeout=2), name)(*args)


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_nobody_listens(kind):
    with pytest.raises(Unavailable, match="no answer"):
        await client_of(kind, "http://127.0.0.1:1").check("t_acme", "thread", "th_1")


async def test_an_answer_that_trickles_is_unavailable_in_time():
    async def handle(connection, request):
        connection.writer.write(b"HTTP/1.1 204 No Content\r\n")
        for i in range(1000):
            if connection.writer.is_closing():
                return
            connection.writer.write(b"X-%d: 1\r\n" % i)
            await asyncio.sleep(0.05)

    server = Server(handle)
    try:
        for kind in ("async", "sync"):
            began = time.monotonic()
            with pytest.raises(Unavailable):
                await asyncio.to_thread(
                    lambda: asyncio.run(client_of(kind, server.url, timeout=0.3).check("t_acme", "thread", "th_1"))
                )
            assert time.monotonic() - began < 5
    finally:
        server.close()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_connection_that_was_cut_meanwhile_is_no_fault_of_the_tenants(kind, fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    client = client_of(kind, fake_registry.url)
    for _ in range(3):
        await client.check("t_acme", "thread", "th_1")
        fake_registry.cut()


@pytest.mark.parametrize("kind", ["async", "sync"])
async def test_a_connection_that_ends_under_the_question_is_tried_once_more_but_not_for_units(kind):
    seen = []

    async def handle(connection, request):
        first = connection not in seen
        seen.append(connection)
        if not first:
            connection.cut()
        elif request.method == "GET":
            connection.answer(Response(204, {"X-Registry-Asked": "t_acme thread/th_1"}))
        else:
            connection.answer(Response(204, {"RateLimit-Policy": '"a";q=9;w=60', "RateLimit": '"a";r=8;t=60'}))

    server = Server(handle)
    try:
        client = client_of(kind, server.url)
        for _ in range(3):
            await client.check("t_acme", "thread", "th_1")
        assert len(set(seen)) == 3
        await client_of(kind, server.url).take("t_acme", "a")
        with pytest.raises(Unavailable):
            await client.take("t_acme", "a")
            await client.take("t_acme", "a")
    finally:
        server.close()
