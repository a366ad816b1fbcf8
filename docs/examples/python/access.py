"""Asks the registry whether a tenant may stream a thread or a canvas. Standard
library only, a connection for each thread of the program.

    python3 access.py t_acme thread th_1     # exit code 1 unless it may
"""

import http.client
import os
import sys
import threading
import urllib.parse

REGISTRY = urllib.parse.urlsplit(os.environ.get("REGISTRY_URL", "http://127.0.0.1:8080"))
CONNECTION = http.client.HTTPSConnection if REGISTRY.scheme == "https" else http.client.HTTPConnection
TIMEOUT = 6.0  # seconds; the registry itself gives up after 5
PATHS = {"thread": "/v1/threads/{}/access", "canvas": "/v1/canvases/{}/access"}

_local = threading.local()


class NotFound(Exception):
    """Nobody's, or somebody else's: answer 404, and do not say which."""


class Unavailable(Exception):
    """Nothing is known: answer 503, let nobody in, and do not say 404."""


def verify_access(tenant, kind, resource):
    """Returns where the tenant owns the resource now; else NotFound, Unavailable or
    ValueError (the tenant or the id breaks its pattern: answer 400)."""
    if kind not in PATHS:
        raise ValueError(f"kind {kind!r} is neither thread nor canvas")
    headers = {"X-Tenant-Id": tenant}
    if token := os.environ.get("REGISTRY_API_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    path = PATHS[kind].format(urllib.parse.quote(resource, safe=""))
    status = _get(path, headers)
    if status == 204:
        return
    if status == 404:
        raise NotFound
    if status == 400:
        raise ValueError(f"{kind} {resource!r} or tenant {tenant!r} breaks its pattern")
    raise Unavailable(f"the registry answered {status}")


def _get(path, headers):
    """The status of an answer. A connection that was idle may be gone: a second,
    new one is tried. Whatever else goes wrong is Unavailable, never an allow."""
    while True:
        kept = getattr(_local, "connection", None)
        connection = kept or CONNECTION(REGISTRY.hostname, REGISTRY.port, timeout=TIMEOUT)
        try:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            answer.read()
            _local.connection = connection
            return answer.status
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            _local.connection = None
            if kept is None or isinstance(error, TimeoutError):
                raise Unavailable(str(error) or type(error).__name__) from error
        except ValueError:  # a tenant that no header can carry
            connection.close()
            _local.connection = None
            raise


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
