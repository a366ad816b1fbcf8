"""A registry for tests, in this process: :class:`FakeRegistry`, and the pytest fixture
``fake_registry`` that starts one (:mod:`realtime_registry.testing.plugin`)."""

from .fake import FakeRegistry

__all__ = ["FakeRegistry"]
