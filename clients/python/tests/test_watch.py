"""The watch of one connection: what it tells, and how old that is."""

import asyncio
import json

import httpx
import pytest

from realtime_registry import AsyncClient, Client, Invalid, Ownership, Unavailable, Unwatchable
from realtime_registry import clock
from realtime_registry.eventstream import Reader, Tail
from realtime_registry.watching import Certified, Closing, Lost, State, Uncertain, Watched
from servers import answering

A, B, C = (Ownership("t_acme", "thread", id) for id in "abc")


async def until(events, kind):
    async for event in events:
        if isinstance(event, kind):
            return event


async def test_what_is_owned_is_watched_until_it_is_lost(client, fake_registry):
    fake_registry.own_all([A, B])
    async with client.watch([A, B, C]) as watch:
        events = watch.__aiter__()
        assert await anext(events) == State((2,))
        assert watch.age() == float("inf") and not watch.fresh()
        assert (await until(events, Certified)).max_staleness == 2.0
        assert 0 <= watch.age() < 1 and watch.fresh()
        fake_registry.own("t_globex", "thread", "b")
        assert await until(events, Lost) == Lost((1,))
        with fake_registry.uncertain():
            await until(events, Uncertain)
            assert not watch.fresh()
        await until(events, Certified)
        fake_registry.drain(0.25)
        assert await until(events, Closing) == Closing(0.25)
        fake_registry.cut()
        with pytest.raises(Unavailable):
            await until(events, Certified)


def test_the_sync_client_watches_too(fake_registry):
    fake_registry.own_all([A, B])
    with Client() as client, client.watch([A, B]) as watch:
        events = iter(watch)
        assert next(events) == State(())
        assert isinstance(next(events), Certified) and watch.fresh()
        fake_registry.move("t_acme", "t_globex")
        assert next(e for e in events if isinstance(e, Lost)) == Lost((0, 1))


async def test_a_watch_that_is_silent_ends(fake_registry):
    fake_registry.max_staleness = 0.4
    fake_registry.own_all([A])
    async with AsyncClient(timeout=0.5) as client, client.watch([A]) as watch:
        with fake_registry.hung():
            with pytest.raises(Unavailable, match="silent"):
                await until(watch, Closing)


async def test_a_watch_given_up_just_as_its_connect_fails_leaves_nothing_in_the_log(client, monkeypatch):
    said, connecting, tasks = [], asyncio.Event(), []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: said.append(context))

    async def send(*_, **__):
        tasks.append(asyncio.current_task())
        connecting.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            raise httpx.ConnectTimeout("") from None

    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    watching = asyncio.ensure_future(client.watch([A]).__aenter__())
    await connecting.wait()
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    tasks[0].__del__()  # as it is collected
    assert said == []


async def test_what_is_watched_is_valid_and_there_once(client):
    for wrong in ([], [A, A], [Ownership("t_acme", "thread", str(i)) for i in range(5001)], [("acme", "thread", "a")],
                  [Ownership("t_" + "a" * 126, "thread", f"{i:0256}") for i in range(3000)]):  # fmt: skip
        with pytest.raises(Invalid):
            client.watch(wrong)


@pytest.mark.parametrize("status", [200, 204, 302, 401, 404, 503])
async def test_another_servers_answer_is_no_watch(status):
    with answering(status, {"Content-Type": "text/html"}, b"" if status == 204 else b"<html>") as url:
        with pytest.raises(Unavailable):
            async with AsyncClient(url).watch([A]):
                pass


async def test_where_nothing_is_kept_nothing_is_watched(client, fake_registry):
    fake_registry.max_staleness = 0
    with pytest.raises(Unwatchable):
        async with client.watch([A]):
            pass


async def test_a_hung_registry_answers_no_watch_in_time(fake_registry):
    with fake_registry.hung():
        with pytest.raises(Unavailable):
            async with AsyncClient(timeout=0.2).watch([A]):
                pass


def event(name, **data):
    return f"event: {name}\ndata: {json.dumps(data)}\n\n".encode()


def certified(at, age, bound=2000):
    return event("certified", at_ms=at, age_ms=age, max_staleness_ms=bound)


