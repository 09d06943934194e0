"""Paths that try to leave a folder, and a server that must not let them."""

from __future__ import annotations

import re
from itertools import product
from typing import TYPE_CHECKING

from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from trillium_trio.handlers import Static

SECRET = "the secret outside the root"
DEPTH = 8

UPS = (
    *("..", "%2e%2e", "%2E.", ".%2e", "%252e%252e", "%25252e%25252e", "...", "....", "..;"),
    *("..%00", "%00..", "..%20", "..%0a", "..%09", "%c0%ae%c0%ae", "%e0%80%ae%e0%80%ae"),
    *(
        "%f0%80%80%ae%f0%80%80%ae",
        "%uff0e%uff0e",
        "%u002e%u002e",
        "%c0%2e%c0%2e",
        "~",
        ".",
        "~root",
    ),
)
SLASHES = (
    *(
        "/",
        "//",
        "/./",
        "%2f",
        "%2F",
        "%252f",
        "%25252f",
        "\\",
        "\\\\",
        "%5c",
        "%5C",
        "%255c",
        "/\\",
    ),
    *("%c0%af", "%c1%9c", "%c0%5c", "%e0%80%af", "%f0%80%80%af", "%u2215", "%u2216", "%bg%qf"),
    *("%00/", "?/", "#/"),
)
FRONTS = ("", "sub/")
ENDS = ("secret.txt", "secret.txt%00.html", "etc/passwd")


def attempts() -> Iterator[str]:
    """Yield each way to write "one folder up", once and often, in front of each end."""
    for up, slash, front, end in product(UPS, SLASHES, FRONTS, ENDS):
        for depth in (1, DEPTH):
            yield front + (up + slash) * depth + end


def as_target(line: str) -> str:
    """Make a request target of a line of a list."""
    line = line.replace("{FILE}", "secret.txt")
    visible = re.sub(r"[^!-~]", lambda found: "".join(map(encoded, found[0])), line)
    return visible.replace("#", "%23") if visible.startswith("/") else f"/{visible}"


def encoded(character: str) -> str:
    return "".join(f"%{byte:02x}" for byte in character.encode())


def make_root(folder: Path) -> Path:
    """Make a root with something in it, and a secret in each of the folders that it is in."""
    for name in "abcdefgh"[:DEPTH]:
        (folder / "secret.txt").write_text(SECRET)
        folder /= name
        folder.mkdir()
    root = folder / "root"
    (root / "sub").mkdir(parents=True)
    (folder / "secret.txt").write_text(SECRET)
    (root / "file.txt").write_text("public")
    (root / "sub" / "index.html").write_text("public")
    # A folder whose name begins like the root's: comparing prefixes is not enough.
    (folder / "root-secret").mkdir()
    (folder / "root-secret" / "secret.txt").write_text(SECRET)
    return root


async def count_attempts(handler: Static, targets: Iterable[str]) -> int:
    """Send all, on one connection as long as it lives; fail if one is answered with a file."""
    count = 0
    async with TestServer(handler) as app:
        session = app.session()
        for target in targets:
            response = await session.get(target)
            assert SECRET.encode() not in response.body, target
            assert b"root:" not in response.body, target
            assert response.status in {400, 404}, target
            count += 1
            if response.is_closing:
                session = app.session()
        # It serves what it is for.
        assert (await app.get("/file.txt")).body == b"public"
    return count
