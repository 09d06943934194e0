"""Cookies of the IETF's http-state corpus, Starlette and werkzeug, rewritten as data.

The corpus says which Cookie field a user agent sends after a Set-Cookie field. Its Cookie fields
are read here as any others. Its Set-Cookie fields test the small user agent below, and that reads
what `set_cookie` writes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import pytest

from tests.conformance._cookies import KEPT, NOT_SENT, OTHERS, READ
from trillium_trio.http import parse_cookies, set_cookie

if TYPE_CHECKING:
    from tests.conformance._page import Page

# The path of the page that sets the cookies of the corpus, and reads them, without TLS.
PATH = "/cookie-parser-result"

TOKEN = "A name that is not a token is dropped (RFC 6265, 4.1.1)."
QUOTES = "A value is without the quotes around it (CK-1)."
NAMELESS = "A pair without an equals sign or a name is dropped (RFC 6265, 5.2)."
ESCAPES = "Backslashes are Python's way of escaping; ours is percent-encoding (CK-5)."
SEVERAL = "Several cookies of one name are kept (CK-2)."
DIFFERENCES: dict[tuple[str, str], tuple[dict[str, list[str]], str]] = {
    **{
        ("http-state", field): ({}, TOKEN)
        for field in (
            *("@a=bar", "(a=bar", ")a=bar", '"a=bar', '"a=b"=bar', '"a=qux', "foo bar=baz"),
            *("春节回=家路·春运完全手册", "春节回=家路·春运"),
        )
    },
    **{
        ("http-state", f'{name}="{value}"'): ({name: [value]}, QUOTES)
        for name, value in (
            *(("foo", "bar"), ("foo", "  bar "), ("foo", "bar=baz"), ("foo", "bar, baz=qux")),
            *(("aBc", "zzz "), ("aBc", 'zzz "   "ppp'), ("foo", "zohNumRKgI0oxyhSsV3Z7D")),
            ("foo", "春节回家路·春运完全手册"),
        )
    },
    ("starlette", 'mycookie="Hello\\054 cookies!"'): (
        {"mycookie": ["Hello\\054 cookies!"]},
        ESCAPES,
    ),
    ("starlette", 'keebler="E=mc2; L=\\"Loves\\"; fudge=\\012;"'): (
        {"keebler": ['"E=mc2'], "L": ['\\"Loves\\"'], "fudge": ["\\012"]},
        NAMELESS,
    ),
    ("starlette", "key:term=value:term"): ({}, TOKEN),
    ("starlette", "a=b; h=i; a=c"): ({"a": ["b", "c"], "h": ["i"]}, SEVERAL),
    ("starlette", "abc=def; unnamed; lang=en"): ({"abc": ["def"], "lang": ["en"]}, NAMELESS),
    ("starlette", 'a=b; "; c=d'): ({"a": ["b"], "c": ["d"]}, NAMELESS),
    ("starlette", "a b c=d e = f; gh=i"): ({"gh": ["i"]}, TOKEN),
    ("starlette", 'a   b,c<>@:/[]?{}=d  "  =e,f g'): ({}, TOKEN),
    ("starlette", "  =  b  ;  ;  =  ;   c  =  ;  "): ({"c": [""]}, NAMELESS),
    ("werkzeug", READ["werkzeug"][0][0]): (
        {"CP": ["null*"], "a": ["42"], "b": ["\\"], "c": ["d"], "__Host-eq": ["ok"]},
        TOKEN,
    ),
    ("werkzeug", READ["werkzeug"][1][0]): (
        {"first": ["One"], "a": ["1", "2"], "second": ["Two"]},
        NAMELESS,
    ),
    ("werkzeug", r'foo="foo\054bar"'): ({"foo": ["foo\\054bar"]}, ESCAPES),
    ("werkzeug", r'foo="\342\230\203"; Path=/'): (
        {"foo": [r"\342\230\203"], "Path": ["/"]},
        ESCAPES,
    ),
    ("werkzeug", r'fö="f\303\266"; Path=/'): ({"Path": ["/"]}, TOKEN),
    ("werkzeug", "fö=fö"): ({}, TOKEN),
}


def meant(field: str) -> dict[str, list[str]]:
    """Return what a field of the corpus says: its user agents joined the pairs with ``; ``."""
    pairs: dict[str, list[str]] = {}
    for pair in field.split("; "):
        name, _, value = pair.partition("=")
        pairs.setdefault(name, []).append(value)
    return pairs


def test_ck_1_other_projects_cookie_fields(page: Page) -> None:
    cases = {"http-state": [(field, meant(field)) for field in (*KEPT, *OTHERS)], **READ}
    unused = set(DIFFERENCES)
    reasons: Counter[tuple[str, str]] = Counter()
    rows = []
    for project, fields in cases.items():
        counts: Counter[str] = Counter()
        for field, theirs in fields:
            ours, reason = DIFFERENCES.get((project, field), (theirs, ""))
            # As it arrives: one character a byte.
            assert parse_cookies([field.encode().decode("latin-1")]) == ours, (project, field)
            counts["agrees" if ours == theirs else "differs"] += 1
            if ours != theirs:
                unused.discard((project, field))
                reasons[project, reason] += 1
        rows.append(f"| {project} | {counts.total()} | {counts['agrees']} | {counts['differs']} |")
    assert unused == set()
    head = [
        "| project | fields | as expected | differ on purpose |",
        "| --- | ---: | ---: | ---: |",
    ]
    lines = [
        f"* {project}: {reason} *{count} field{'s' if count > 1 else ''}.*"
        for (project, reason), count in reasons.items()
    ]
    page.check("cookies", "\n".join([*head, *rows, "", *lines]))


@dataclass(frozen=True, slots=True)
class SetCookie:
    """What a user agent takes from a Set-Cookie field (RFC 6265, 5.2)."""

    name: str
    value: str
    attributes: dict[str, str]

    @classmethod
    def read(cls, field: str) -> SetCookie | None:
        """Read a field as the section says; None if it is ignored."""
        pair, *attributes = field.split(";")
        name, equals, value = pair.partition("=")
        name, value = name.strip(" \t"), value.strip(" \t")
        if not equals or not name:
            return None
        found: dict[str, str] = {}
        for each in attributes:
            key, _, text = each.partition("=")
            key, text = key.strip(" \t").lower(), text.strip(" \t")
            # 5.2.2: a value that is no number is ignored.
            if key == "max-age" and not text.removeprefix("-").isdecimal():
                continue
            found[key] = text
        return cls(name, value, found)

    def is_sent_to(self, path: str) -> bool:
        """Say whether a request for this path without TLS has it (RFC 6265, 5.1.4 and 5.4)."""
        scope = self.attributes.get("path", "")
        scope = scope if scope.startswith("/") else "/"
        is_below = path == scope or path.startswith(scope.rstrip("/") + "/")
        is_kept = int(self.attributes.get("max-age", "1")) > 0
        return is_below and is_kept and "secure" not in self.attributes


@pytest.mark.parametrize("cookie", KEPT)
def test_the_user_agent_sends_what_the_corpus_expects(cookie: str) -> None:
    for field in KEPT[cookie]:
        read = SetCookie.read(field)
        assert read is not None, field
        assert read.is_sent_to(PATH), field
        assert f"{read.name}={read.value}" == cookie


@pytest.mark.parametrize("field", NOT_SENT)
def test_the_user_agent_does_not_send_what_the_corpus_does_not(field: str) -> None:
    read = SetCookie.read(field)
    assert read is None or not read.is_sent_to(PATH)


NAMES = ["a", "$Version", "!#$%&'*+-.^_`|~", "__Secure-a", "__Host-a"]
VALUES = ["", "b", '"', '"b"', "a=b", " b ", "a, b; c", "b\r\nc: d", "100%", "\\", "春节", "\x7f\0"]
TIMES: list[dict[str, Any]] = [
    {},
    {"max_age": 60},
    {"max_age": 0},
    {"max_age": -1},
    {"expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)},
    {"expires": datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC), "max_age": 60},
]
SCOPES: list[dict[str, Any]] = [
    {},
    {"path": None},
    {"path": "/a=b, c"},
    {"domain": "example.com"},
    {"domain": ".example.com", "path": "/x/"},
]
FLAGS: list[dict[str, Any]] = [
    {"secure": True},
    {"secure": True, "http_only": False, "same_site": "none", "partitioned": True},
    {"secure": True, "same_site": "strict"},
    {"secure": False},
]


@pytest.mark.parametrize("name", NAMES)
def test_ck_4_a_user_agent_reads_what_was_set(name: str) -> None:
    count = 0
    for value, times, scope, flags in product(VALUES, TIMES, SCOPES, FLAGS):
        given = times | scope | flags
        if name.startswith("__") and not given["secure"]:
            continue
        if name.startswith("__Host-") and scope:
            continue
        field = set_cookie(name, value, **given)
        read = SetCookie.read(field)
        assert read is not None, field
        assert (read.name, unquote(read.value, errors="strict")) == (name, value)
        assert parse_cookies([f"{read.name}={read.value}"]) == {name: [value]}
        assert read.attributes == expected_attributes(**given), field
        count += 1
    assert count >= len(VALUES)


def expected_attributes(
    *,
    secure: bool,
    max_age: int | None = None,
    expires: datetime | None = None,
    path: str | None = "/",
    domain: str | None = None,
    http_only: bool = True,
    same_site: str = "lax",
    partitioned: bool = False,
) -> dict[str, str]:
    """Return what a user agent should read, of the arguments of `set_cookie`."""
    found = {
        "max-age": None if max_age is None else str(max_age),
        "expires": "Wed, 02 Jan 2030 03:04:05 GMT" if expires else None,
        "path": path,
        "domain": domain and domain.removeprefix("."),
        "secure": "" if secure else None,
        "httponly": "" if http_only else None,
        "samesite": {"lax": "Lax", "strict": "Strict", "none": "None"}[same_site],
        "partitioned": "" if partitioned else None,
    }
    return {key: value for key, value in found.items() if value is not None}
