"""Exceptions that are answered: their fields, and copies of them."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import trillium_trio as tt
from trillium_trio import exceptions

WITH_FIELDS = [
    (tt.HttpError(418, "tea", {"x-pot": "short"}), 418, [("x-pot", "short")]),
    (tt.HttpError(400, headers=[("a", "1"), ("a", "2")]), 400, [("a", "1"), ("a", "2")]),
    (tt.HttpError(400, headers=tt.Headers({"a": "1"})), 400, [("a", "1")]),
    (tt.BadRequest("no", headers={"a": "1"}), 400, [("a", "1")]),
    (tt.Unauthorized("Bearer"), 401, [("www-authenticate", "Bearer")]),
    (tt.MethodNotAllowed(["GET", "HEAD"]), 405, [("allow", "GET, HEAD")]),
    (tt.MethodNotAllowed(allow="GET, HEAD"), 405, [("allow", "GET, HEAD")]),
    (tt.MethodNotAllowed([]), 405, [("allow", "")]),
    (tt.UpgradeRequired("x", "m"), 426, [("upgrade", "x"), ("connection", "upgrade")]),
    (tt.TooManyRequests(), 429, []),
    (tt.TooManyRequests("m", retry_after=1.1), 429, [("retry-after", "2")]),
    (tt.ServiceUnavailable(retry_after=-1), 503, [("retry-after", "0")]),
]


@pytest.mark.parametrize(("error", "status", "fields"), WITH_FIELDS, ids=repr)
def test_cn_29_an_error_has_fields(
    error: tt.HttpError, status: int, fields: list[tuple[str, str]]
) -> None:
    assert (error.status, list(error.headers)) == (status, fields)
    assert str(error) == f"{status} {error.message}".rstrip()


@pytest.mark.parametrize("error", [each for each, _, _ in WITH_FIELDS], ids=repr)
def test_an_error_can_be_copied(error: tt.HttpError) -> None:
    for again in (copy.copy(error), copy.deepcopy(error), pickle.loads(pickle.dumps(error))):
        assert type(again) is type(error)
        assert vars(again) == vars(error)
        assert str(again) == str(error)


def test_cn_29_a_field_that_cannot_be_sent_is_named() -> None:
    with pytest.raises(ValueError, match="'x y'"):
        tt.HttpError(400, headers={"x y": "1"})
    with pytest.raises(ValueError, match="'www-authenticate'"):
        tt.Unauthorized("Bearer\r\nx: y")
    untyped: list[tuple[Any, str]] = [({"a": 5}, "'a'"), ([(5, "a")], "int")]
    for headers, named in untyped:
        with pytest.raises(TypeError, match=named):
            tt.HttpError(400, headers=headers)


TEXTS = st.text(st.characters(max_codepoint=0x120), max_size=4)


@given(name=TEXTS, value=TEXTS)
@example(name="a", value="\x80")
@example(name="a", value="\t")
def test_cn_29_an_error_takes_what_headers_take(name: str, value: str) -> None:
    try:
        tt.Headers([(name, value)])
    except ValueError:
        with pytest.raises(ValueError, match="header"):
            tt.HttpError(400, headers=[(name, value)])
    else:
        assert tt.HttpError(400, headers=[(name, value)]).headers == ((name, value),)


def test_every_http_error_is_in_the_tree() -> None:
    tree = exceptions.__doc__ or ""
    for name in exceptions.__all__:
        kind = getattr(exceptions, name)
        assert name in tree
        default = getattr(kind, "default", None)
        assert default is None or f"{name} {default}" in tree
