"""Asks the registry whether a tenant may stream a thread or a canvas. Standard
library only, a connection for each thread of each process.

    python3 access.py t_acme thread th_1     # exit code 1 unless it may
"""

import http.client
import os
import re
import sys
import threading
import urllib.parse

TIMEOUT = 6.0  # seconds; the registry itself gives up after 5
PATHS = {"thread": "/v1/threads/{}/access", "canvas": "/v1/canvases/{}/access"}
TENANT = re.compile(r"t_[a-z0-9_-]{1,126}")
RESOURCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~:@+=-]{0,255}")


class NotFound(Exception):
    """Nobody's, or somebody else's: answer 404, and do not say which."""


class Unavailable(Exception):
    """Nothing is known: answer 503, let nobody in, and do not say 404."""


def verify_access(tenant, kind, resource):
    """Returns if the tenant owns the resource now; else raises NotFound, Unavailable
    or ValueError (the tenant or the id breaks its pattern: answer 400)."""
    if kind not in PATHS:
        raise ValueError(f"kind {kind!r} is neither thread nor canvas")
    if not TENANT.fullmatch(tenant):
        raise ValueError(f"tenant {tenant!r} breaks its pattern")
    if not RESOURCE.fullmatch(resource):
        raise ValueError(f"{kind} {resource!r} breaks its pattern")
    headers = {"X-Tenant-Id": tenant}
    if token := os.environ.get("REGISTRY_API_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    status, asked = _get(PATHS[kind].format(urllib.parse.quote(resource, safe="")), headers)
    if asked != f"{tenant} {kind}/{resource}":  # another server's answer, or to another question
        raise Unavailable(f"the answer {status} is to {asked!r}: is REGISTRY_URL the registry's?")
    if status == 204:
        return
    if status == 404:
        raise NotFound
    raise Unavailable(f"the registry answered {status}")


def _registry(url):
    """The class and the arguments of a connection, and what stands before paths."""
    classes = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}
    try:
        parts = urllib.parse.urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"REGISTRY_URL is {url!r}: {error}") from None
    if parts.scheme not in classes or not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc:
        raise ValueError(f"REGISTRY_URL is {url!r}: want http://HOST:PORT or https://HOST")
    return classes[parts.scheme], (parts.hostname, port), parts.path.rstrip("/")


try:
    CONNECTION, ADDRESS, BASE = _registry(os.environ.get("REGISTRY_URL", "http://127.0.0.1:8080"))
except ValueError as error:
    if __name__ == "__main__":
        sys.exit(str(error))
    raise

_local = threading.local()  # the connection of this thread, while nobody uses it, and its process


def _get(path, headers):
    """The status of an answer, and what it answers. A connection that was idle may
    be gone: a second, new one is tried. Whatever else goes wrong is Unavailable,
    never an allow."""
    while True:
        kept = _take()
        connection = kept or CONNECTION(*ADDRESS, timeout=TIMEOUT)
        try:
            connection.request("GET", BASE + path, headers=headers)
            answer = connection.getresponse()
            answer.read()
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            if kept is None or isinstance(error, TimeoutError):
                raise Unavailable(str(error) or type(error).__name__) from error
        except BaseException:  # interrupted: the answer may still come, and nobody may take it for another's
            connection.close()
            raise
        else:
            _local.connection, _local.process = connection, os.getpid()
            return answer.status, answer.getheader("X-Registry-Asked")


def _take():
    """The connection of this thread, which is nobody else's while it is used. After
    a fork parent and child hold the same one: the child lets go of it."""
    connection = getattr(_local, "connection", None)
    _local.connection = None
    if connection and _local.process != os.getpid():
        connection.close()  # the parent's stays open
        return None
    return connection


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit("want a tenant, a kind (thread or canvas) and an id")
    try:
        verify_access(*sys.argv[1:])
    except NotFound:
        sys.exit("404")
    except Unavailable as unavailable:
        sys.exit(f"503: {unavailable}")
    except ValueError as invalid:
        sys.exit(f"400: {invalid}")
    print("204: stream")
