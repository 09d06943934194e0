from __future__ import annotations

from array import array
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trillium_trio.http import Body, ReceivesSome

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable


async def pieces() -> AsyncIterator[bytes]:
    yield b"piece"


class Stream:
    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return b""


@pytest.mark.parametrize(
    ("value", "data", "is_text"),
    [
        (b"abc", b"abc", False),
        (bytearray(b"abc"), b"abc", False),
        (memoryview(b"abcd")[::2], b"ac", False),
        ("\u20ac", b"\xe2\x82\xac", True),
        ("", b"", True),
        (None, b"", False),
    ],
)
def test_values_in_memory(value: Any, data: bytes, is_text: bool) -> None:
    body = Body.of(value)
    assert body.data == data
    assert type(body.data) is bytes
    assert body.length == len(data)
    assert body.source is None
    assert body.is_text is is_text


WIDE = array("I", [1, 2, 3])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(memoryview(WIDE), id="wide"),
        pytest.param(memoryview(WIDE)[::2], id="with-gaps"),
        pytest.param(memoryview(bytes(24)).cast("I", (2, 3)), id="of-two-dimensions"),
        pytest.param(memoryview(b"abc")[::-1], id="backwards"),
        pytest.param(memoryview(b""), id="empty"),
    ],
)
@pytest.mark.parametrize("make", [Body, Body.of])
def test_cn_21_a_view_is_as_long_as_its_bytes(
    value: memoryview, make: Callable[[Any], Body]
) -> None:
    body = make(value)
    assert body.data == value.tobytes()
    assert type(body.data) is bytes
    assert body.length == value.nbytes


@pytest.mark.parametrize("make", [Body, Body.of])
def test_cn_20_a_body_in_memory_does_not_change(make: Callable[[Any], Body]) -> None:
    buffer = bytearray(b"abc")
    bodies = [make(buffer), make(memoryview(buffer))]
    buffer[:] = b"xyz"
    assert [body.data for body in bodies] == [b"abc", b"abc"]


@pytest.mark.parametrize("value", [1, ["x"], 2.5])
def test_cn_20_a_body_is_made_of_bytes_or_text(value: Any) -> None:
    with pytest.raises(TypeError, match=f"not {type(value).__name__}"):
        Body(value)


def test_a_body_stays_itself() -> None:
    body = Body("x")
    assert Body.of(body) is body
    assert Body.of(None) is Body.empty
    assert Body().data == Body.empty.data == b""


def test_streams_are_kept_unread() -> None:
    stream = Stream()
    assert isinstance(stream, ReceivesSome)
    for source in (stream, pieces()):
        body = Body.of(source)
        assert body.source is source
        assert (body.data, body.length, body.is_text) == (None, None, False)
    assert Body.streaming(stream, 7).length == 7
    assert Body.streaming(stream).length is None
    with pytest.raises(ValueError, match="-1"):
        Body.streaming(stream, -1)


def test_a_file_is_a_path_until_it_is_sent(tmp_path: Path) -> None:
    body = Body.from_path(str(tmp_path / "absent"))
    assert body.source == tmp_path / "absent"
    assert (body.data, body.length) == (None, None)


@pytest.mark.parametrize("value", [1, ["x"], object(), Path("x")])
def test_what_cannot_be_sent_is_named(value: Any) -> None:
    with pytest.raises(TypeError, match=type(value).__name__):
        Body.of(value)


def test_repr_shows_kind_and_length() -> None:
    assert repr(Body("ab")) == "<Body text, 2 bytes>"
    assert repr(Body(b"ab")) == "<Body bytes, 2 bytes>"
    assert repr(Body.streaming(Stream())) == "<Body stream Stream, length unknown>"
    assert repr(Body.streaming(Stream(), 3)) == "<Body stream Stream, 3 bytes>"
    assert repr(Body.from_path("a/b")) == f"<Body file {str(Path('a/b'))!r}, length unknown>"


@pytest.mark.parametrize("length", [5.0, "5", object()])
def test_cn_27_a_length_is_a_whole_number(length: Any) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b""

    with pytest.raises(TypeError):
        Body.streaming(pieces(), length=length)


def test_cn_27_a_subclass_of_str_is_sent_as_its_text() -> None:
    class Changing(str):
        __slots__ = ()

        def encode(self, encoding: str = "", errors: str = "") -> Any:
            return "not even bytes"

    assert Body(Changing("text")).data == b"text"


async def unchanged(pieces: AsyncIterable[bytes | memoryview]) -> AsyncGenerator[bytes, None]:
    async for piece in pieces:
        yield bytes(piece)


def test_a_body_through_a_function() -> None:
    body = Body.streaming(pieces(), 5).through(unchanged)
    assert (body.data, body.length, body.is_text) == (None, None, False)
    assert repr(body) == "<Body from <Body stream async_generator, 5 bytes>, length unknown>"
    assert repr(body.source) == "<Transformed <Body stream async_generator, 5 bytes>>"


def test_a_body_in_memory_goes_through_no_function() -> None:
    with pytest.raises(ValueError, match="change its data"):
        Body(b"abc").through(unchanged)
