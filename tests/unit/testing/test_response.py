"""Assertions on responses, and what they say when they fail."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from trillium_trio import Headers
from trillium_trio.testing import TestResponse

if TYPE_CHECKING:
    from collections.abc import Callable

RESPONSE = TestResponse(
    status=201,
    reason="Created",
    headers=Headers([("Content-Type", "application/json"), ("x-twice", "one"), ("x-twice", "two")]),
    body=b'{"a": [1]}',
    method="POST",
    path="/things",
)


def test_assertions_that_hold_chain() -> None:
    chained = (
        RESPONSE.assert_ok()
        .assert_status(201)
        .assert_body('{"a": [1]}')
        .assert_body(b'{"a": [1]}')
        .assert_body_contains("[1]")
        .assert_body_contains(b"[1]")
        .assert_json({"a": [1]})
        .assert_header("content-type")
        .assert_header("X-Twice", "two")
        .assert_no_header("location")
    )
    assert chained is RESPONSE


@pytest.mark.parametrize(
    ("check", "complaint"),
    [
        (lambda: TestResponse(status=302).assert_ok(), "expected a status of 2xx; .*302"),
        (lambda: RESPONSE.assert_status(200), "expected status 200;"),
        (lambda: RESPONSE.assert_body("x"), "expected the body 'x';"),
        (lambda: RESPONSE.assert_body(b"x"), "expected the body b'x';"),
        (lambda: RESPONSE.assert_body_contains("x"), "to contain 'x';"),
        (lambda: RESPONSE.assert_body_contains(b"x"), "to contain b'x';"),
        (lambda: RESPONSE.assert_json([]), r"JSON of \[\], not of {'a': \[1\]};"),
        (
            lambda: TestResponse(status=200, body=b"x").assert_json(1),
            "is not JSON: Expecting",
        ),
        (lambda: RESPONSE.assert_header("location"), "expected a header location;"),
        (lambda: RESPONSE.assert_header("location", "/"), "to be '/', not nothing;"),
        (lambda: RESPONSE.assert_header("x-twice", "3"), "to be '3', not 'one' and 'two';"),
        (lambda: RESPONSE.assert_no_header("x-twice"), "expected no header x-twice;"),
    ],
)
def test_an_assertion_that_fails_says_why(check: Callable[[], object], complaint: str) -> None:
    with pytest.raises(AssertionError, match=f"(?s){complaint}") as caught:
        check()
    assert "the response is" in str(caught.value)


def test_a_failure_shows_the_response() -> None:
    with pytest.raises(AssertionError) as caught:
        RESPONSE.assert_status(200)
    assert str(caught.value).splitlines() == [
        "expected status 200; the response is",
        "  POST /things -> 201 Created",
        "  Content-Type: application/json",
        "  x-twice: one",
        "  x-twice: two",
        "",
        '  {"a": [1]}',
    ]


def test_a_long_or_binary_body_is_shown_in_part() -> None:
    shown = str(TestResponse(status=200, body=b"\xff" + b"a" * 600))
    assert "\\xff" + "a" * 499 + "\n" in shown
    assert shown.endswith("(601 bytes in all)")


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/plain", "é".encode()),
        ("text/plain; charset=latin-1", b"\xe9"),
        ('text/html; charset="UTF-16"', "é".encode("utf-16")),
    ],
)
def test_text_is_decoded_by_the_charset(content_type: str, body: bytes) -> None:
    headers = Headers({"content-type": content_type})
    response = TestResponse(status=200, headers=headers, body=body)
    assert response.text == "é"
    response.assert_body("é")


def test_json_that_is_none_raises() -> None:
    with pytest.raises(ValueError, match="Expecting"):
        TestResponse(status=200, body=b"").json()
