"""Found by pytest if the package is installed; else
``pytest_plugins = ["realtime_registry.testing.plugin"]``."""

from __future__ import annotations

from typing import Iterator

import pytest

from .fake import FakeRegistry


@pytest.fixture
def fake_registry(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeRegistry]:
    """A registry in which nothing has an owner. REGISTRY_URL names it meanwhile."""
    with FakeRegistry() as fake:
        monkeypatch.setenv("REGISTRY_URL", fake.url)
        monkeypatch.delenv("REGISTRY_API_TOKEN", raising=False)
        monkeypatch.delenv("REGISTRY_CLAIM_TOKEN", raising=False)
        yield fake
