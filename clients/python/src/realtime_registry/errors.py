"""What can go wrong, one exception for each thing that a caller does about it."""

from __future__ import annotations

from typing import Optional


class RegistryError(Exception):
    """Anything that a call of this package raises about its question or its answer."""


class NotFound(RegistryError):
    """The tenant does not own the resource: no one does, or another tenant. Answer
    404, and do not say which. Only the registry's own refusal raises it."""


class Conflict(RegistryError):
    """A claim was refused: another tenant owns the resource. Repeating does not help."""


class Invalid(RegistryError, ValueError):
    """A tenant, an id, an action or a setting breaks its pattern: answer 400."""


class Throttled(RegistryError):
    """The tenant has used up its quota for an action: answer 429."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        #: Seconds after which to come back.
        self.retry_after = retry_after


class Unavailable(RegistryError):
    """Nothing is known: answer 503, let no one in, and do not say 404.

    Whatever is no answer of the registry's to this question raises it: no
    connection, a deadline, a 401, a 5xx, and any answer of another server."""

    def __init__(self, message: str, retry_after: Optional[float] = None) -> None:
        super().__init__(message)
        #: Seconds after which to come back, if the registry said so.
        self.retry_after = retry_after


class Unwatchable(Unavailable):
    """The registry keeps nothing (its ``--max-staleness`` is 0), so it watches
    nothing: what is open has to be checked again from time to time."""
