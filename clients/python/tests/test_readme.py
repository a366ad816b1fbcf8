"""What README.md shows is run, or at least compiled."""

import ast
import asyncio
import pathlib
import re

import httpx

from transports import served

README = pathlib.Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"```python\n(.*?)```", README.read_text(), re.S)


async def test_the_first_screen_is_a_transport_that_works(fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    names: dict = {}

    def make(_):
        exec(BLOCKS[0], names)
        return names["app"]

    with served(make, fake_registry.url) as address:
        async with httpx.AsyncClient(timeout=20) as http:
            url = f"http://{address}/threads/th_1/events"
            assert (await http.get(url, headers={"X-Authenticated-Tenant": "t_globex"})).status_code == 404
            async with http.stream("GET", url, headers={"X-Authenticated-Tenant": "t_acme"}) as answer:
                text = ""
                async for chunk in answer.aiter_text():
                    text += chunk
                    fake_registry.move("t_acme", "t_globex")
    assert text.startswith("data: something in th_1\n\n") and "registry.closed\ndata: ownership_lost" in text


async def test_the_questions_of_the_readme_are_answered(fake_registry):
    fake_registry.own("t_acme", "thread", "th_1")
    code = compile(BLOCKS[1], "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    await asyncio.wait_for(eval(code, {}), 20)
    assert fake_registry.owner("thread", "th_2") == "t_acme"


def test_the_other_blocks_are_python():
    for block in BLOCKS[2:]:
        assert compile(block, "README.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    assert len(BLOCKS) > 4
