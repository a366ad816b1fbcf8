"""The guard before real servers, and what their clients see."""

import asyncio
import json
import re
import time
from functools import partial

import pytest
import websockets

from asking import EVENTS, LAST, MINE, begin, drop, get, headers, until
from transports import Plain, fastapi, guarded, served


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