def test_an_age_counts_from_when_the_question_was_sent(monkeypatch):
    time = 1000.0
    monkeypatch.setattr("realtime_registry.watching.now", lambda: time)
    watched = Watched([A], time)
    watched.feed(event("state", refused=[]) + certified(5000, 120))
    assert watched.age() == 0, "read before its time: the server's clock, not ours"
    time = 1005.0
    watched = Watched([A], 1000.0)
    watched.feed(event("state", refused=[]) + certified(5000, 120))
    assert watched.age() == pytest.approx(0.12) and watched.fresh()
    time = 1006.9
    assert watched.age() == pytest.approx(2.02) and not watched.fresh()
    # What lay in a buffer is old when it is read.
    watched.feed(certified(6000, 100))
    assert watched.age() == pytest.approx(1.0)
    watched.feed(certified(6000, 900))
    assert watched.age() == pytest.approx(1.0), "it never goes back"
    watched.feed(event("uncertain", reason="x"))
    assert watched.age() == float("inf")
    watched.feed(certified(6500, 100))
    assert watched.age() == pytest.approx(0.5)


@pytest.mark.parametrize(
    "data",
    [event("lost", resources=[0]), certified(1, 1), event("state", refused=[1]), event("state", refused=[-1]),
     event("state", refused=[True]), event("state", refused="0"), event("state"), b"event: state\ndata: {\n\n",
     b"event: state\ndata: []\n\n", event("state", refused=[]) * 2, event("state", refused=[]) + certified(1, 1, 0),
     *(event("state", refused=[]) + certified(*numbers) for numbers in (
         (float("nan"), 1), (float("inf"), 1), (10**400, 1), (-1, 1), (1, -1), (1, float("nan")), ("1", 1), (True, 1),
         (1, 1, float("inf")), (1, 1, -1))),
     event("state", refused=[]) + event("lost", resources=[9]), b"data: " + b"x" * (2 << 20)],
)  # fmt: skip
def test_what_the_registry_would_not_say_ends_the_watch(data):
    with pytest.raises(Unavailable):
        Watched([A], 0.0).feed(data)


def test_a_time_that_no_registry_says_is_passed_over():
    for digits in ("9" * 10, "9" * 5000):
        whole = b"retry: %s\nevent: closing\ndata: {}\n\n" % digits.encode()
        assert Watched([A], 0.0).feed(event("state", refused=[]) + whole)[1:] == [Closing(0.0)]


def test_events_are_read_however_they_are_cut_and_others_are_passed_over():
    whole = b": hello\r\n\r\nretry: 250\nevent: closing\ndata:\n\nevent: new\ndata: {}\n\nretry: x\n" + event("state", refused=[0])
    for size in range(1, 40):
        watched = Watched([A], 0.0)
        told = [e for i in range(0, len(whole), size) for e in watched.feed(whole[i : i + size])]
        assert told == [Closing(0.25), State((0,))]
    assert [e.data for e in Reader().feed(b"data: a\ndata:b\n\ndata\n\n")] == ["a\nb", ""]


def test_the_clock_goes_on():
    assert clock.now() <= clock.now()


LAST = b"retry: 1500\nevent: registry.closed\ndata: ownership_lost\n\n"
TIME = b"retry: 1500\n"


@pytest.mark.parametrize(
    "stream, last",
    [(b"", LAST), (b"data: a\n\n", LAST), (b"data: a\r\n\r\n", LAST), (b"data: a\r\r", LAST), (b":", b"\n" + LAST),
     (b": comment\n", LAST), (b"data: a\n\n: com", b"\n" + LAST), (b"data", b"\n" + TIME), (b"data: a\n", TIME),
     (b"data: a\r\n", TIME), (b"data: a\n:c", b"\n" + TIME), (b"data: a\n\n\n\nid: 1\n", TIME), (b"\n\r\n", LAST),
     (b"data: \xc2\x85\n\n", LAST)],
)  # fmt: skip
def test_a_last_event_is_added_between_two_events_only(stream, last):
    for size in range(1, len(stream) + 2):
        tail = Tail()
        for i in range(0, len(stream), size):
            tail.note(stream[i : i + size])
        assert tail.last("ownership_lost", 1500) == last
