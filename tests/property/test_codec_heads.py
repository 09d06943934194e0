"""Heads: splits do not matter, and what we take, h11 takes alike."""

from __future__ import annotations

import h11
from hypothesis import given
from hypothesis import strategies as st

from tests.property._messages import cut, damaged, odd_heads, regular_heads
from trillium_trio.codec import HeadLimits, read_head
from trillium_trio.codec._irregular import read_irregular
from trillium_trio.codec._lane import read_regular
from trillium_trio.exceptions import HttpError
from trillium_trio.http import RequestHead

HEADS = damaged(regular_heads() | odd_heads())
LIMITS = st.builds(
    HeadLimits,
    max_head_bytes=st.sampled_from([20, 40, 60, 16_384]),
    max_headers=st.sampled_from([1, 2, 3, 100]),
    max_target_bytes=st.sampled_from([1, 3, 8192]),
)


def facts(head: RequestHead) -> list[object]:
    return [getattr(head, name.lstrip("_")) for name in RequestHead.__slots__]


def outcome(pieces: list[bytes], limits: HeadLimits) -> object:
    """Read a growing buffer; return what came of it, in a form that compares."""
    buffer = bytearray()
    for piece in pieces:
        seen = len(buffer)
        buffer += piece
        again = step(buffer, limits, 0)
        assert step(buffer, limits, seen) == again
        if again is not None:
            return again
    return None


def step(buffer: bytearray, limits: HeadLimits, seen: int) -> object:
    try:
        result = read_head(buffer, limits, seen=seen)
    except HttpError as error:
        return type(error), str(error)
    return None if result is None else (facts(result[0]), result[1])


def as_h11_reads(data: bytes) -> tuple[str, str, str, list[tuple[bytes, bytes]]]:
    """Let h11 read a complete head, which it has to accept."""
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    event = connection.next_event()
    assert isinstance(event, h11.Request)
    fields = [(name, value) for name, value in event.headers.raw_items()]
    return event.method.decode(), event.target.decode(), event.http_version.decode(), fields


def as_we_read(head: RequestHead) -> tuple[str, str, str, list[tuple[bytes, bytes]]]:
    # h11 lowers the value of Transfer-Encoding, a difference of no meaning.
    fields = [
        (name, value.lower() if name.lower() == b"transfer-encoding" else value)
        for name, value in head.headers.raw
    ]
    return head.method, head.target, head.version, fields


@given(st.data(), HEADS, LIMITS)
def test_any_split_reads_the_same(data: st.DataObject, head: bytes, limits: HeadLimits) -> None:
    whole = outcome([head], limits)
    assert outcome(data.draw(cut(head)), limits) == whole
    bytewise = [head[at : at + 1] for at in range(len(head))]
    assert outcome(bytewise, limits) == whole


@given(damaged(regular_heads()))
def test_what_the_lane_takes_h11_takes_alike(data: bytes) -> None:
    head = read_regular(data, 0, len(data), 8192, 100)
    if head is not None:
        assert as_we_read(head) == as_h11_reads(data)


@given(damaged(regular_heads()))
def test_what_the_lane_takes_the_other_lane_takes_alike(data: bytes) -> None:
    head = read_regular(data, 0, len(data), 8192, 100)
    if head is not None:
        assert facts(head) == facts(read_irregular(data))


@given(HEADS)
def test_what_we_take_h11_takes_alike(data: bytes) -> None:
    try:
        result = read_head(data, HeadLimits())
    except HttpError:
        return
    if result is not None:
        head, used = result
        assert as_we_read(head) == as_h11_reads(data[:used].removeprefix(b"\r\n"))


@given(HEADS)
def test_framing_is_never_in_doubt(data: bytes) -> None:
    try:
        result = read_head(data, HeadLimits())
    except HttpError:
        return
    if result is not None:
        head, _ = result
        fields = [name.lower() for name, _ in head.headers.items()]
        assert fields.count("host") == 1 or (head.version == "1.0" and "host" not in fields)
        assert fields.count("content-length") == (head.content_length is not None)
        assert fields.count("transfer-encoding") == head.is_chunked
        assert not (head.is_chunked and head.content_length is not None)


@given(regular_heads())
def test_regular_heads_are_mostly_regular(data: bytes) -> None:
    # So that the properties above say something: without framing fields the lane is left only
    # for obs-text, "#" and "\", and for tabs.
    odd = any(byte in data for byte in b"\t#\\") or not data.isascii()
    framing = (b"transfer-", b"expect", b"connection", b"content-length", b" folded", b"Host : ")
    if (
        not odd
        and data.lower().count(b"\r\nhost:") == 1
        and not any(name.lower() in data.lower() for name in framing)
    ):
        assert read_regular(data, 0, len(data), 8192, 100) is not None
