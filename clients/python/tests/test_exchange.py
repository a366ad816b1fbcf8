"""One exchange behind the guard at close quarters, without a server."""

import asyncio
import re

import pytest

from asking import LAST, MINE, drop, scope_of, until
from transports import Plain, guarded


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
        await asyncio.wait_for(wire.task, 5)
    assert cleaned == [True]
    await until(lambda: fake_registry.watched == [])


async def test_what_an_application_receives_and_raises_passes(near):
    seen, cancelled = [], asyncio.Event()

    async def app(scope, receive, send):
        waiting = asyncio.ensure_future(receive())
        await asyncio.sleep(0.01)
        waiting.cancel()
        await asyncio.sleep(0)
        cancelled.set()
        seen.append(await receive())
        raise ZeroDivisionError

    wire = near(app)
    await asyncio.wait_for(cancelled.wait(), 5)
    wire.inbox.put_nowait({"type": "http.request", "body": b"x", "more_body": False})
    with pytest.raises(ZeroDivisionError):
        await asyncio.wait_for(wire.task, 5)
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
    await asyncio.wait_for(Wire(guarded(app, client, throttle=True), scope).task, 5)
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
