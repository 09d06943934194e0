"""A linear matcher with the precedence of RT-3: what the trie has to find."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from trillium_trio.exceptions import ConfigError
from trillium_trio.handlers.router._converters import CONVERTERS
from trillium_trio.handlers.router._table import Table
from trillium_trio.handlers.router._template import Template

if TYPE_CHECKING:
    from collections.abc import Iterable

RANKS = {"uuid": 10, "int": 20, "float": 30, "str": 100}
PATTERNS = {
    "int": "[0-9]+",
    "float": r"[0-9]+(\.[0-9]+)?",
    "uuid": "[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}",
    "str": "(?s:.+)",
}
KINDS = {"int": int, "float": float, "str": str}

Route = tuple[str, str, bool]
"""A method or ``*``, a template, and whether it is a mount."""


def check_routes(routes: Iterable[Route], method: str, path: str) -> None:
    """Assert that the trie and the linear matcher find the same."""
    table: Table[Route] = Table(head=True)
    accepted: list[Route] = []
    for route in routes:
        each, template, is_mount = route
        try:
            parsed = Template(template, CONVERTERS)
            if is_mount:
                if parsed.segments[-1].is_rest:
                    continue
                table.mount(parsed, route)
            else:
                table.add(None if each == "*" else [each], parsed, route)
        except ConfigError:
            continue
        accepted.append(route)
    found = table.find(method, path)
    expected = find_linearly(accepted, method, path)
    if isinstance(found, frozenset):
        assert expected is None or isinstance(expected, frozenset), (accepted, method, path)
        assert found == (expected or frozenset()), (accepted, method, path)
    else:
        target, values, _ = found
        assert (target, [str(each) for each in values]) == expected, (accepted, method, path)


def find_linearly(
    routes: list[Route], method: str, path: str
) -> tuple[Route, list[str]] | frozenset[str] | None:
    """Try each route, the most specific first."""
    segments = decoded(path)
    if segments is None:
        return None
    allowed: set[str] = set()
    # The methods of a path that are named go before `*`, and HEAD before GET.
    first = {method: 0, "GET": 1, "*": 2}
    for route in sorted(routes, key=lambda each: (key(each), first.get(each[0], 3))):
        values = match(route, segments)
        if values is None:
            continue
        each = route[0]
        if route[2] or each in {"*", method} or (each, method) == ("GET", "HEAD"):
            return route, values
        allowed |= {"GET", "HEAD"} if each == "GET" else {each}
    return frozenset(allowed)


def decoded(path: str) -> list[str] | None:
    if re.search("%(?![0-9A-Fa-f]{2})", path) or not path.startswith("/"):
        return None
    try:
        segments = [unquote(each, errors="strict") for each in path[1:].split("/")]
    except UnicodeDecodeError:
        return None
    return None if any(each in {".", ".."} or "\0" in each for each in segments) else segments


def parts(segment: str) -> list[str]:
    """Split ``a{b:int}c`` into its texts and converters, by turns."""
    pieces = re.split(r"\{([^}]*)\}", segment)
    pieces[1::2] = [each.partition(":")[2] or "str" for each in pieces[1::2]]
    return pieces


def segments_of(route: Route) -> list[str]:
    segments = route[1][1:].split("/")
    return segments[:-1] if route[2] and segments[-1] == "" else segments


def key(route: Route) -> list[tuple[Any, ...]]:  # Any: lengths, ranks and texts
    found: list[tuple[Any, ...]] = []
    for segment in segments_of(route):
        pieces = parts(segment)
        texts, kinds = pieces[::2], pieces[1::2]
        if not kinds:
            found.append((0, segment))
        elif kinds == ["path"]:
            found.append((4,))
        elif texts == ["", ""]:
            found.append((3,) if kinds == ["str"] else (2, RANKS[kinds[0]]))
        else:
            lengths = [len(each) for each in texts]
            ranks = [RANKS[each] for each in kinds]
            more = (-sum(lengths), -lengths[0], -lengths[-1], len(ranks), ranks, texts)
            found.append((1, *more))
    return [*found, (5,)] if route[2] else found


def match(route: Route, segments: list[str]) -> list[str] | None:
    values: list[str] = []
    wanted = segments_of(route)
    for at, segment in enumerate(wanted):
        if at >= len(segments):
            return None
        pieces = parts(segment)
        if pieces[1::2] == ["path"]:
            rest = segments[at:]
            return None if any("/" in each for each in rest) else [*values, "/".join(rest)]
        pattern = "".join(
            "(.+)" if index % 2 else re.escape(each) for index, each in enumerate(pieces)
        )
        found = re.fullmatch(pattern, segments[at], re.DOTALL)
        if found is None:
            return None
        for kind, text in zip(pieces[1::2], found.groups(), strict=True):
            if re.fullmatch(PATTERNS[kind], text) is None:
                return None
            values.append(str(KINDS[kind](text)) if kind in KINDS else text)
    return values if route[2] or len(wanted) == len(segments) else None
