"""The trie against a linear matcher, and `url_for` against the match."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property import _routes
from tests.property._routes import check_routes
from trillium_trio.handlers import Router
from trillium_trio.handlers.router import _table

if TYPE_CHECKING:
    from tests.property._routes import Route

TEXTS = ["a", "b", "ab", "a.x", "1", "1.x", "a-b", "é"]
PARAMS = ["{}", "{:int}", "{:float}", "{}.x", "{:int}.x", "a{}", "a{}b", "{}-{}", "{:int}-{}"]
RAW = [*TEXTS[:-1], "", "%C3%A9", "%61", "a%2Fb", "1-2-3", "a-b-c", "..", "a..", "1.5", "%", "%00"]


@st.composite
def routes(draw: st.DrawFn) -> Route:
    segments = draw(st.lists(st.sampled_from(TEXTS + PARAMS), max_size=4))
    end = draw(st.sampled_from([[], [], [""], ["{:path}"]]))
    pieces = "/".join(segments + end).split("{")
    named = [f"{{p{index}{each}" for index, each in enumerate(pieces[1:])]
    template = "/" + pieces[0] + "".join(named)
    method = draw(st.sampled_from(["GET", "GET", "POST", "HEAD", "*"]))
    return method, template, draw(st.integers(0, 5)) == 0


PATHS = st.lists(st.sampled_from(RAW), max_size=5).map(lambda parts: "/" + "/".join(parts))


@given(st.lists(routes(), max_size=12), st.sampled_from(["GET", "POST", "HEAD", "OPTIONS"]), PATHS)
def test_the_trie_finds_what_a_linear_matcher_finds(
    added: list[Route], method: str, path: str
) -> None:
    check_routes(added, method, path)
    check_routes(reversed(added), method, path)


def test_the_linear_matcher_notices_a_wrong_trie(monkeypatch: pytest.MonkeyPatch) -> None:
    added: list[Route] = [("GET", "/{a}", False), ("GET", "/b", False)]
    check_routes(added, "GET", "/b")
    monkeypatch.setattr(_routes, "find_linearly", lambda *_: (added[0], ["b"]))
    with pytest.raises(AssertionError):
        check_routes(added, "GET", "/b")


VALUES = st.text(min_size=1, max_size=6)


@given(VALUES, VALUES, st.integers(0), st.floats(0, allow_infinity=False), st.uuids())
def test_url_for_is_matched_again(a: str, b: str, n: int, x: float, u: object) -> None:
    templates: dict[str, dict[str, object]] = {
        "/s/{a}/{b}": {"a": a, "b": b},
        "/m/{a}~{b}": {"a": a, "b": b},
        "/p/{a:path}": {"a": a},
        "/t/{n:int}/{x:float}/{u:uuid}": {"n": n, "x": x, "u": u},
    }
    for template, values in templates.items():
        router = Router().get(template, "x", name="x").get("/{z}/{y}/{w:path}", "other")
        try:
            path = router.url_for("x", **values)
        except ValueError:
            # Dots, NUL, a lone surrogate, or two values that would be divided differently.
            continue
        found = router._table.find("GET", path)
        assert not isinstance(found, frozenset)
        assert found[0].template.text == template
        assert found[1] == list(values.values())


def test_a_match_looks_at_each_place_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    # Two choices at each of 12 places, all of which fail in the end.
    depth = 12
    router = Router()
    for index in range(50):
        bits = f"{index * 83:0{depth}b}"[-depth:]
        parts = [f"{{p{at}}}" if bit == "1" else "a" for at, bit in enumerate(bits)]
        router.post("/" + "/".join(parts) + f"/end{index}", "x")
    calls: list[int] = []
    find = _table._find

    def counting(*args: object) -> object:
        calls.append(1)
        return find(*args)  # type: ignore[arg-type]  # whatever it is called with

    monkeypatch.setattr(_table, "_find", counting)
    assert router._table.find("GET", "/a" * depth + "/none") == frozenset()
    assert len(calls) <= 50 * (depth + 1)
