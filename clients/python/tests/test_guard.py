"""The guard before real servers, and what their clients see."""

import asyncio
import json
import re
import time
from functools import partial

import httpx
import pytest
import websockets

from realtime_registry import AsyncClient, Guard, Invalid, NotFound, Ownership
from realtime_registry.paths import by_path
from realtime_registry.telemetry import Counts
from transports import PATHS, Plain, fastapi, guarded, served

MINE = Ownership("t_acme", "thread", "th_1")
EVENTS = {"Accept": "text/event-stream"}
LAST = r"retry: (\d+)\nevent: registry.closed\ndata: (\w+)\n\n$"


def headers(tenant="t_acme", **more):
    return {"X-Authenticated-Tenant": tenant, **more}


async def get(address, path="/threads/th_1/events", tenant="t_acme", **more):
    async with httpx.AsyncClient(timeout=10) as http:
        return await http.get(f"http://{address}{path}", headers=headers(tenant, **more))


async def read(address, begun=None, path="/threads/th_1/events", **more):
    """All of a stream, of which ``begun`` is set when it has begun."""
    text = ""
    async with httpx.AsyncClient(timeout=20) as http:
        async with http.stream("GET", f"http://{address}{path}", headers=headers(**more)) as answer:
            assert answer.status_code == 200, await answer.aread()
            async for chunk in answer.aiter_text():
                text += chunk
                if begun and not begun.done():
                    begun.set_result(None)
    return text


def begin(address, **more):
    begun = asyncio.get_running_loop().create_future()
    return begun, asyncio.ensure_future(read(address, begun, **more))


async def drop(task):
    task.cancel()
    await asyncio.wait([task])


@pytest.fixture(params=["plain", "fastapi"])
def transport(request, fake_registry):
    """A server of either kind: its address, and its application."""
    fake_registry.max_staleness = 0.6
    fake_registry.own_all([MINE])
    apps = []

    def make(registry, **options):
        if request.param == "fastapi":
            apps.append(fastapi(registry, **options))
            return apps[0]
        apps.append(Plain())
        return guarded(apps[0], registry, **options)

    return lambda timeout=5.0, **options: served(partial(make, **options), fake_registry.url, timeout=timeout), apps


async def test_owners_get_in_and_others_the_same_404(transport, fake_registry):
    serve, _ = transport
    with serve() as address:
        begun, stream = begin(address)
        await begun
        bodies = {(await get(address, "/threads/nobodys/events", **more)).text for more in ({}, EVENTS)}
        bodies |= {(await get(address, tenant="t_globex", **more)).text for more in ({}, EVENTS)}
        assert len(bodies) == 1
        refused = await get(address, tenant="t_globex", **EVENTS)
        assert refused.status_code == 404 and refused.headers["content-type"] == "application/problem+json"
        assert refused.text == (
            '{"type":"about:blank","title":"Not Found","status":404,"detail":"no such resource, or not this tenant\'s"}'
        )
        for tenant, path in (("", "/threads/th_1/events"), ("ACME", "/threads/th_1/events"), ("t_acme", "/threads/_x/events")):
            assert (await get(address, path, tenant)).status_code == 400
        await drop(stream)


async def test_a_loss_ends_the_stream_with_the_reason_and_when_to_come_back(transport, fake_registry):
    serve, apps = transport
    with serve(return_over=4.0) as address:
        begun, stream = begin(address)
        await begun
        fake_registry.own("t_globex", "thread", "th_1")
        moved = time.monotonic()
        text = await asyncio.wait_for(stream, 5)
        assert time.monotonic() - moved < 1.5
        retry, reason = re.search(LAST, text).groups()
        assert reason == "ownership_lost" and 1000 <= int(retry) <= 5000
        assert (await get(address, **EVENTS)).status_code == 404
        app = apps[0]
        await until(lambda: (app.cleaned if isinstance(app, Plain) else app.state.cleaned) == 1)


