"""The short lane of `MessageCodec` reads and writes what the library does, however bytes come."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from tests.spec._websockets import MASK, frame
from trillium_trio.handlers import MessageCodec

# Opcodes that exist and some that do not; sizes around those where a head becomes longer.
OPCODES = st.sampled_from([0, 1, 1, 1, 2, 2, 3, 8, 9, 10, 11])
PAYLOADS = st.one_of(
    st.binary(max_size=20),
    st.text(max_size=20).map(str.encode),
    st.sampled_from([0, 124, 125, 126, 127, 999, 1000, 1001]).map(lambda size: b"x" * size),
    st.integers(900, 5000).map(lambda code: code.to_bytes(2, "big")),
)
FRAMES = st.builds(
    frame, OPCODES, PAYLOADS, fin=st.sampled_from([True, True, False]), rsv1=st.just(False)
)
# Sizes that are written longer than they need be, frames without a mask, and anything else.
ODD = st.one_of(
    st.integers(0, 130).map(
        lambda size: b"\x81\xfe" + size.to_bytes(2, "big") + MASK + b"y" * size
    ),
    st.integers(0, 10).map(lambda size: b"\x82\xff" + size.to_bytes(8, "big") + MASK + b"y" * size),
    st.integers(0, 125).map(lambda size: bytes([0x81, size]) + b"z" * size),
    st.binary(max_size=12),
)
STREAMS = st.lists(st.one_of(FRAMES, FRAMES, FRAMES, ODD), max_size=8).map(b"".join)


def read(codec: MessageCodec, pieces: list[bytes]) -> list[object]:
    """Return all that a codec makes of bytes, in order."""
    found: list[object] = []
    for piece in pieces:
        codec.feed(piece)
        while not codec.is_hungry and not codec.is_over:
            found.append(codec.next_message())
        found.append(codec.take())
    found += [codec.is_open, codec.is_over, codec.received_close, codec.sent_close]
    return [each for each in found if each is not None and each != b""]


def new(*, has_lane: bool, limit: int = 1000) -> MessageCodec:
    codec = MessageCodec(max_message_bytes=limit, max_fragments=4)
    if not has_lane:
        codec._lane_bytes = -1
        codec._writes_plain = False
    return codec


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[a:b] for a, b in pairwise(at)]


@given(STREAMS, st.lists(st.integers(0, 5000), max_size=6))
def test_the_lane_reads_as_the_library_does(data: bytes, cuts: list[int]) -> None:
    pieces = split(data, cuts)
    assert read(new(has_lane=True), pieces) == read(new(has_lane=False), pieces)


@given(STREAMS, st.lists(st.integers(0, 5000), max_size=6))
def test_it_does_not_matter_how_bytes_come(data: bytes, cuts: list[int]) -> None:
    def joined(found: list[object]) -> object:
        # Answers are taken at other moments; what they are, and what is read, is the same.
        writes = b"".join(each for each in found if isinstance(each, bytes))
        return [each for each in found if not isinstance(each, bytes)], len(writes)

    assert joined(read(new(has_lane=True), split(data, cuts))) == joined(
        read(new(has_lane=True), [data])
    )


@given(
    st.one_of(
        st.text(max_size=30),
        st.binary(max_size=30),
        st.sampled_from([124, 125, 126, 127, 65_534, 65_535, 65_536]).map(lambda size: "x" * size),
    )
)
def test_the_lane_writes_as_the_library_does(message: str | bytes) -> None:
    written = []
    for has_lane in (True, False):
        codec = new(has_lane=has_lane)
        codec.send(message)
        written.append(codec.take())
    assert written[0] == written[1]
    client = MessageCodec(max_message_bytes=1 << 20, max_fragments=1, is_client=True)
    client.feed(written[0])
    assert client.next_message() == message
