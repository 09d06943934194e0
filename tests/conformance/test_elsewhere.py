"""What can be told without the corpora, by connections of our own."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.conformance._cases import load_cases, load_differences, load_reasons
from tests.conformance._live import read_in_memory, read_over_tcp
from tests.conformance._page import Page, reasons_list
from tests.conformance._reading import Reading, Seen, read_with_codec
from tests.conformance.conftest import find_corpora
from tests.wire import chunked, request

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from pathlib import Path

    from tests.conformance._live import Run

GET = Seen(method="GET", target="/?a=b", version="1.1", is_whole=True)
PUT = Seen(method="PUT", target="/", version="1.1", body=b"hello", is_whole=True)
BEGUN = Seen(method="PUT", target="/", version="1.1", body=b"hel")
REFUSED = Seen(method="PUT", target="/", version="1.1")
UPLOAD = request(method="PUT", body=b"hello")
CHUNKS = request("/", "Transfer-Encoding: chunked", method="PUT")

# One connection for each thing that can become of one.
OURS: dict[str, tuple[bytes, Reading]] = {
    "nothing": (b"", Reading()),
    "an empty line": (b"\r\n", Reading()),
    "get": (request("/?a=b"), Reading(requests=[GET])),
    "pipelined": (request("/?a=b") + UPLOAD, Reading(requests=[GET, PUT])),
    "chunked": (CHUNKS + chunked(b"he", b"llo"), Reading(requests=[PUT])),
    "half a head": (UPLOAD[:20], Reading(ending="incomplete")),
    "half a body": (UPLOAD[:-2], Reading(requests=[BEGUN], ending="incomplete")),
    "half a chunk": (CHUNKS + b"5\r\nhel", Reading(requests=[BEGUN], ending="incomplete")),
    "close": (
        request("/?a=b", "Connection: close") + b"noise",
        Reading(requests=[GET], ending="closed"),
    ),
    "upgrade": (
        request("/?a=b", "Connection: upgrade", "Upgrade: x") + b"noise",
        Reading(requests=[GET], ending="closed"),
    ),
    "connect": (
        request("h:1", method="CONNECT") + b"noise",
        Reading(
            requests=[Seen(method="CONNECT", target="h:1", version="1.1", is_whole=True)],
            ending="closed",
        ),
    ),
    "bad head": (b"GET /\r\n\r\n" + request(), Reading(ending=400)),
    "bad second head": (request("/?a=b") + b"\x00", Reading(requests=[GET], ending=400)),
    "bad chunk": (CHUNKS + b"3\r\nhello\r\n", Reading(requests=[REFUSED], ending=400)),
    "bad end of a chunk": (
        CHUNKS + b"5\r\nhello--0\r\n\r\n",
        Reading(requests=[REFUSED], ending=400),
    ),
    "too long": (request("/" + "a" * 10_000), Reading(ending=414)),
    "unknown version": (request(version="9.9"), Reading(ending=505)),
}
INPUTS = {name: data for name, (data, _) in OURS.items()}


@pytest.mark.parametrize("name", OURS)
def test_the_codec_reads_our_own(name: str) -> None:
    data, expected = OURS[name]
    assert read_with_codec([data]) == expected
    assert read_with_codec(data[at : at + 1] for at in range(len(data))) == expected


@pytest.mark.parametrize(
    "read",
    [
        # Descriptors are counted, of which the poller takes one when it is first used.
        pytest.param(read_over_tcp, id="tcp", marks=pytest.mark.needs_trials),
        pytest.param(
            partial(read_over_tcp, bytewise=True),
            id="tcp-bytewise",
            marks=pytest.mark.needs_trials,
        ),
        pytest.param(read_in_memory, id="memory"),
    ],
)
async def test_cn_14_a_server_reads_our_own(
    read: Callable[[Mapping[str, bytes]], Awaitable[Run]],
) -> None:
    run = await read(INPUTS)
    expected = {name: reading for name, (_, reading) in OURS.items()}
    if read is not read_in_memory:
        # A client gets no answer, whether a request has begun or not.
        for reading in run.readings.values():
            assert reading.ending != "incomplete"
        expected = {
            name: Reading(requests=each.requests, ending="idle")
            if each.ending == "incomplete"
            else each
            for name, each in expected.items()
        }
    assert run.readings == expected
    assert (run.last_status, run.guards, run.descriptors) == (200, 0, 0)


def test_the_corpora_are_here_or_elsewhere(pytestconfig: pytest.Config) -> None:
    corpora = find_corpora(pytestconfig)
    if corpora is None:
        # They are not part of this project; see the docstring of this folder.
        assert load_cases(corpora) == []
    else:
        assert load_cases(corpora), f"{corpora} has no folder with a cases.jsonl"


def test_every_difference_has_its_section() -> None:
    for reason in load_differences().values():
        assert "RFC 91" in reason


def test_the_page_shows_every_reason(page: Page) -> None:
    page.check("reasons", reasons_list(load_reasons()))


def test_a_page_is_checked_and_rewritten(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    path.write_text("a\n<!-- generated: x -->\nold\n<!-- end -->\nb\n", encoding="utf-8")
    with pytest.raises(AssertionError, match="out of date"):
        Page(rewrites=False, path=path).check("x", "new\nlines")
    with pytest.raises(AssertionError, match="no part y"):
        Page(rewrites=True, path=path).check("y", "new")
    Page(rewrites=True, path=path).check("x", "new\nlines")
    Page(rewrites=False, path=path).check("x", "new\nlines")
    expected = "a\n<!-- generated: x -->\nnew\nlines\n<!-- end -->\nb\n"
    assert path.read_text(encoding="utf-8") == expected
