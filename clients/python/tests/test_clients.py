"""Both clients: what each answer means, and what is no answer."""

import asyncio
import hashlib
import os
import threading
import time

import pytest

import realtime_registry
from realtime_registry import AsyncClient, Client, Conflict, Invalid, NotFound, Throttled, Unavailable, Unwatchable
from realtime_registry import trace
from realtime_registry.testing.server import Response, Server
from servers import answering, writing


async def test_the_owner_may_and_nobody_else(ask, fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    assert await ask("check", "t_acme", "thread", "th_1") is None
    for tenant, kind, id in (("t_globex", "thread", "th_1"), ("t_acme", "canvas", "th_1"), ("t_acme", "thread", "th_2")):
        with pytest.raises(NotFound):
            await ask("check", tenant, kind, id)


async def test_an_id_is_sent_whole(ask, fake_registry):
    id = "A.~:@+=-_" + "x" * 247
    fake_registry.own("t_acme", "canvas", id)
    await ask("check", "t_acme", "canvas", id)
    assert await ask("claim", "t_acme", "canvas", id) is False


@pytest.mark.parametrize(
    "asked",
    [("acme", "thread", "th_1"), ("t_", "thread", "th_1"), ("t_acme\n", "thread", "th_1"), ("t_acme", "room", "th_1"),
     ("t_acme", "thread", "../th_1"), ("t_acme", "thread", ""), ("t_acme", "thread", "th_1\n"), ("t_acme", "thread", "é"),
     (None, "thread", "th_1"), ("t_acme", "thread", 7), ("t_acme", "thread", "x" * 257), ("t_acme", "threads", "th_1")],
)  # fmt: skip
async def test_what_breaks_a_pattern_is_not_sent(ask, fake_registry, asked):
    for method in ("check", "claim"):
        with pytest.raises(Invalid):
            await ask(method, *asked)
    with pytest.raises(ValueError):
        await ask("check_all", asked[0], [asked[1:]])
    assert fake_registry.requests == []


async def test_many_are_checked_in_order(ask, fake_registry):
    assert await ask("check_all", "t_acme", []) == []
    mine = [("thread", f"th_{i}") for i in range(0, 1200, 2)]
    fake_registry.own_all([("t_acme", *r) for r in mine])
    wanted = [("thread", f"th_{i}") for i in range(1200)]
    assert await ask("check_all", "t_acme", wanted) == [True, False] * 600
    assert fake_registry.asked("POST", "/v1/access") == 3


async def test_a_claim_says_whether_it_is_new_and_does_not_take(ask):
    assert await ask("claim", "t_acme", "thread", "th_1") is True
    assert await ask("claim", "t_acme", "thread", "th_1") is False
    with pytest.raises(Conflict):
        await ask("claim", "t_globex", "thread", "th_1")


async def test_units_are_taken_until_there_are_none(ask, fake_registry):
    fake_registry.limit("chat_send", 3, 30)
    quota = await ask("take", "t_acme", "chat_send", 2)
    assert (quota.limit, quota.window, quota.remaining) == (3, 30.0, 1)
    with pytest.raises(Throttled) as refused:
        await ask("take", "t_acme", "chat_send", 2)
    assert 1 <= refused.value.retry_after <= 30
    await ask("take", "t_acme", "chat_send")
    await ask("take", "t_globex", "chat_send")
    with pytest.raises(Invalid, match="must be 1 to 3"):
        await ask("take", "t_acme", "chat_send", 4)
    for action, n in (("Chat", 1), ("a__b", 1), ("chat_send", 0), ("chat_send", True), ("chat_send", 1.5)):
        with pytest.raises(Invalid):
            await ask("take", "t_acme", action, n)


async def test_an_outage_is_unavailable_and_says_when_to_come_back(ask, fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    with fake_registry.outage(retry_after=3):
        for call in (("check", "t_acme", "thread", "th_1"), ("claim", "t_acme", "thread", "th_1"), ("take", "t_acme", "a"),
                     ("check_all", "t_acme", [("thread", "th_1")])):  # fmt: skip
            with pytest.raises(Unavailable, match="answered 503: the registry did not answer in time") as error:
                await ask(*call)
            assert error.value.retry_after == 3
    await ask("check", "t_acme", "thread", "th_1")


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


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8080", "localhost", "ftp://127.0.0.1", "http://", "http://127.0.0.1:x", "http://user@127.0.0.1",
            "http://127.0.0.1?", "http://127.0.0.1#", "http://127.0.0.1/ ", "http://[::1", "http://127.0.0.1:99999"],
)  # fmt: skip
def test_a_url_that_cannot_be_right_is_named(url, monkeypatch):
    monkeypatch.setenv("REGISTRY_URL", url)
    for make in (AsyncClient, Client):
        with pytest.raises(Invalid, match="REGISTRY_URL is"):
            make()


