import pytest

pytest_plugins = ["realtime_registry.testing.plugin"]

from realtime_registry import AsyncClient, Client  # noqa: E402
from realtime_registry.testing import FakeRegistry  # noqa: E402


@pytest.fixture
async def client(fake_registry: FakeRegistry):
    async with AsyncClient() as client:
        yield client


@pytest.fixture(params=["async", "sync"])
async def ask(request, fake_registry: FakeRegistry):
    """Calls a method of either client."""
    if request.param == "async":
        async with AsyncClient(timeout=5) as client:
            yield lambda method, *args, **kw: getattr(client, method)(*args, **kw)
    else:
        with Client(timeout=5) as client:

            async def call(method, *args, **kw):
                return getattr(client, method)(*args, **kw)

            yield call