async def until(condition, within=5.0):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_a_websocket_is_closed_with_the_code_and_the_reason(transport, fake_registry):
    serve, apps = transport
    with serve() as address:
        for tenant in ("t_globex", "", "ACME"):
            with pytest.raises(websockets.InvalidStatusCode) as refused:
                async with websockets.connect(f"ws://{address}/threads/th_1/socket", extra_headers=headers(tenant)):
                    pass
            assert refused.value.status_code in (400, 403, 404)
        async with websockets.connect(f"ws://{address}/threads/th_1/socket", extra_headers=headers()) as socket:
            await socket.send("hello")
            assert await socket.recv() == "hello"
            fake_registry.own("t_globex", "thread", "th_1")
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 5)
            assert (closed.value.code, closed.value.reason) == (4404, "ownership_lost")
        app = apps[0]
        await until(lambda: (app.cleaned if isinstance(app, Plain) else app.state.cleaned) >= 1)


async def test_an_outage_ends_streams_after_their_patience_and_browsers_come_back(transport, fake_registry):
    serve, _ = transport
    with serve(patience=0.5, return_over=2.0, timeout=0.5) as address:
        begun, stream = begin(address)
        await begun
        socket = await websockets.connect(f"ws://{address}/threads/th_1/socket", extra_headers=headers())
        with fake_registry.outage(retry_after=2):
            retry, reason = re.search(LAST, await asyncio.wait_for(stream, 8)).groups()
            assert reason == "registry_unavailable" and 1000 <= int(retry) <= 3000
            with pytest.raises(websockets.ConnectionClosed) as closed:
                await asyncio.wait_for(socket.recv(), 5)
            assert (closed.value.code, closed.value.reason) == (1013, "registry_unavailable")

            answer = await get(address, **EVENTS)
            assert answer.status_code == 200 and answer.headers["content-type"] == "text/event-stream"
            retry, reason = re.fullmatch(LAST, answer.text).groups()
            assert reason == "registry_unavailable" and 3000 <= int(retry) <= 5000
            plain = await get(address)
            assert plain.status_code == 503 and plain.headers["retry-after"] == "2"
            assert json.loads(plain.text)["status"] == 503
        begun, stream = begin(address, **EVENTS)
        await begun
        await drop(stream)


async def test_the_plain_status_is_an_option(transport, fake_registry):
    serve, _ = transport
    with serve(plain_status=True) as address, fake_registry.outage():
        assert (await get(address, **EVENTS)).status_code == 503


async def test_a_short_outage_ends_nothing(transport, fake_registry):
    serve, _ = transport
    with serve(patience=10.0) as address:
        begun, stream = begin(address)
        await begun
        with fake_registry.outage():
            fake_registry.cut()
            await asyncio.sleep(1.0)
        assert not stream.done()
        fake_registry.own("t_globex", "thread", "th_1")
        assert "ownership_lost" in await asyncio.wait_for(stream, 8)


async def test_connects_and_resumes_are_throttled_apart(transport, fake_registry):
    serve, _ = transport
    fake_registry.limit("stream_connect", 1, 30)
    with serve(throttle=True) as address:
        begun, stream = begin(address)
        await begun
        answer = await get(address, **EVENTS)
        retry, reason = re.fullmatch(LAST, answer.text).groups()
        assert answer.status_code == 200 and reason == "throttled" and 1000 <= int(retry) <= 30000
        plain = await get(address)
        assert plain.status_code == 429 and 1 <= int(plain.headers["retry-after"]) <= 30
        begun, resumed = begin(address, **{"Last-Event-ID": "7"})
        await begun
        await drop(stream)
        await drop(resumed)
        with pytest.raises(websockets.InvalidStatusCode):
            async with websockets.connect(f"ws://{address}/threads/th_1/socket", extra_headers=headers()):
                pass


async def test_a_client_that_goes_leaves_nothing_watched(transport, fake_registry):
    serve, apps = transport
    with serve() as address:
        begun, stream = begin(address)
        await begun
        assert fake_registry.watched == [1]
        await drop(stream)
        await until(lambda: fake_registry.watched == [])


async def test_what_is_not_guarded_passes(fake_registry):
    with served(fastapi, fake_registry.url) as address, fake_registry.outage():
        assert (await get(address, "/elsewhere")).text == '"here"'
        assert (await get(address, "/nowhere")).status_code == 404


