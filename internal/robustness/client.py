"""A client of the robustness run: claims, checks, takes and watches by the package for
transports, and prints a record of each, a line of JSON.

    python3 client.py SEED URL...

Standard input's end ends it."""

import asyncio
import json
import random
import sys
import time

from realtime_registry import AsyncClient, Conflict, NotFound, Ownership, Throttled, Unavailable
from realtime_registry.clock import now as age_clock
from realtime_registry.watching import Certified, Lost, State


def record(**fields):
    print(json.dumps(fields), flush=True)


async def ask(question, **fields):
    """The status of a question, recorded. An answer that never came has none: the client
    calls both that and a 503 Unavailable, so this says the weaker."""
    fields["at"], status = time.time_ns(), 0  # if it is cancelled
    try:
        answer = await question
        status = {"claim": 201 if answer else 204}.get(fields["type"], 204)
    except NotFound:
        status = 404
    except Conflict:
        status = 409
    except Throttled:
        status = 429
    except Unavailable:
        status = 503
    finally:
        record(**fields, until=time.time_ns(), status=status)
    return status


async def claims(client, name, seed, numbers, claimed):
    while True:
        number = next(numbers)
        resource = f"py_{seed}_{number}"
        tenants = [f"t_py{number % 10}_{i}" for i in range(3)]

        async def one(tenant):
            fields = {"by": f"{name}/{tenant}", "tenant_id": tenant, "resource": "thread/" + resource}
            status = await ask(client.claim(tenant, "thread", resource), type="claim", **fields)
            await ask(client.check(tenant, "thread", resource), type="check", **fields)
            if status == 201:
                claimed.append(Ownership(tenant, "thread", resource))

        await asyncio.gather(*map(one, tenants))
        await asyncio.sleep(random.uniform(0.2, 0.6))


async def takes(client, name):
    while True:
        tenant = f"t_throttled_{random.randrange(3)}"
        await ask(client.take(tenant, "robust", 1), type="take", by=name, tenant_id=tenant, action="robust", n=1)
        await asyncio.sleep(random.uniform(0.02, 0.1))


async def watches(client, name, claimed):
    n = 0
    while True:
        await asyncio.sleep(0.5)
        owned = list(dict.fromkeys(claimed[-100:]))
        if not owned:
            continue
        n += 1
        watch_name = f"{name}.{n}"
        asked = [{"tenant_id": o.tenant, "resource": "thread/" + o.id} for o in owned]
        record(type="watch", at=time.time_ns(), name=watch_name, by=name, owned=asked)
        following = asyncio.ensure_future(follow(client, watch_name, owned))
        following.add_done_callback(lambda done: done.cancelled() or done.exception())  # else asyncio prints it
        try:
            await asyncio.wait_for(following, 10)
        except (Unavailable, asyncio.TimeoutError):
            pass
        record(type="closed", at=time.time_ns(), name=watch_name)


async def follow(client, name, owned):
    async with client.watch(owned) as watch:
        async for event in watch:
            tell(name, event)


def tell(name, event):
    at = time.time_ns()
    if isinstance(event, State):
        record(type="state", at=at, name=name, indexes=list(event.refused))
    elif isinstance(event, Lost):
        record(type="lost", at=at, name=name, indexes=list(event.lost))
    elif isinstance(event, Certified):
        age = age_clock() - event.since
        record(type="certified", at=at, name=name, since=time.time_ns() - int(age * 1e9))


async def main(seed, urls):
    random.seed(seed)
    numbers = iter(range(10**9))
    claimed = []
    tasks = []
    for i, url in enumerate(urls):
        client = AsyncClient(url=url)
        name = f"python-{i}"
        work = [claims(client, name, seed, numbers, claimed), takes(client, name), watches(client, name, claimed)]
        tasks += map(asyncio.ensure_future, work)
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    done, _ = await asyncio.wait([*tasks, ended], return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
    for task in done:
        task.result()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2:]))
