"""Open streams under few watches."""

import asyncio
import time

import pytest

from realtime_registry import AsyncClient, NotFound, Ownership, Unavailable
from realtime_registry.streams import LOST, UNCERTAIN, merge


def mine(n, first=0):
    return [Ownership("t_acme", "thread", f"th_{i}") for i in range(first, first + n)]


@pytest.fixture
async def streams(client, fake_registry):
    fake_registry.max_staleness = 0.6
    fake_registry.own_all(mine(3000))
    return client.streams


async def open_all(streams, ownerships, patience=10.0):
    return await asyncio.gather(*(streams.open(o, patience) for o in ownerships))


async def ends(streams, within=5.0):
    return await asyncio.wait_for(asyncio.gather(*(s.ended for s in streams)), within)


async def until(condition, within=5.0):
    deadline = time.monotonic() + within
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


async def test_streams_that_come_together_are_one_question(streams, fake_registry):
    await open_all(streams, mine(1000))
    assert fake_registry.watched == [1000]
    assert fake_registry.asked("GET", "/v1") == 0, "the state stands for the check"


async def test_who_does_not_own_is_not_let_in_and_holds_up_nobody(streams):
    wanted = [*mine(3), Ownership("t_acme", "thread", "nobodys"), Ownership("t_globex", "thread", "th_0")]
    results = await asyncio.gather(*(streams.open(o, 10) for o in wanted), return_exceptions=True)
    assert [type(r).__name__ for r in results] == ["Stream"] * 3 + ["NotFound"] * 2
    assert len(streams.held) == 3


async def test_what_is_lost_ends_all_its_streams_and_no_others(streams, fake_registry):
    opened = await open_all(streams, mine(10) * 2)
    fake_registry.own("t_globex", "thread", "th_3")
    assert await ends([opened[3], opened[13]]) == [LOST] * 2
    assert sum(s.ended.done() for s in opened) == 2
    assert opened[3].reason() == LOST and opened[4].reason() is None
    with pytest.raises(NotFound):
        await streams.open(mine(4)[3], 10)
    fake_registry.move("t_acme", "t_globex")
    assert set(await ends(opened)) == {LOST}
    await until(lambda: not streams.links and not fake_registry.watched)
    assert not streams.held


async def test_a_stream_of_what_is_watched_already_asks_nothing(streams, fake_registry):
    await open_all(streams, mine(1))
    await until(lambda: all(h.fresh() for h in streams.held.values()))
    asked = len(fake_registry.requests)
    await open_all(streams, mine(1) * 50)
    assert len(fake_registry.requests) == asked


async def test_watches_merge_without_a_gap_and_few_are_open(streams, fake_registry):
    opened = []
    for i in range(30):
        opened += await open_all(streams, mine(i % 7 + 1, first=i * 10))
        await asyncio.sleep(0.03)
    total = len(opened)

    def few():
        sizes = fake_registry.watched
        return sum(sizes) == total and all(b > 2 * sum(sizes[: i + 1]) for i, b in enumerate(sizes[1:]))

    await until(few)
    assert not any(s.ended.done() for s in opened)
    fake_registry.move("t_acme", "t_globex")
    assert set(await ends(opened)) == {LOST}


async def test_what_is_lost_while_watches_merge_is_told(streams, fake_registry):
    """A thread is moved at every moment of the merging."""
    for round in range(2):
        opened = await open_all(streams, mine(30, first=round * 100))
        for i in range(round * 100, round * 100 + 30):
            more = await open_all(streams, mine(1, first=1000 + i))
            fake_registry.own("t_globex", "thread", f"th_{i}")
            await asyncio.sleep(0.007)
            more[0].close()
        assert set(await ends(opened, 3)) == {LOST}


async def test_what_nobody_wants_any_more_is_not_watched(streams, fake_registry):
    opened = await open_all(streams, mine(400))
    for s in opened[:-10]:
        s.close()
    await until(lambda: fake_registry.watched == [10])
    for s in opened:
        s.close()
        s.close()
    await until(lambda: fake_registry.watched == [])
    assert not streams.held and not streams.links


def test_what_is_merged_leaves_sizes_that_more_than_double():
    assert merge([]) == [] and merge([(7, 7)]) == [] and merge([(1, 1), (3, 3)]) == []
    assert merge([(1, 1), (1, 1)]) == [0, 1]
    assert merge([(1, 1), (2, 2), (6, 6), (100, 100)]) == [0, 1, 2]
    assert merge([(1, 1), (10, 10), (10, 10)]) == [0, 1, 2]
    assert merge([(3000, 3000), (3000, 3000)]) == [], "5,000 is the most"
    assert merge([(20, 500)]) == [0], "most of it is not wanted any more"


async def test_a_watch_that_breaks_off_is_replaced_and_nothing_ends(streams, fake_registry):
    opened = await open_all(streams, mine(100))
    for _ in range(3):
        fake_registry.cut()
        await until(lambda: fake_registry.watched == [100])
    fake_registry.own("t_globex", "thread", "th_0")
    assert await ends(opened[:1]) == [LOST]
    assert not any(s.ended.done() for s in opened[1:])