async def test_a_hung_registry_is_answered_in_time_and_holds_up_nothing_else(fake_registry):
    with served(fastapi, fake_registry.url, timeout=1.0) as address, fake_registry.hung():
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=20, limits=httpx.Limits(max_connections=None)) as http:
            url = f"http://{address}/threads/th_1/events"
            connects = [asyncio.ensure_future(http.get(url, headers=headers())) for _ in range(200)]
            assert (await http.get(f"http://{address}/elsewhere")).status_code == 200
            assert not any(c.done() for c in connects)
            assert {(await c).status_code for c in connects} == {503}
        assert time.monotonic() - began < 8
        assert fake_registry.connections <= 8


async def test_a_wrong_server_lets_nobody_in_and_is_no_404():
    from servers import answering

    for status in (200, 204, 404):
        with answering(status) as url, served(fastapi, url) as address:
            assert (await get(address)).status_code == 503


async def test_report_only_lets_pass_and_says_what(fake_registry, caplog):
    guards = []

    def make(registry):
        async def app(scope, receive, send):
            await send({"type": "http.response.start", "status": 204, "headers": []})
            await send({"type": "http.response.body"})

        guards.append(guarded(app, registry, report_only=True))
        return guards[0]

    fake_registry.own_all([MINE])
    with served(make, fake_registry.url, timeout=1.0) as address:
        assert (await get(address)).status_code == 204
        assert (await get(address, tenant="t_globex")).status_code == 204
        with fake_registry.outage():
            assert (await get(address)).status_code == 204
    assert guards[0].reported == {"refused": 1, "unavailable": 1}
    lines = [r.getMessage() for r in caplog.records if "let pass" in r.getMessage()]
    assert len(lines) == 2 and "tenant_id=t_globex resource=thread/th_1 outcome=refused" in lines[0]


def test_reports_are_ten_lines_a_second_at_most(caplog, monkeypatch):
    second = 100.0
    monkeypatch.setattr("realtime_registry.telemetry.now", lambda: second)
    counts = Counts()
    for second in (100.0, 101.0):
        for _ in range(30):
            counts.report(MINE, "refused", NotFound("x"))
    lines = [r.getMessage() for r in caplog.records]
    assert len(lines) == 20 and lines[10].endswith("held_back=20")
    assert counts.reported == {"refused": 60}


async def test_without_the_guard_a_dependency_lets_nobody_in(fake_registry):
    app = fastapi(AsyncClient())
    app.user_middleware.clear()
    app.middleware_stack = app.build_middleware_stack()
    async with httpx.AsyncClient(app=app, base_url="http://x") as http:
        with pytest.raises(RuntimeError, match="no realtime_registry.Guard"):
            await http.get("/threads/th_1/events", headers=headers())


def scope_of(path, **more):
    return {"type": "http", "path": path, "headers": [], "method": "GET", **more}


def test_a_path_is_what_is_served_or_it_is_refused():
    resource = by_path(PATHS)
    assert resource(scope_of("/threads/th_1/events")) == ("thread", "th_1")
    assert resource(scope_of("/canvases/..x/events")) == ("canvas", "..x"), "its pattern refuses it"
    assert resource(scope_of("/api/threads/th_1/events", root_path="/api")) == ("thread", "th_1")
    assert resource(scope_of("/threads/th_1/events", root_path="/api")) == ("thread", "th_1")
    for other in ("/", "/threads", "/threads/th_1", "/threads/th_1/event", "/threads/a/b/events", "/elsewhere"):
        assert resource(scope_of(other)) is None
    for near in ("/threads/th_1/events\n", "/threads/th_1/events/", "//threads/th_1/events", "/threads//th_1/events", "/Threads/th_1/events",
                 "/threads/./th_1/events", "/threads/x/../th_1/events", "/threads/th_1\\events", "/threads/th_1/events\x00"):  # fmt: skip
        with pytest.raises(Invalid):
            resource(scope_of(near))
    for wrong in ({"/threads": "thread"}, {"/{a}/{b}": "thread"}, {"/x/{id}": "room"}, {"x/{id}": "thread"}, {"/x{id}": "thread"}):
        with pytest.raises(Invalid):
            by_path(wrong)


