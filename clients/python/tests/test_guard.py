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
    assert len(lines) == 20 and lines[10].endswith("suppressed=20")
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