async def test_what_was_lost_while_the_watch_was_gone_ends(streams, fake_registry):
    opened = await open_all(streams, mine(2))
    with fake_registry.outage():
        fake_registry.cut()
        await asyncio.sleep(0.1)
        fake_registry.own("t_globex", "thread", "th_0")
    assert await ends(opened[:1]) == [LOST]
    assert opened[1].reason() is None


async def test_a_draining_server_is_left(streams, fake_registry):
    opened = await open_all(streams, mine(5))
    before = len(fake_registry.requests)
    fake_registry.drain(0.2)
    await until(lambda: len(fake_registry.requests) > before and fake_registry.watched == [5])
    assert not any(s.ended.done() for s in opened)


async def test_a_server_that_says_to_come_back_tomorrow_is_left_all_the_same(streams, fake_registry):
    opened = await open_all(streams, mine(2))
    fake_registry.drain(86_400)
    await until(lambda: len(fake_registry.requests) > 1 and fake_registry.watched == [2])
    assert not any(s.ended.done() for s in opened)


@pytest.mark.parametrize("trouble", ["outage", "hung"])
async def test_patience_ends_and_not_before(streams, fake_registry, trouble):
    streams.client.settings.__dict__["timeout"] = 0.3
    short, long = await streams.open(mine(1)[0], 0.8), await streams.open(mine(1)[0], 60.0)
    with getattr(fake_registry, trouble)():
        began = time.monotonic()
        assert await ends([short]) == [UNCERTAIN]
        assert 0.3 < time.monotonic() - began < 4
        assert not long.ended.done()
        with pytest.raises(Unavailable):
            await streams.open(mine(1, first=5)[0], 0.8)
    fake_registry.cut()
    again = await streams.open(mine(1, first=5)[0], 0.8)
    assert again.reason() is None and long.reason() is None


async def test_a_registry_that_cannot_certify_is_asked_again_and_again(streams, fake_registry):
    await streams.open(mine(1, first=99)[0], 10.0)
    await until(lambda: streams.max_staleness == 0.6)
    with fake_registry.uncertain():
        opened = await open_all(streams, mine(3), patience=0.5)
        await asyncio.sleep(2.5)
        assert not any(s.ended.done() for s in opened)
        assert fake_registry.asked("POST", "/v1/watch") >= 3
        fake_registry.own("t_globex", "thread", "th_1")
        assert await ends(opened[1:2]) == [LOST]


async def test_a_registry_that_keeps_nothing_is_polled(streams, fake_registry, monkeypatch):
    monkeypatch.setattr("realtime_registry.link.MOST_UNWATCHED", 0.2)
    fake_registry.max_staleness = 0
    opened = await open_all(streams, mine(3), patience=2)
    with pytest.raises(NotFound):
        await streams.open(Ownership("t_globex", "thread", "th_0"), 2)
    fake_registry.own("t_globex", "thread", "th_1")
    assert await ends(opened[1:2]) == [LOST]
    await until(lambda: fake_registry.asked("POST", "/v1/access") > 5)
    assert not opened[0].ended.done()
    with fake_registry.outage():
        assert await ends([opened[0], opened[2]]) == [UNCERTAIN] * 2


async def test_a_process_that_was_stopped_trusts_nothing_old(streams, monkeypatch):
    """No timer has fired yet, and nothing was read: the clock alone is ahead."""
    stream = await streams.open(mine(1)[0], 10.0)
    assert stream.reason() is None
    from realtime_registry import clock

    monkeypatch.setattr("realtime_registry.streams.now", lambda: clock.now() + 20)
    assert stream.reason() == UNCERTAIN


async def test_who_waits_at_a_hung_registry_hears_so_in_time(fake_registry):
    fake_registry.own_all(mine(300))
    async with AsyncClient(timeout=0.7) as client:
        with fake_registry.hung():
            began = time.monotonic()
            waiting = []
            for i in range(20):
                waiting += [asyncio.ensure_future(client.streams.open(o, 10)) for o in mine(10, first=i * 10)]
                await asyncio.sleep(0.02)
            assert len(client.streams.links) <= 4
            assert {type(r) for r in await asyncio.gather(*waiting, return_exceptions=True)} == {Unavailable}
            assert time.monotonic() - began < 2.5
        fake_registry.cut()
        assert len(await open_all(client.streams, mine(200))) == 200
        assert len(client.streams.held) == 200


async def test_who_is_cancelled_leaves_nothing_behind(streams, fake_registry):
    for delay in (0, 0.001, 0.01, 0.06):
        waiting = [asyncio.ensure_future(streams.open(o, 10)) for o in mine(20)]
        await asyncio.sleep(delay)
        [w.cancel() for w in waiting]
        results = await asyncio.gather(*waiting, return_exceptions=True)
        [r.close() for r in results if not isinstance(r, BaseException)]
    await until(lambda: not streams.held and fake_registry.watched == [])
    (stream,) = await open_all(streams, mine(1))
    assert stream.reason() is None


async def test_closing_the_client_ends_what_is_open(fake_registry):
    fake_registry.own_all(mine(3))
    async with AsyncClient() as client:
        opened = await open_all(client.streams, mine(3))
    assert await ends(opened) == [UNCERTAIN] * 3
    assert asyncio.all_tasks() == {asyncio.current_task()}