async def test_options_are_checked(fake_registry):
    for wrong in ({"tenant": lambda s: ""}, {"resource": PATHS}, {"patience": -1}, {"return_over": -1}):
        with pytest.raises(Invalid):
            Guard(Plain(), registry=AsyncClient(), **wrong)


# The guard at close quarters, without a server.


class Wire:
    """The server's side of one exchange."""

    def __init__(self, guard, scope=None):
        self.sent, self.inbox = [], asyncio.Queue()
        self.scope = scope or scope_of("/threads/th_1/events", headers=[(b"x-authenticated-tenant", b"t_acme")])
        self.blocked = None
        self.task = asyncio.ensure_future(guard(self.scope, self.inbox.get, self.send))

    async def send(self, message):
        if self.blocked is not None:
            await self.blocked.wait()
        self.sent.append(message)

    def text(self):
        return b"".join(m.get("body", b"") for m in self.sent).decode()


@pytest.fixture
async def near(client, fake_registry):
    """Starts an application behind a guard; its exchange."""
    fake_registry.max_staleness = 0.6
    fake_registry.own_all([MINE])
    started = []

    def start(app, **options):
        started.append(Wire(guarded(app, client, **options)))
        return started[-1]

    yield start
    for wire in started:
        await drop(wire.task)


START = {"type": "http.response.start", "status": 200, "headers": [(b"Content-Type", b"text/event-stream; charset=utf-8")]}


def body(text, more=True):
    return {"type": "http.response.body", "body": text.encode(), "more_body": more}


async def test_an_event_that_is_unfinished_is_not_completed(near, fake_registry):
    async def app(scope, receive, send):
        await send(START)
        await send(body("data: 1\n\nid: 2\ndata: 2"))
        await asyncio.Event().wait()

    wire = near(app)
    await until(lambda: len(wire.sent) == 2)
    fake_registry.own("t_globex", "thread", "th_1")
    await asyncio.wait_for(wire.task, 5)
    assert re.fullmatch(r"data: 1\n\nid: 2\ndata: 2\nretry: \d+\n", wire.text())
    assert wire.sent[-1]["more_body"] is False


async def test_an_answer_that_has_not_begun_is_a_404(near, fake_registry):
    async def app(scope, receive, send):
        await asyncio.Event().wait()

    wire = near(app)
    await until(lambda: fake_registry.watched == [1])
    fake_registry.own("t_globex", "thread", "th_1")
    await asyncio.wait_for(wire.task, 5)
    assert wire.sent[0]["status"] == 404


@pytest.mark.parametrize("extra", [(b"content-length", b"1000"), (b"content-encoding", b"gzip")])
async def test_nothing_is_added_to_what_is_encoded_or_has_a_length(near, fake_registry, extra):
    async def app(scope, receive, send):
        await send({**START, "headers": [*START["headers"], extra]})
        await send(body("abc"))
        await asyncio.Event().wait()

    wire = near(app)
    await until(lambda: len(wire.sent) == 2)
    fake_registry.own("t_globex", "thread", "th_1")
    await asyncio.wait_for(wire.task, 5)
    assert wire.text() == "abc"


async def test_nothing_gets_out_after_the_loss_and_the_application_is_told_thrice(near, fake_registry):
    """By what it receives, by what it sends, and by its cancellation."""
    seen = []

    async def app(scope, receive, send):
        await send(START)
        seen.append(await receive())
        try:
            await send(body("data: late\n\n"))
        except OSError as error:
            seen.append(type(error).__name__)
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    wire = near(app)
    await until(lambda: len(wire.sent) == 1)
    fake_registry.own("t_globex", "thread", "th_1")
    await asyncio.wait_for(wire.task, 5)
    assert seen == [{"type": "http.disconnect"}, "Ended", "cancelled"]
    assert re.fullmatch(LAST, wire.text())


