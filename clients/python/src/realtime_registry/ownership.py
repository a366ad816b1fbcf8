"""What is asked about: which tenant, which resource. The patterns are those of the
registry (docs/design.md, section 2), so what is refused here is refused there."""

from __future__ import annotations

import re
from typing import NamedTuple, Tuple, Union

from .errors import Invalid

TENANT = re.compile(r"t_[a-z0-9_-]{1,126}")
RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}")
ACTION = re.compile(r"[a-z0-9]+(_[a-z0-9]+)*")

#: The kinds of resources, and what they are called in paths.
KINDS = {"thread": "threads", "canvas": "canvases"}


class Resource(NamedTuple):
    """A thread or a canvas."""

    kind: str  #: ``thread`` or ``canvas``
    id: str

    def __str__(self) -> str:
        return f"{self.kind}/{self.id}"


#: Where a Resource is wanted, a pair of kind and id will do.
AnyResource = Union[Resource, Tuple[str, str]]


class Ownership(NamedTuple):
    """That a tenant owns a resource: what a stream rests on."""

    tenant: str
    kind: str
    id: str

    def __str__(self) -> str:
        """As the registry echoes it, in X-Registry-Asked."""
        return f"{self.tenant} {self.kind}/{self.id}"


def ownership(tenant: object, kind: object, id: object) -> Ownership:
    """Returns the three as one if they match their patterns; else raises Invalid."""
    return Ownership(valid_tenant(tenant), *valid_resource(kind, id))


def valid_tenant(tenant: object) -> str:
    if not isinstance(tenant, str) or not TENANT.fullmatch(tenant):
        raise Invalid(f"tenant {_shown(tenant)} does not match {TENANT.pattern}")
    return tenant


def valid_resource(kind: object, id: object) -> Resource:
    if not isinstance(kind, str) or kind not in KINDS:
        raise Invalid(f"kind {_shown(kind)} is neither thread nor canvas")
    if not isinstance(id, str) or not RESOURCE.fullmatch(id):
        raise Invalid(f"{kind} id {_shown(id)} does not match {RESOURCE.pattern}")
    return Resource(kind, id)


def valid_action(action: object) -> str:
    if not isinstance(action, str) or not ACTION.fullmatch(action):
        raise Invalid(f"action {_shown(action)} does not match {ACTION.pattern}")
    return action


def _shown(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 80 else text[:80] + "…"
