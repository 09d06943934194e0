"""What the ASGI specification says, case by case, where servers are known to differ."""

from __future__ import annotations

import pytest

from tests.spec._asgi import Noting, answering
from tests.wire import serving
from trillium_trio.asgi import Asgi
from trillium_trio.handlers import Router

# -- AS-1, AS-2: the scope -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/a%2Fb/%2e%2e/c", "/a/b/../c", b""),
        ("/%ed%a0%80", "/\ufffd\ufffd\ufffd", b""),  # half of a surrogate pair
        ("/a+b;c=1", "/a+b;c=1", b""),
        ("/a%3Fb?c?d", "/a?b", b"c?d"),
        ("/100%25?%25", "/100%", b"%25"),
    ],
)
async def test_as_1_a_path_is_decoded_once(
    target: str, path: str, query: bytes, autojump_clock: object
) -> None:
    app = Noting()
    async with serving(Asgi(app)) as server:
        await server.connect().get(target)
    assert (app.scope["path"], app.scope["query_string"]) == (path, query)
    assert app.scope["raw_path"] == target.partition("?")[0].encode()


@pytest.mark.parametrize("root", ["", "/api"])
async def test_as_1_an_asterisk_is_the_root(root: str, autojump_clock: object) -> None:
    app = Noting()
    async with serving(Asgi(app, root_path=root)) as server:
        assert (await server.connect().get("*", method="OPTIONS")).status == 200
    assert (app.scope["path"], app.scope["raw_path"]) == (f"{root}/", b"*")


@pytest.mark.parametrize(
    ("root", "prefix", "target", "root_path", "path"),
    [
        # The proxy strips /api.
        ("/api", "/sites/{site}", "/sites/7/x", "/api/sites/7", "/api/sites/7/x"),
        # It passes it, and the template has it.
        ("/api", "/api/sites/{site}", "/api/sites/7/x", "/api/sites/7", "/api/sites/7/x"),
        ("/api", "/api", "/api/x", "/api", "/api/x"),
        ("/api", "/api/{site}", "/api/%C3%BC/x", "/api/ü", "/api/ü/x"),
        ("/ü", "/ü/a", "/%C3%BC/a/x", "/ü/a", "/ü/a/x"),
        # It passes it, and the template has only the beginning.
        ("/api/v1", "/api", "/api/v1/x", "/api/v1", "/api/v1/x"),
        # The same words, and not at the border of a segment.
        ("/api", "/apis", "/apis/x", "/api/apis", "/api/apis/x"),
    ],
)
async def test_as_2_the_root_path_is_a_prefix_of_the_path_below_a_mount(
    root: str, prefix: str, target: str, root_path: str, path: str, autojump_clock: object
) -> None:
    app = Noting()
    router = Router().mount(prefix, Asgi(answering(app), root_path=root))
    async with serving(router) as server:
        assert (await server.connect().get(target)).body == b"ok"
    assert (app.scope["root_path"], app.scope["path"]) == (root_path, path)
    assert app.scope["raw_path"] == target.encode()