async def test_a_slow_client_holds_up_nothing_and_its_application_is_let_go(near, fake_registry):
    async def app(scope, receive, send):
        await send(START)
        while True:
            await send(body("data: x\n\n"))
            await asyncio.sleep(0)

    wire = near(app)
    await until(lambda: len(wire.sent) > 3)
    wire.blocked = asyncio.Event()
    fake_registry.own("t_globex", "thread", "th_1")
    await asyncio.wait_for(wire.task, 4)
    wire.blocked.set()
    assert "registry.closed" not in wire.text()


async def test_the_servers_own_cancellation_passes_and_leaves_nothing(near, fake_registry):
    cleaned = []

    async def app(scope, receive, send):
        try:
            await send(START)
            await receive()
        finally:
            cleaned.append(True)

    wire = near(app)
    await until(lambda: wire.sent)
    wire.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await wire.task
    assert cleaned == [True]
    await until(lambda: fake_registry.watched == [])


async def test_what_an_application_receives_and_raises_passes(near):
    seen = []

    async def app(scope, receive, send):
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.sleep(0)
        seen.append(await receive())
        raise ZeroDivisionError

    wire = near(app)
    await asyncio.sleep(0.1)
    wire.inbox.put_nowait({"type": "http.request", "body": b"x", "more_body": False})
    with pytest.raises(ZeroDivisionError):
        await wire.task
    assert seen == [{"type": "http.request", "body": b"x", "more_body": False}]


async def test_a_process_that_was_stopped_sends_nothing_more(near, monkeypatch):
    go_on = asyncio.Event()

    async def app(scope, receive, send):
        await send(START)
        await go_on.wait()
        await send(body("data: late\n\n"))

    wire = near(app)
    await until(lambda: wire.sent)
    from realtime_registry import clock

    monkeypatch.setattr("realtime_registry.streams.now", lambda: clock.now() + 60)
    go_on.set()
    await asyncio.wait_for(wire.task, 5)
    assert "late" not in wire.text() and "registry_unavailable" in wire.text()


async def test_a_trace_of_the_request_is_continued(client, fake_registry):
    fake_registry.own_all([MINE])

    async def app(scope, receive, send):
        await send({**START, "status": 204})
        await send(body("", more=False))

    parent = b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    scope = scope_of("/threads/th_1/events", headers=[(b"x-authenticated-tenant", b"t_acme"), (b"traceparent", parent)])
    await Wire(guarded(app, client, throttle=True), scope).task
    sent = {path.split("?")[0]: h.get("traceparent") for _, path, h in fake_registry.requests}
    assert sent == {"/v1/quota/stream_connect/take": parent.decode(), "/v1/watch": None}


async def test_a_websocket_gets_the_status_where_the_server_can_say_it(client, fake_registry):
    scope = {"type": "websocket", "path": "/threads/th_1/socket", "headers": [(b"x-authenticated-tenant", b"t_acme")]}
    wire = Wire(guarded(Plain(), client), {**scope, "extensions": {"websocket.http.response": {}}})
    wire.inbox.put_nowait({"type": "websocket.connect"})
    await asyncio.wait_for(wire.task, 5)
    assert [m["type"] for m in wire.sent] == ["websocket.http.response.start", "websocket.http.response.body"]
    assert wire.sent[0]["status"] == 404
    wire = Wire(guarded(Plain(), client), scope)
    wire.inbox.put_nowait({"type": "websocket.connect"})
    await asyncio.wait_for(wire.task, 5)
    assert wire.sent == [{"type": "websocket.close", "code": 4404, "reason": "ownership_lost"}]


async def test_django_is_guarded_too(fake_registry):
    django = pytest.importorskip("django")
    from django.conf import settings

    if not settings.configured:
        settings.configure(ROOT_URLCONF="django_urls", ALLOWED_HOSTS=["*"], SECRET_KEY="x", USE_TZ=True)
        django.setup()
    from django.core.asgi import get_asgi_application

    fake_registry.own_all([MINE])
    with served(partial(guarded, get_asgi_application()), fake_registry.url) as address:
        assert (await get(address)).text == "th_1"
        assert (await get(address, tenant="t_globex")).status_code == 404
        assert (await get(address, "/threads/th_1/events%0A")).status_code == 400
