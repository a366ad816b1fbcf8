"""The guard: what is not guarded, what cannot be, and what it is told."""

import asyncio
from functools import partial

import httpx
import pytest

from realtime_registry import AsyncClient, Guard, Invalid, NotFound
from realtime_registry.paths import by_path
from realtime_registry.streams import OPENING
from realtime_registry.telemetry import Counts
from asking import MINE, get, headers, scope_of, until
from transports import PATHS, Plain, fastapi, guarded, served


async def test_what_is_not_guarded_passes(fake_registry):
    with served(fastapi, fake_registry.url) as address, fake_registry.outage():
        assert (await get(address, "/elsewhere")).text == '"here"'
        assert (await get(address, "/nowhere")).status_code == 404


async def test_a_hung_registry_is_answered_in_time_and_holds_up_nothing_else(fake_registry):
    with served(fastapi, fake_registry.url, timeout=2.0) as address, fake_registry.hung():
        async with httpx.AsyncClient(timeout=15, limits=httpx.Limits(max_connections=None)) as http:
            url = f"http://{address}/threads/th_1/events"
            connects = [asyncio.ensure_future(http.get(url, headers=headers())) for _ in range(200)]
            assert (await http.get(f"http://{address}/elsewhere")).status_code == 200
            assert not any(c.done() for c in connects)
            most, waiting = 0, set(connects)
            while waiting:
                most = max(most, fake_registry.connections)
                _, waiting = await asyncio.wait(waiting, timeout=0.01)
            assert {c.result().status_code for c in connects} == {503}
        assert 0 < most <= 2 * OPENING, "those that are let go of may be there still"
        await until(lambda: fake_registry.connections == 0)


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
