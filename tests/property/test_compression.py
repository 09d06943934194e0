"""Compression: whatever a body is, and however it comes, a client decodes the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from hypothesis import given
from hypothesis import strategies as st

from tests.codings import CODINGS, Decoder, decode
from trillium_trio.handlers import Compression
from trillium_trio.handlers.compression._codings import LEVELS, load_coding
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    import trillium_trio as tt
    from trillium_trio.handlers.compression._codings import Coding
    from trillium_trio.testing import TestResponse

# Bytes that repeat up to a length: small to show, and some are longer than what is coded inline.
pieces = st.tuples(
    st.binary(min_size=1, max_size=300), st.integers(0, 300) | st.integers(0, 70_000)
)
codings = st.sampled_from(CODINGS).flatmap(
    # The upper levels of two codings take a hundred times as long.
    lambda name: st.sampled_from(LEVELS[name][:10]).map(lambda level: load_coding(name, level))
)


def made(piece: tuple[bytes, int]) -> bytes:
    unit, size = piece
    return (unit * (size // len(unit) + 1))[:size]


@given(codings, st.lists(pieces, max_size=8), st.lists(st.integers(1, 50), max_size=50))
def test_what_has_come_of_a_stream_can_be_decoded(
    coding: Coding, given_pieces: list[tuple[bytes, int]], cuts: list[int]
) -> None:
    encode, finish = coding.encoder()
    decoder = Decoder(coding.name)
    for piece in filter(None, map(made, given_pieces)):
        coded, decoded = encode(piece), b""
        # However the network cuts it.
        for size in [*cuts, len(coded)]:
            decoded += decoder.feed(coded[:size])
            coded = coded[size:]
        assert decoded == piece
        assert not decoder.is_whole
    assert decoder.feed(finish()) == b""
    assert decoder.is_whole


@given(codings, pieces)
def test_a_whole_body_is_decoded_alike(coding: Coding, piece: tuple[bytes, int]) -> None:
    data = made(piece)
    assert decode(coding.name, coding.compress(data)) == data


@given(st.sampled_from(CODINGS), st.lists(pieces, max_size=5), st.booleans())
def test_through_a_server(
    coding: str, given_pieces: list[tuple[bytes, int]], is_stream: bool
) -> None:
    whole = b"".join(map(made, given_pieces))

    async def source() -> AsyncIterator[bytes]:
        for piece in given_pieces:
            yield made(piece)

    async def answer(conn: tt.Conn) -> tt.Conn:
        return conn.ok(source() if is_stream else whole)

    async def ask() -> TestResponse:
        async with TestServer((Compression(), answer)) as app:
            return await app.get("/", headers={"accept-encoding": coding})

    response = trio.run(ask)
    if "content-encoding" in response.headers:
        assert decode(coding, response.body) == whole
    else:
        assert not is_stream
        assert response.body == whole
