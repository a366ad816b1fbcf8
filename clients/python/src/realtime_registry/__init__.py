"""Ask the realtime registry which tenant owns a thread or canvas, and end open streams
when that changes. README.md is the manual.

:class:`AsyncClient` and :class:`Client` ask: check, check_all, claim, take, watch.
:class:`Guard` stands before an ASGI application: it verifies each connect and resume,
and ends what is open when its tenant loses the resource."""

from .aio import AsyncClient
from .errors import Conflict, Invalid, NotFound, RegistryError, Throttled, Unavailable, Unwatchable
from .guard import Guard, admit, tenant_of_header
from .ownership import Ownership, Resource
from .questions import Quota
from .sync import Client

__all__ = [
    "AsyncClient",
    "Client",
    "Conflict",
    "Guard",
    "Invalid",
    "NotFound",
    "Ownership",
    "Quota",
    "RegistryError",
    "Resource",
    "Throttled",
    "Unavailable",
    "Unwatchable",
    "admit",
    "tenant_of_header",
]