def test_a_token_that_could_never_be_sent_is_named(monkeypatch):
    monkeypatch.setenv("REGISTRY_API_TOKEN", "0123456789abcdef\n")
    with pytest.raises(Invalid, match="REGISTRY_API_TOKEN"):
        Client()


async def test_tokens_are_sent_each_where_it_belongs(ask, fake_registry, monkeypatch):
    with Client(api_token="a" * 16, claim_token="c" * 16) as client:
        client.claim("t_acme", "thread", "th_1")
        client.check("t_acme", "thread", "th_1")
    with Client(api_token="a" * 16) as client:
        client.claim("t_acme", "thread", "th_1")
    sent = [headers["authorization"] for _, _, headers in fake_registry.requests]
    assert sent == ["Bearer " + "c" * 16, "Bearer " + "a" * 16, "Bearer " + "a" * 16]
    fake_registry.token = "x" * 16
    with pytest.raises(Unavailable, match="401: the bearer token"):
        await ask("check", "t_acme", "thread", "th_1")


async def test_proxies_of_the_environment_are_not_asked(ask, fake_registry, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    fake_registry.own("t_acme", "thread", "th_1")
    await ask("check", "t_acme", "thread", "th_1")


async def test_a_trace_is_continued(ask, fake_registry):
    parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    with trace.continued(parent, "vendor=1"):
        await ask("claim", "t_acme", "thread", "th_1")
    with trace.continued("nonsense\r\nX-Tenant-Id: t_evil"):
        await ask("claim", "t_acme", "thread", "th_1")
    (_, _, first), (_, _, second) = fake_registry.requests
    assert (first["traceparent"], first["tracestate"]) == (parent, "vendor=1")
    assert "traceparent" not in second


async def test_opentelemetrys_trace_goes_before(ask, fake_registry, monkeypatch):
    parent = "00-11111111111111111111111111111111-2222222222222222-01"

    class Propagate:
        @staticmethod
        def inject(headers):
            headers["traceparent"] = parent

    monkeypatch.setattr(trace, "_propagate", Propagate)
    with trace.continued("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"):
        await ask("claim", "t_acme", "thread", "th_1")
    assert fake_registry.requests[0][2]["traceparent"] == parent


async def test_a_hung_registry_is_unavailable_within_the_deadline_for_all(fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    async with AsyncClient(timeout=1, max_concurrent=20, max_waiting=150) as client:
        with fake_registry.hung():
            began = time.monotonic()
            checks = [asyncio.create_task(client.check("t_acme", "thread", "th_1")) for _ in range(200)]
            early, _ = await asyncio.wait(checks, timeout=0.5)
            assert len(early) == 30, "what finds no place to wait in is refused at once"
            assert fake_registry.connections <= 20
            errors = await asyncio.gather(*checks, return_exceptions=True)
            assert {type(e) for e in errors} == {Unavailable}
            assert time.monotonic() - began < 3
        fake_registry.cut()
        await client.check("t_acme", "thread", "th_1")


def test_a_hung_registry_holds_no_more_threads_than_it_may(fake_registry):
    with Client(timeout=1, max_concurrent=3) as client, fake_registry.hung():
        refused = []

        def check():
            began = time.monotonic()
            try:
                client.check("t_acme", "thread", "th_1")
            except Unavailable:
                refused.append(time.monotonic() - began)

        threads = [threading.Thread(target=check) for _ in range(10)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        assert len(refused) == 10
        assert sum(s < 0.5 for s in refused) == 7


async def test_a_caller_that_waits_in_turn_is_let_in_when_one_ends(fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    async with AsyncClient(max_concurrent=2) as client:
        await asyncio.gather(*(client.check("t_acme", "thread", "th_1") for _ in range(50)))
        assert fake_registry.connections <= 2
    with Client(max_concurrent=2, max_waiting=100) as sync:
        threads = [threading.Thread(target=sync.check, args=("t_acme", "thread", "th_1")) for _ in range(20)]
        [t.start() for t in threads]
        [t.join() for t in threads]


async def test_a_caller_that_is_cancelled_leaves_nothing_behind(fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    async with AsyncClient(max_concurrent=2, timeout=5) as client:
        for _ in range(20):
            checks = [asyncio.create_task(client.check("t_acme", "thread", "th_1")) for _ in range(10)]
            await asyncio.sleep(0.001)
            [c.cancel() for c in checks]
            results = await asyncio.gather(*checks, return_exceptions=True)
            assert {type(r) for r in results} <= {asyncio.CancelledError, type(None)}
        with pytest.raises(NotFound):
            await client.check("t_globex", "thread", "th_1")
        await asyncio.gather(*(client.check("t_acme", "thread", "th_1") for _ in range(10)))


def ask_200(client, tenant, expected):
    for _ in range(200):
        try:
            client.check(tenant, "thread", "th_1")
            got = True
        except NotFound:
            got = False
        assert got == expected


async def ask_200_async(client, tenant, expected):
    for _ in range(100):
        got = await asyncio.gather(*(client.check(tenant, "thread", "th_1") for _ in range(2)), return_exceptions=True)
        assert [type(g) is not NotFound for g in got] == [expected] * 2 and set(map(type, got)) <= {NotFound, type(None)}


@pytest.mark.parametrize("kind", ["async", "sync"])
def test_forked_processes_get_their_own_answers(kind, fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    if kind == "sync":
        client = Client()
        ask_all = lambda *args: ask_200(client, *args)  # noqa: E731
        client.check("t_acme", "thread", "th_1")
    else:
        client = AsyncClient()
        ask_all = lambda *args: asyncio.run(ask_200_async(client, *args))  # noqa: E731
        asyncio.run(client.check("t_acme", "thread", "th_1"))
    children = []
    for tenant, expected in (("t_acme", True), ("t_globex", False)):
        if (child := os.fork()) == 0:
            try:
                ask_all(tenant, expected)
                os._exit(0)
            except BaseException:
                os._exit(1)
        children.append(child)
    ask_all("t_acme", True)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0]


def test_one_client_serves_many_event_loops(fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    client = AsyncClient()
    for _ in range(3):
        asyncio.run(client.check("t_acme", "thread", "th_1"))
    failed = []

    def loop(tenant, expected):
        try:
            asyncio.run(ask_200_async(client, tenant, expected))
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=loop, args=a) for a in (("t_acme", True), ("t_globex", False))]
    [t.start() for t in threads]
    [t.join() for t in threads]
    assert failed == []


def test_the_package_says_what_it_is():
    assert set(realtime_registry.__all__) >= {"AsyncClient", "Client", "NotFound", "Unavailable"}
    assert issubclass(Unwatchable, Unavailable) and issubclass(Invalid, ValueError)
