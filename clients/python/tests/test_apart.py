"""Both clients: nobody waits for, or gets, what is somebody else's."""

import asyncio
import os
import threading
import time

import pytest

from realtime_registry import AsyncClient, Client, NotFound, Unavailable


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
