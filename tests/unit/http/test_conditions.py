"""Preconditions, against the steps of RFC 9110 written out once more."""

from __future__ import annotations

from itertools import product
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trillium_trio.http import (
    EntityTag,
    Headers,
    Validators,
    http_date,
    if_range_holds,
    judge_preconditions,
    parse_entity_tags,
    parse_http_date,
)

State = Literal["absent", "match", "miss", "malformed"]

STATES: tuple[State, ...] = ("absent", "match", "miss", "malformed")
METHODS = ("GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "X")
STATUSES = (200, 204, 206, 302, 404, 412, 500)

NOW = 1_700_000_000
CURRENT = Validators(EntityTag("a"), NOW + 0.75)


def date(seconds: int) -> str:
    return http_date(seconds).decode()


# "match" means what its name says: that the version is the one that the client names.
VALUES: dict[str, dict[State, str]] = {
    "If-Match": {"match": '"x", "a"', "miss": 'W/"a", "b"', "malformed": "a"},
    "If-Unmodified-Since": {
        "match": date(NOW),
        "miss": date(NOW - 1),
        "malformed": "2023-11-14T22:13:20Z",
    },
    "If-None-Match": {"match": '"x", W/"a"', "miss": '"A"', "malformed": "a"},
    "If-Modified-Since": {
        "match": date(NOW),
        "miss": date(NOW - 1),
        "malformed": f"{date(NOW)}, {date(NOW)}",
    },
    "If-Range": {"match": '"a"', "miss": 'W/"a"', "malformed": '"a", "a"'},
}


def expected(method: str, status: int, states: dict[str, State]) -> int | None:
    """RFC 9110, 13.2.1 and 13.2.2, as it is written there."""
    if method in {"CONNECT", "OPTIONS", "TRACE"}:
        return None
    if status // 100 != 2 and status != 412:
        return None
    match, unmodified, none_match, modified, _ = states.values()
    safe = method in {"GET", "HEAD"}
    # 1 and 2
    if match != "absent":
        if match != "match":
            return 412
    elif unmodified == "miss":
        return 412
    # 3 and 4
    if none_match != "absent":
        if none_match == "match":
            return 304 if safe else 412
    elif safe and modified == "match":
        return 304
    return None


def test_cc_1_every_combination() -> None:
    count = 0
    for combination in product(STATES, repeat=len(VALUES)):
        states = dict(zip(VALUES, combination, strict=True))
        fields = Headers(
            [(name, VALUES[name][state]) for name, state in states.items() if state != "absent"]
        )
        for method, status in product(METHODS, STATUSES):
            found = judge_preconditions(method, fields, CURRENT, status=status)
            assert found == expected(method, status, states), (method, status, states)
            count += 1
        assert if_range_holds(fields, CURRENT) is (states["If-Range"] in {"absent", "match"})
    assert count == 4**5 * 70


@pytest.mark.parametrize(
    ("method", "exists", "fields", "status"),
    [
        ("PUT", True, {"If-Match": "*"}, None),
        ("PUT", False, {"If-Match": "*"}, 412),
        ("GET", False, {"If-Match": "*"}, 412),
        ("PUT", True, {"If-None-Match": "*"}, 412),
        ("GET", True, {"If-None-Match": "*"}, 304),
        ("PUT", False, {"If-None-Match": "*"}, None),
        ("PUT", False, {"If-None-Match": '"a"'}, None),
        ("PUT", True, {"If-None-Match": '"a", *'}, None),
    ],
)
def test_cc_1_whether_it_exists(
    method: str, exists: bool, fields: dict[str, str], status: int | None
) -> None:
    current = Validators(exists=exists)
    assert judge_preconditions(method, Headers(fields), current) == status


@pytest.mark.parametrize("field", ["If-Modified-Since", "If-Unmodified-Since"])
def test_cc_2_a_resource_without_a_date_ignores_dates(field: str) -> None:
    fields = Headers({field: date(0)})
    assert judge_preconditions("GET", fields, Validators(EntityTag("a"))) is None


def test_cc_2_a_field_in_several_lines_is_one_list() -> None:
    fields = Headers([("if-none-match", '"x"'), ("If-None-Match", '"a"')])
    assert judge_preconditions("GET", fields, CURRENT) == 304


@pytest.mark.parametrize(
    ("text", "tags"),
    [
        ('"a"', ['"a"']),
        ('"a","b" , W/"c"', ['"a"', '"b"', 'W/"c"']),
        (', ,"a",,', ['"a"']),
        ('"a,b", "c"', ['"a,b"', '"c"']),
        ('""', ['""']),
        ('"\xfc"', ['"\xfc"']),
        ('"a" "b"', []),
        ('"a", b, "c"', ['"a"']),
        ('w/"a"', []),
        ('W/ "a"', []),
        ('"a b"', []),
        ('"a', []),
        ("a", []),
        (",", []),
        ("", []),
        ("*", []),
    ],
)
def test_cc_2_lists_of_entity_tags(text: str, tags: list[str]) -> None:
    assert [str(tag) for tag in parse_entity_tags(text)] == tags


@given(st.text(st.characters(codec="latin-1"), max_size=20))
def test_any_text_is_read(text: str) -> None:
    for tag in parse_entity_tags(text):
        assert str(tag) in text
        assert EntityTag.parse(str(tag)) == tag


@given(st.from_regex(r"[!#-~\x80-\xff]*", fullmatch=True), st.booleans())
def test_a_tag_can_be_sent_and_read(opaque: str, is_weak: bool) -> None:
    tag = EntityTag(opaque, is_weak)
    assert Headers({"etag": str(tag)})["etag"] == str(tag)
    assert EntityTag.parse(str(tag)) == tag


@pytest.mark.parametrize("opaque", ['"', "a b", "\n", "\x00", "\u20ac"])
def test_a_tag_that_cannot_be_sent_is_refused(opaque: str) -> None:
    with pytest.raises(ValueError, match="cannot be an entity tag"):
        EntityTag(opaque)


@pytest.mark.parametrize(
    ("one", "other", "is_same", "is_equivalent"),
    [  # RFC 9110, 8.8.3.2
        ('W/"1"', 'W/"1"', False, True),
        ('W/"1"', 'W/"2"', False, False),
        ('W/"1"', '"1"', False, True),
        ('"1"', '"1"', True, True),
    ],
)
def test_comparisons(one: str, other: str, is_same: bool, is_equivalent: bool) -> None:
    first, second = EntityTag.parse(one), EntityTag.parse(other)
    assert first is not None
    assert second is not None
    assert first.is_same(second) is second.is_same(first) is is_same
    assert first.is_equivalent(second) is second.is_equivalent(first) is is_equivalent


def test_a_tag_of_content() -> None:
    assert EntityTag.of_content(b"a") == EntityTag.of_content(b"a")
    assert EntityTag.of_content(b"a") != EntityTag.of_content(b"b")
    assert str(EntityTag.of_content(b"a", is_weak=True)).startswith('W/"')


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("Sun, 06 Nov 1994 08:49:37 GMT", 784111777),
        ("Sunday, 06-Nov-94 08:49:37 GMT", 784111777),
        ("Sun Nov  6 08:49:37 1994", 784111777),
        ("Mon, 06 Nov 1994 08:49:37 GMT", 784111777),  # the day is wrong
        ("Thu, 01 Jan 1970 00:00:00 GMT", 0),
        ("Sat, 31 Dec 2016 23:59:60 GMT", 1483228799),
        ("Friday, 01-Jan-27 00:00:00 GMT", 1798761600),
        ("Sun, 6 Nov 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 08:49:37 UTC", None),
        ("Sun, 06 Nov 1994 08:49:37 +0000", None),
        ("Wed, 30 Feb 1994 08:49:37 GMT", None),
        ("Sun, 06 Nov 1994 24:49:37 GMT", None),
        ("sun, 06 nov 1994 08:49:37 gmt", None),
        ("Sun, 06 Nov 0000 08:49:37 GMT", None),
        ("Sun, 0\u0666 Nov 1994 08:49:37 GMT", None),
        ("784111777", None),
        ("", None),
    ],
)
def test_cc_2_dates(text: str, seconds: int | None) -> None:
    assert parse_http_date(text) == seconds


@given(st.integers(0, 253402300799))
def test_a_date_that_is_sent_is_read(seconds: int) -> None:
    assert parse_http_date(http_date(seconds).decode()) == seconds
