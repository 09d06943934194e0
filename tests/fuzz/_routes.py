"""Templates and paths."""

from __future__ import annotations

from tests.property._routes import check_routes


def routes(data: bytes) -> None:
    """Read ``METHOD path`` and lines ``METHOD template``, a mount with ``MOUNT``; match it."""
    request, *lines = data.decode("utf-8", "replace").split("\n")
    method, _, path = request.partition(" ")
    added = [line.partition(" ") for line in lines[:20]]
    check_routes(
        [("*" if each == "MOUNT" else each, text, each == "MOUNT") for each, _, text in added],
        method,
        path,
    )
