"""The small values: dates, status codes, state."""

from __future__ import annotations

from email.utils import formatdate
from http import HTTPStatus

import pytest

from trillium_trio.http import Status, TypeMap, http_date, reason_phrase


def test_http_date_is_an_imf_fixdate() -> None:
    # The example of RFC 9110, 5.6.7.
    assert http_date(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"


@pytest.mark.parametrize("timestamp", [0, 951782400, 1709164799.9, 4102444799])
def test_http_date_agrees_with_the_standard_library(timestamp: float) -> None:
    assert http_date(timestamp).decode() == formatdate(int(timestamp), usegmt=True)


def test_every_day_and_month_has_its_name() -> None:
    for day in range(366):
        timestamp = day * 86_400 + 12 * 3600
        assert http_date(timestamp).decode() == formatdate(timestamp, usegmt=True)


def test_status_is_an_int_with_a_reason() -> None:
    assert Status.NOT_FOUND + 0 == 404
    assert {status.value: status for status in Status}[404] is Status.NOT_FOUND
    assert Status.NOT_FOUND.reason == "Not Found"
    assert f"{Status.OK:d}" == "200"


def test_status_has_every_code_of_the_standard_library() -> None:
    ours = {status.value for status in Status}
    # 418 is reserved (RFC 9110, 15.5.19), 510 obsoleted (RFC 2774 is historic).
    assert {status.value for status in HTTPStatus} - ours <= {418, 510}


def test_reason_phrase_of_a_code_that_nobody_registered() -> None:
    assert reason_phrase(200) == "OK"
    assert reason_phrase(299) == ""


class Base:
    pass


class Derived(Base):
    pass


def test_state_holds_one_value_per_type() -> None:
    state = TypeMap()
    assert state.insert("a") is None
    assert state.insert("b") == "a"
    assert state.insert(1) is None
    assert len(state) == 2
    assert state.get(str) == "b"
    assert str in state
    assert state.take(str) == "b"
    assert state.take(str) is None
    assert state.get(str) is None
    assert str not in state
    assert state.get(int) == 1


def test_state_is_keyed_by_the_exact_type() -> None:
    state = TypeMap()
    state.insert(Derived())
    assert state.get(Base) is None
    assert state.insert(True) is None
    assert state.get(int) is None


def test_state_repr_names_the_types() -> None:
    state = TypeMap()
    assert repr(state) == "<TypeMap empty>"
    state.insert(1)
    state.insert("a")
    assert repr(state) == "<TypeMap int, str>"
