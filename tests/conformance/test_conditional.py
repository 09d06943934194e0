"""Conditional and range requests of Go, Starlette and werkzeug, rewritten as data.

A case is the validators and length of what is served, the request's fields, and what its project
answers: the status, and the ranges that are sent. A difference has the reason why ours differs.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trillium_trio.http import (
    EntityTag,
    Headers,
    Validators,
    if_range_holds,
    judge_preconditions,
    parse_byte_ranges,
    parse_http_date,
)

if TYPE_CHECKING:
    from tests.conformance._page import Page

THEN = "Wed, 25 Jun 2014 17:12:18 GMT"
BEFORE, AFTER = "Tue, 24 Jun 2014 17:12:18 GMT", "Thu, 26 Jun 2014 17:12:18 GMT"


@dataclass(frozen=True, kw_only=True)
class Case:
    fields: dict[str, str]
    status: int
    ranges: tuple[tuple[int, int], ...] = ()
    method: str = "GET"
    etag: str | None = None
    modified: str | None = None
    exists: bool = True
    length: int = 10

    @property
    def name(self) -> str:
        fields = ", ".join(f"{name}: {value}" for name, value in self.fields.items())
        return f"{self.method} {fields or 'plain'}"


def case(status: int, *ranges: tuple[int, int], **given: str) -> Case:
    """Make a case of a field or more, their names with underscores."""
    own = {name: given.pop(name) for name in ("etag", "modified", "method") if name in given}
    length = int(given.pop("length", "10"))
    exists = given.pop("exists", "yes") == "yes"
    fields = {name.replace("_", "-"): value for name, value in given.items()}
    return Case(fields=fields, status=status, ranges=ranges, length=length, exists=exists, **own)


CASES = {
    # ServeFileRangeTests, TestServeContent, TestServeContentWithEmptyContentIgnoreRanges
    "go net/http": [
        *(
            case(status, *ranges, range=f"bytes={text}", length="11")
            for text, status, *ranges in (
                ("0-4", 206, (0, 5)),
                ("2-", 206, (2, 11)),
                ("-5", 206, (6, 11)),
                ("3-7", 206, (3, 8)),
                ("0-0,-2", 206, (0, 1), (9, 11)),
                ("0-1,5-8", 206, (0, 2), (5, 9)),
                ("0-1,5-", 206, (0, 2), (5, 11)),
                ("5-1000", 206, (5, 11)),
                ("0-,1-,2-,3-,4-", 200),
                ("0-9", 206, (0, 10)),
                ("0-10", 206, (0, 11)),
                ("0-11", 206, (0, 11)),
                ("10-11", 206, (10, 11)),
                ("10-", 206, (10, 11)),
                ("11-", 416),
                ("11-12", 416),
                ("12-12", 416),
                ("11-100", 416),
                ("12-100", 416),
                ("100-", 416),
                ("100-1000", 416),
            )
        ),
        *(case(200, range=text, length="0") for text in ("bytes=0-128", "bytes=1-")),
        case(200, length="11"),
        *(
            each
            for method in ("GET", "HEAD")
            for each in (
                case(200, method=method),
                case(304, method=method, etag='"foo"', modified=THEN, if_modified_since=THEN),
                case(304, method=method, etag='"foo"', if_none_match='"foo"'),
                case(304, method=method, etag='W/"foo"', if_none_match='"baz", W/"foo"'),
                case(200, method=method, etag='"foo"', if_none_match='"Foo"'),
                case(200, method=method, etag='"foo"', if_none_match=","),
                case(206, (0, 5), method=method, etag='"A"', range="bytes=0-4"),
                case(206, (0, 5), method=method, etag='"A"', range="bytes=0-4", if_range='"A"'),
                case(200, method=method, etag='W/"A"', range="bytes=0-4", if_range='W/"A"'),
                case(416, method=method, etag='"A"', range="bytes=10-20"),
                case(200, method=method, etag='"A"', range="bytes=0-4", if_range='"B"'),
                case(206, (0, 5), method=method, modified=THEN, range="bytes=0-4", if_range=THEN),
                case(200, method=method, modified=THEN, range="bytes=0-4", if_range=AFTER),
                case(200, method=method, etag='"A"', if_match='"Z", "A"'),
                case(200, method=method, etag='"A"', if_match="*"),
                case(412, method=method, etag='"A"', if_match='"B"'),
                case(412, method=method, etag='W/"A"', if_match='W/"A"'),
                case(200, method=method, modified=THEN, if_unmodified_since=THEN),
                case(412, method=method, modified=THEN, if_unmodified_since=BEFORE),
            )
        ),
    ],
    # test_responses.py, test_staticfiles.py
    "starlette": [
        case(206, (0, 5), range="bytes=0-4", if_range='"a"', etag='"a"', length="12"),
        *(
            case(status, *ranges, range=f"bytes={text}", method=method, etag='"a"', length="526")
            for method, text, status, *ranges in (
                ("GET", "0-100", 206, (0, 101)),
                ("HEAD", "0-100", 206, (0, 101)),
                ("GET", "0-100, 200-300", 206, (0, 101), (200, 301)),
                ("HEAD", "0-100, 200-300", 206, (0, 101), (200, 301)),
                ("HEAD", "0-527", 206, (0, 526)),
                ("HEAD", "527-", 416),
                ("GET", "", 400),
                ("GET", "100-0", 400),
                ("GET", "0-100, 50-200", 206, (0, 201)),
                ("GET", "100-200, 0-50", 206, (0, 51), (100, 201)),
                ("GET", "0-15,20-35,35-50", 206, (0, 16), (20, 51)),
            )
        ),
        case(200, method="HEAD", range="bytes=200-300", if_range='"a', etag='"a"', length="526"),
        case(206, (200, 301), method="HEAD", range="bytes=200-300", if_range='"a"', etag='"a"',
             length="526"),
        case(400, method="HEAD", range="bytes: 0-1000", etag='"a"', length="526"),
        case(400, range="items=0-100", etag='"a"', length="526"),
        case(200, length="526"),
        case(200, method="HEAD", length="526"),
        case(304, etag='"a"', if_none_match='"a"'),
        case(304, modified=THEN, if_modified_since=AFTER),
        case(200, modified=THEN, if_modified_since=BEFORE),
        case(304, modified=THEN, if_modified_since=THEN),
    ],
    # test_apply_conditions.py, test_apply_range.py
    "werkzeug": [
        case(200, etag='"a"', if_match='"a"'),
        case(412, etag='"a"', if_match='"b"'),
        case(412, etag='W/"a"', if_match='"a"'),
        case(412, etag='"a"', if_match='W/"a"'),
        case(412, if_match='"a"'),
        case(200, if_match="*"),
        case(412, if_match="*", exists="no"),
        case(200, modified=THEN, if_unmodified_since=THEN),
        case(200, modified=THEN, if_unmodified_since=AFTER),
        case(200, if_unmodified_since=THEN),
        case(412, modified=THEN, if_unmodified_since=BEFORE),
        case(200, etag='"a"', modified=THEN, if_match='"a"', if_unmodified_since=BEFORE),
        case(304, etag='"a"', if_none_match='"a"'),
        case(304, etag='"a"', if_none_match='W/"a"'),
        case(304, etag='W/"a"', if_none_match='"a"'),
        case(200, etag='"a"', if_none_match='"b"'),
        case(200, if_none_match='"a"'),
        case(412, method="POST", etag='"a"', if_none_match='"a"'),
        case(304, if_none_match="*"),
        case(200, if_none_match="*", exists="no"),
        case(304, modified=THEN, if_modified_since=THEN),
        case(304, modified=THEN, if_modified_since=AFTER),
        case(200, modified=THEN, if_modified_since=BEFORE),
        case(200, if_modified_since=THEN),
        case(200, method="POST", modified=THEN, if_modified_since=AFTER),
        case(200, etag='"a"', modified=THEN, if_none_match='"b"', if_modified_since=THEN),
        case(200),
        case(206, (0, 5), range="bytes=0-4"),
        case(206, (7, 10), range="bytes=7-100"),
        case(206, (0, 10), range="bytes=-100"),
        case(416, range="bytes=20-"),
        case(206, (0, 5), range="bytes=0-4,5-9"),
        case(200, method="POST", range="bytes=0-4"),
        case(200, range="other=0-4"),
        case(200, range="bytes=0-4", length="0"),
        case(206, (0, 5), range="bytes=0-4", if_range='"a"', etag='"a"'),
        case(200, range="bytes=0-4", if_range='"a"', etag='"b"'),
        case(200, range="bytes=0-4", if_range='"a"', etag='W/"a"'),
        case(200, range="bytes=0-4", if_range='"a"'),
        case(206, (0, 5), range="bytes=0-4", if_range=THEN, modified=THEN),
        case(200, range="bytes=0-4", if_range=THEN, modified=BEFORE),
        case(200, range="bytes=0-4", if_range=THEN, modified=AFTER),
        case(200, range="bytes=0-4", if_range=THEN),
    ],
}  # fmt: skip

HEAD = "Range is defined for GET only (RFC 9110, 14.2)."
MALFORMED = "A Range that is malformed, or of another unit, is ignored (RFC 9110, 14.2)."
JOINED = "Ranges that overlap are not joined: the whole content is sent (RFC 9110, 14.2)."
DIFFERENCES: dict[tuple[str, str], tuple[tuple[int, ...], str]] = {
    **{
        ("go net/http", f"HEAD range: {text}"): ((200,), HEAD)
        for text in (
            *("bytes=0-4", "bytes=10-20", 'bytes=0-4, if-range: "A"'),
            f"bytes=0-4, if-range: {THEN}",
        )
    },
    **{
        ("starlette", f"HEAD range: {text}"): ((200,), HEAD)
        for text in (
            *("bytes=0-100", "bytes=0-100, 200-300", "bytes=0-527", "bytes=527-"),
            *("bytes: 0-1000", 'bytes=200-300, if-range: "a"'),
        )
    },
    **{
        ("starlette", f"GET range: {text}"): ((200,), MALFORMED)
        for text in ("items=0-100", "bytes=", "bytes=100-0")
    },
    **{
        ("starlette", f"GET range: {text}"): ((200,), JOINED)
        for text in ("bytes=0-100, 50-200", "bytes=0-15,20-35,35-50")
    },
    ("starlette", "GET range: bytes=100-200, 0-50"): (
        (206, 100, 201, 0, 51),
        "The parts are in the order of the request.",
    ),
    ("werkzeug", "GET range: bytes=0-4,5-9"): (
        (206, 0, 5, 5, 10),
        "Several ranges are answered with all of them.",
    ),
}


def answer(given: Case) -> tuple[int, ...]:
    """Return the status and the ends of the ranges that our functions decide on."""
    current = Validators(
        EntityTag.parse(given.etag or ""), parse_http_date(given.modified or ""), given.exists
    )
    fields = Headers(given.fields)
    status = judge_preconditions(given.method, fields, current)
    if status is not None:
        return (int(status),)
    text = fields.get("range")
    if given.method != "GET" or text is None or not if_range_holds(fields, current):
        return (200,)
    ranges = parse_byte_ranges(text, given.length)
    if ranges is None:
        return (200,)
    ends = (end for each in ranges for end in (each.start, each.stop))
    return (206, *ends) if ranges else (416,)


def test_cc_1_other_projects_conditional_requests(page: Page) -> None:
    rows = []
    unused = set(DIFFERENCES)
    reasons: dict[tuple[str, str], int] = {}
    for project, cases in CASES.items():
        counts: Counter[str] = Counter()
        for given in cases:
            theirs = (given.status, *(end for each in given.ranges for end in each))
            key = (project, given.name)
            ours, reason = DIFFERENCES.get(key, (theirs, ""))
            assert answer(given) == ours, key
            counts["agrees" if ours == theirs else "differs"] += 1
            if ours != theirs:
                unused.discard(key)
                reasons[project, reason] = reasons.get((project, reason), 0) + 1
        rows.append(f"| {project} | {counts.total()} | {counts['agrees']} | {counts['differs']} |")
    assert unused == set()
    head = ["| project | cases | as expected | differ on purpose |", "| --- | ---: | ---: | ---: |"]
    lines = [
        f"* {project}: {reason} *{count} case{'s' if count > 1 else ''}.*"
        for (project, reason), count in reasons.items()
    ]
    page.check("conditional", "\n".join([*head, *rows, "", *lines]))
