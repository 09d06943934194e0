"""The targets can fail: each notices a codec that is wrong in the way that it is about."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING
from urllib.parse import unquote

import h11
import pytest

from tests.fuzz._splits import check_splits
from tests.fuzz._targets import CORPUS, TARGETS
from trillium_trio.codec import ChunkedReader, _head
from trillium_trio.codec._lane import read_regular
from trillium_trio.driver import _handshake
from trillium_trio.handlers.forms import PartReader
from trillium_trio.handlers.router import _table
from trillium_trio.http import _headers
from trillium_trio.transport import TlsTransport

if TYPE_CHECKING:
    from tests.fuzz._splits import Pieces
    from trillium_trio.http import RequestHead

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"


@pytest.mark.parametrize("fact", ["keep_alive", "expects_continue", "wants_upgrade"])
def test_heads_notices_lanes_that_differ(fact: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: object) -> RequestHead | None:
        head = read_regular(*args)  # type: ignore[arg-type]  # whatever it is called with
        if head is not None:
            setattr(head, fact, not getattr(head, fact))
        return head

    monkeypatch.setattr(_head, "read_regular", wrong)
    with pytest.raises(AssertionError, match="the lanes differ"):
        TARGETS["heads"](GET)


def test_heads_notices_what_is_kept_without_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_head, "_refuse_early", lambda *_: None)
    with pytest.raises(AssertionError):
        TARGETS["heads"](b"GET /" + b"x" * 100)


def test_fields_notices_what_cannot_be_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_headers, "_VALUE", _headers._NAME)
    with pytest.raises(ValueError, match="value of header"):
        TARGETS["fields"](b"A: b c")


def test_chunks_notices_what_h11_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ChunkedReader, "_read_data_end", _without_looking)
    with pytest.raises(h11.RemoteProtocolError):
        TARGETS["chunks"](b"1\r\nxyz0\r\n\r\n")


def _without_looking(self: ChunkedReader, data: bytes, at: int) -> int | None:
    if len(data) < at + 2:
        return None
    self._state = type(self._state).SIZE
    return at + 2


def test_responses_notices_a_field_that_was_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_headers, "_checked", lambda name, value: (name.lower(), name, value))
    with pytest.raises(AssertionError):
        TARGETS["responses"](b"GET 1.1 200 known open\nA: b\r\n\tc\nB\r\nC: d\n\nbody")


def test_records_notices_a_handshake_that_fails_with_a_traceback(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def broken(_: object) -> None:
        raise AttributeError

    monkeypatch.setattr(_handshake, "close_politely", broken)
    with pytest.raises(AssertionError):
        TARGETS["records"](b"\0\x0b\xff\0")


def test_records_notices_a_descriptor_that_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    async def keep(self: TlsTransport) -> None:
        kept.append(os.dup(0))
        await close(self)

    kept: list[int] = []
    close = TlsTransport.aclose
    monkeypatch.setattr(TlsTransport, "aclose", keep)
    with pytest.raises(AssertionError):
        TARGETS["records"](b"\0")
    for fd in kept:
        os.close(fd)


def test_splits_that_read_differently_are_noticed() -> None:
    with pytest.raises(AssertionError):
        check_splits(b"GET /", lambda pieces: (len(pieces), 1))


def test_an_error_that_comes_late_is_noticed() -> None:
    def read(pieces: Pieces) -> tuple[object, int]:
        return "refused", 1 if max(map(len, pieces)) == 1 else 5

    with pytest.raises(AssertionError):
        check_splits(b"GET /", read)


def test_routes_notices_a_path_that_is_decoded_before_it_is_split(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_table, "decode_segments", lambda path: unquote(path)[1:].split("/"))
    with pytest.raises(AssertionError):
        TARGETS["routes"](b"GET /a%2Fb\nGET /a/b\nGET /{x}")


def test_forms_notices_a_first_boundary_that_is_judged_by_its_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = (CORPUS / "forms" / "junk").read_bytes()
    TARGETS["forms"](body)
    monkeypatch.setattr(PartReader, "_from_first_boundary", lambda _, chunk: chunk)
    with pytest.raises(AssertionError):
        TARGETS["forms"](body)
