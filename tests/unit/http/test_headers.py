from __future__ import annotations

import re
from typing import Any

import pytest

from trillium_trio.http import Headers

BLOCK = b"Host: example.com\r\nX-Tag:a\r\nx-tag: \t b \r\nEmpty:\r\n"


def both() -> list[Headers]:
    """The same fields, once as a block and once set."""
    items = [("Host", "example.com"), ("X-Tag", "a"), ("x-tag", "b"), ("Empty", "")]
    return [Headers.from_block(BLOCK), Headers(items)]


@pytest.mark.parametrize("headers", both(), ids=["block", "set"])
def test_reading(headers: Headers) -> None:
    assert len(headers) == 4
    assert headers.get("HOST") == headers["host"] == "example.com"
    assert headers.get("X-TAG") == "a"
    assert headers.get_all("X-Tag") == ["a", "b"]
    assert headers.get("empty") == ""
    assert headers.get("absent") is None
    assert headers.get_all("absent") == []
    assert "host" in headers
    assert "absent" not in headers
    assert 1 not in headers
    assert list(headers) == ["host", "x-tag", "empty"]
    assert headers.items() == [
        ("Host", "example.com"),
        ("X-Tag", "a"),
        ("x-tag", "b"),
        ("Empty", ""),
    ]
    assert headers.raw[2] == (b"x-tag", b"b")
    with pytest.raises(KeyError, match="absent"):
        headers["absent"]


def test_a_block_is_counted_copied_and_rendered_without_being_split() -> None:
    headers = Headers.from_block(BLOCK)
    assert len(headers) == 4
    assert headers.render() is BLOCK
    assert headers.copy().render() is BLOCK


def test_from_a_mapping_pairs_and_headers() -> None:
    expected = [("A", "1"), ("B", "2")]
    assert Headers({"A": "1", "B": "2"}).items() == expected
    assert Headers([("A", "1"), ("B", "2")]).items() == expected
    assert Headers(Headers(expected)).items() == expected
    assert Headers().items() == []


def test_set_replaces_all_of_a_name_and_goes_last() -> None:
    headers = Headers.from_block(BLOCK)
    headers.set("X-TAG", "c")
    assert headers.items() == [("Host", "example.com"), ("Empty", ""), ("X-TAG", "c")]
    headers["host"] = "other"
    assert headers.items()[-1] == ("host", "other")
    assert len(headers) == 3


def test_append_and_remove() -> None:
    headers = Headers.from_block(BLOCK)
    headers.append("host", "second")
    assert headers.get_all("Host") == ["example.com", "second"]
    headers.remove("HOST")
    headers.remove("absent")
    assert list(headers) == ["x-tag", "empty"]


def test_a_copy_is_independent() -> None:
    for headers in both():
        headers.get("host")
        other = headers.copy()
        other.append("New", "1")
        assert "new" not in headers
        assert other.get("new") == "1"


def test_render_is_what_was_set() -> None:
    headers = Headers({"Content-Type": "text/plain", "X-Name": " caf\xe9\t"})
    assert headers.render() == b"Content-Type: text/plain\r\nX-Name: caf\xe9\r\n"
    assert Headers().render() == b""


def test_equality_ignores_the_case_of_names_only() -> None:
    block, built = both()
    assert block == built
    assert Headers({"a": "1"}) == Headers({"A": "1"})
    assert Headers({"a": "x"}) != Headers({"a": "X"})
    assert Headers({"a": "1", "b": "2"}) != Headers({"b": "2", "a": "1"})
    assert Headers() != []
    with pytest.raises(TypeError):
        hash(built)


def test_only_crlf_ends_a_line_of_a_block() -> None:
    # str.splitlines would also break at these.
    headers = Headers.from_block(b"A: 1\x852\xa0\r\nB: 3\r\n")
    assert headers.items() == [("A", "1\x852\xa0"), ("B", "3")]


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "\xe9", "a\n", "(a)"])
def test_a_name_that_is_no_token_is_refused(name: str) -> None:
    headers = Headers({"kept": "1"})
    for change in (headers.set, headers.append):
        with pytest.raises(ValueError, match="token"):
            change(name, "x")
    assert headers.items() == [("kept", "1")]


@pytest.mark.parametrize(
    "value", ["a\r\nb: c", "a\n", "\n", "a\rb", "\x00", "\x1b[31m", "\x7f", "\x0b", "\u20ac"]
)
def test_a_value_that_would_break_the_message_is_refused(value: str) -> None:
    headers = Headers({"kept": "1"})
    for change in (headers.set, headers.append):
        with pytest.raises(ValueError, match="'X-Name'"):
            change("X-Name", value)
    with pytest.raises(ValueError, match="'X-Name'"):
        Headers({"X-Name": value})
    assert headers.items() == [("kept", "1")]


def test_repr_shows_the_fields() -> None:
    assert repr(Headers({"A": "1"})) == "Headers([('A', '1')])"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("x-count", 5, "the value of 'x-count' must be str, not int"),
        ("x-count", b"5", "the value of 'x-count' must be str, not bytes"),
        ("x-count", None, "the value of 'x-count' must be str, not NoneType"),
        (b"x-count", "5", "the name of a header must be str, not bytes"),
    ],
)
def test_cn_27_what_is_no_string_names_the_header(name: Any, value: Any, message: str) -> None:
    headers = Headers({"x-count": "1"})
    for change in (headers.set, headers.append):
        with pytest.raises(TypeError, match=f"^{re.escape(message)}$"):
            change(name, value)
    assert headers.items() == [("x-count", "1")]


def test_cn_27_a_subclass_of_str_is_kept_as_what_was_checked() -> None:
    class Changing(str):
        __slots__ = ()

        def strip(self, chars: str | None = None) -> str:
            return "1\r\nset-cookie: forged"

        def __format__(self, spec: str) -> str:
            return "1\r\nset-cookie: forged"

    headers = Headers([(Changing("x-count"), Changing(" 1 "))])
    assert headers.render() == b"x-count: 1\r\n"


@pytest.mark.parametrize("headers", both(), ids=["block", "set"])
def test_fields_from_bytes_are_added_and_some_left_out(headers: Headers) -> None:
    pairs: list[tuple[Any, Any]] = [
        (b"X-One", b" 1 "),
        (b"Age", b"5"),
        (bytearray(b"host"), memoryview(b"other")),
    ]
    fields, left_out = Headers.from_raw(pairs, without=frozenset({"age"}))
    assert (fields.items(), left_out) == ([("X-One", "1"), ("host", "other")], [("age", "5")])
    headers.extend(fields)
    assert headers.extend_raw([(b"a", b"b"), (b"age", b"6")], without=frozenset({"age"})) == [
        ("age", "6")
    ]
    assert headers.items()[4:] == [("X-One", "1"), ("host", "other"), ("a", "b")]
    with pytest.raises(ValueError, match="not a token"):
        headers.extend_raw([(b"good", b"1"), (b"bad name", b"1")])
    assert len(headers) == 7
    assert len(fields) == 2
