"""Both clients: what each answer means, and how they are told whom to ask."""

import pytest

import realtime_registry
from realtime_registry import AsyncClient, Client, Conflict, Invalid, NotFound, Throttled, Unavailable, Unwatchable
from realtime_registry import trace


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


async def test_a_claim_may_name_its_event(ask, fake_registry):
    assert await ask("claim", "t_acme", "thread", "th_1", event=("//nexus/threads", "café 100%")) is True
    headers = fake_registry.requests[-1][2]
    assert (headers["ce-source"], headers["ce-id"]) == ("//nexus/threads", "caf%C3%A9%20100%25")
    for event in (("", "e"), ("//n", ""), ("//n", "x" * 1025), ("//n", None)):
        with pytest.raises(Invalid, match="event"):
            await ask("claim", "t_acme", "thread", "th_2", event=event)


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


def test_the_package_says_what_it_is():
    assert set(realtime_registry.__all__) >= {"AsyncClient", "Client", "NotFound", "Unavailable"}
    assert issubclass(Unwatchable, Unavailable) and issubclass(Invalid, ValueError)
