"""Which resource a path is about, so that what is checked is what is served."""

from __future__ import annotations

import re
from typing import Any, Callable, List, Mapping, MutableMapping, Optional, Tuple

from .errors import Invalid
from .ownership import KINDS


def by_path(kinds: Mapping[str, str]) -> Callable[[MutableMapping[str, Any]], Optional[Tuple[str, str]]]:
    """For :class:`Guard`'s ``resource``: paths with one ``{name}``, a whole segment, and
    the kind of what it names: ``{"/threads/{id}/events": "thread"}``.

    A path is compared as frameworks route it, decoded and without the root path. One
    that differs from a pattern only by capitals, slashes at its end or in a row, dot
    segments or control characters may still reach its handler, as frameworks go; it is
    refused as invalid. Others are not guarded."""
    patterns: List[Tuple[re.Pattern[str], str]] = []
    for path, kind in kinds.items():
        parts = re.split(r"\{[A-Za-z_][A-Za-z0-9_]*\}", path)
        if len(parts) != 2 or not path.startswith("/") or kind not in KINDS or not _whole(path):
            raise Invalid(f"resource {path!r}: {kind!r}: want a path with one {{name}} as a segment, and thread or canvas")
        patterns.append((re.compile("([^/]*)".join(map(re.escape, parts)), re.IGNORECASE), kind))

    def resource(scope: MutableMapping[str, Any]) -> Optional[Tuple[str, str]]:
        path = _routed(scope)
        for pattern, kind in patterns:
            found = pattern.fullmatch(_plain(path))
            if found and (_plain(path) != path or not _same_case(pattern, path)):
                raise Invalid("the path is not written as it is served")
            if found:
                return kind, found[1]
        return None

    return resource


def _whole(path: str) -> bool:
    return any(re.fullmatch(r"\{.*\}", segment) for segment in path.split("/"))


def _same_case(pattern: re.Pattern[str], path: str) -> bool:
    return re.fullmatch(pattern.pattern, path) is not None


def _routed(scope: MutableMapping[str, Any]) -> str:
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    return path[len(root) :] if root and path.startswith(root + "/") else path


def _plain(path: str) -> str:
    """The path as a lenient framework may read it."""
    path = re.sub(r"[\x00-\x20\x7f]", "", path).replace("\\", "/")
    segments: List[str] = []
    for segment in path.split("/"):
        if segment == "..":
            del segments[-1:]
        elif segment not in ("", "."):
            segments.append(segment)
    return "/" + "/".join(segments)
