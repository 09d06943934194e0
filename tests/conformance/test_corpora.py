"""Each recorded connection, whole and byte by byte, held against its project's verdict."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from tests.conformance._cases import Case, load_cases, load_differences
from tests.conformance._live import Run, read_in_memory, read_over_tcp
from tests.conformance._page import corpora_table
from tests.conformance._reading import Reading, read_with_codec
from tests.conformance.conftest import find_corpora

if TYPE_CHECKING:
    from tests.conformance._page import Page


def inputs_of(session: pytest.Session, test: str) -> dict[str, bytes]:
    """Return the bytes of the cases that a test is to run with in this session."""
    calls = [
        item.callspec
        for item in session.items
        if isinstance(item, pytest.Function) and item.originalname == test
    ]
    cases = (case for call in calls for case in call.params.values() if isinstance(case, Case))
    return {case.id: case.data for case in cases}


@pytest.fixture(scope="session")
def over_tcp(request: pytest.FixtureRequest) -> Run:
    """All cases over loopback TCP, each in one piece. In one run: a server each would be slow."""
    return trio.run(read_over_tcp, inputs_of(request.session, "test_case_over_tcp"))


@pytest.fixture(scope="session")
def over_tcp_bytewise(request: pytest.FixtureRequest) -> Run:
    inputs = inputs_of(request.session, "test_accepted_case_over_tcp_bytewise")
    return trio.run(partial(read_over_tcp, inputs, bytewise=True))


@pytest.fixture(scope="session")
def in_memory(request: pytest.FixtureRequest) -> Run:
    return trio.run(read_in_memory, inputs_of(request.session, "test_case_in_memory"))


def codec_reading(case: Case) -> Reading:
    return read_with_codec([case.data])


def test_case(case: Case) -> None:
    whole = codec_reading(case)
    assert read_with_codec(case.data[at : at + 1] for at in range(len(case.data))) == whole
    if case.difference is None:
        assert case.agrees(whole), f"expected {case.expect}: {whole}"
    else:
        assert not case.agrees(whole), "strike this case from differences.json"


def reading_by_peer(case: Case) -> Reading:
    """Return the codec's reading, as far as a client can tell: it gets no answer either way."""
    reading = codec_reading(case)
    if reading.ending == "incomplete":
        reading.ending = "idle"
    return reading


def test_case_over_tcp(case: Case, over_tcp: Run) -> None:
    assert over_tcp.readings[case.id] == reading_by_peer(case)


def test_accepted_case_over_tcp_bytewise(accepted_case: Case, over_tcp_bytewise: Run) -> None:
    assert over_tcp_bytewise.readings[accepted_case.id] == reading_by_peer(accepted_case)


def test_case_in_memory(case: Case, in_memory: Run) -> None:
    assert in_memory.readings[case.id] == codec_reading(case)


@pytest.mark.parametrize("run", ["over_tcp", "over_tcp_bytewise", "in_memory"])
def test_cn_14_the_server_is_as_before(run: str, request: pytest.FixtureRequest) -> None:
    result: Run = request.getfixturevalue(run)
    assert (result.last_status, result.guards, result.descriptors) == (200, 0, 0)


def test_the_page_shows_the_corpora(page: Page, pytestconfig: pytest.Config) -> None:
    page.check("corpora", corpora_table(load_cases(find_corpora(pytestconfig))))


def test_every_difference_is_one_of_a_case(pytestconfig: pytest.Config) -> None:
    names = {case.id for case in load_cases(find_corpora(pytestconfig))}
    assert load_differences().keys() <= names
