"""Request heads, and their targets and fields."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.fuzz._splits import Pieces, check_error, check_splits
from tests.property.test_codec_heads import as_h11_reads, as_we_read, facts
from trillium_trio.codec import HeadLimits, _head, _irregular, read_head
from trillium_trio.exceptions import HttpError
from trillium_trio.http import Headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trillium_trio.http import RequestHead

# The default ones are out of the reach of small inputs.
LIMITS = (HeadLimits(), HeadLimits(max_head_bytes=80, max_headers=3, max_target_bytes=10))


def heads(data: bytes) -> None:
    """Read what may be a request head."""
    for limits in LIMITS:

        def read(pieces: Pieces, limits: HeadLimits = limits) -> tuple[object, int]:
            return _read(pieces, limits)

        outcome = check_splits(data, read)
        if outcome is None:
            # Two more: the empty line in front is not counted.
            assert len(data) <= limits.max_head_bytes + 2
    parsed = _parse(data)
    if parsed is not None:
        head, used = parsed
        _check_framing(head)
        block = data[:used].removeprefix(b"\r\n")
        assert as_we_read(head) == as_h11_reads(block)
        assert facts(head) == facts(_irregular.read_irregular(block)), "the lanes differ"


def targets(data: bytes) -> None:
    """Read a method and a target, or a target alone: what the parts of an accepted one are."""
    data, *_ = data.split(b"\r\n", 1)
    line = data if b" " in data else b"GET " + data
    parsed = _parse(line + b" HTTP/1.1\r\nHost: h\r\n\r\n")
    if parsed is None:
        return
    head, _ = parsed
    target, path, query = head.target, head.path, head.querystring
    assert target.isascii()
    assert target.isprintable()
    assert not set(target) & set(" #")
    assert "\\" not in path
    assert "?" not in path
    if head.method == "CONNECT":
        assert (head.host, path, query) == (target, "", "")
    elif target == "*":
        assert (head.host, path, query) == ("h", "*", "")
    elif target.startswith("/"):
        assert head.host == "h"
        assert target in {f"{path}?{query}", path}
    else:
        url = urlsplit(target)
        assert url.scheme in {"http", "https"}
        assert (url.netloc, url.query) == (head.host, query)
        assert url.username is None
        is_server = head.method == "OPTIONS" and "?" not in target
        assert path == (url.path or ("*" if is_server else "/"))


def fields(data: bytes) -> None:
    """Read field lines: what was read can be looked up, copied, and passed on."""
    parsed = _parse(b"GET / HTTP/1.1\r\nHost: h\r\n" + data + b"\r\n\r\n")
    if parsed is None:
        return
    head, used = parsed
    headers = head.headers
    assert len(headers) == len(headers.items())
    # Copied before it is split and after.
    assert headers.copy() == headers
    again = Headers(headers.items())
    assert again == headers
    rendered = Headers.from_block(again.render())
    assert rendered.raw == headers.raw
    for name, value in headers.items():
        assert name in headers
        assert value in headers.get_all(name.swapcase())
        assert value == value.strip(" \t")
    again.remove(headers.items()[-1][0])
    assert headers.items()[-1][0] not in again
    assert used <= len(data) + 80


def _parse(data: bytes) -> tuple[RequestHead, int] | None:
    try:
        return read_head(data, HeadLimits())
    except HttpError as error:
        check_error(error)
        return None


def _read(pieces: Pieces, limits: HeadLimits) -> tuple[object, int]:
    buffer = bytearray()
    with _counting() as calls:
        for piece in pieces:
            seen = len(buffer)
            buffer += piece
            try:
                result = read_head(buffer, limits, seen=seen)
            except HttpError as error:
                return check_error(error), len(buffer)
            finally:
                assert calls.count("read_regular") <= 1, "a head is parsed once, when it is whole"
                assert calls.count("_ask_h11") <= 1
            if result is not None:
                return (facts(result[0]), result[1]), len(buffer)
    return None, len(buffer)


@contextmanager
def _counting() -> Iterator[list[str]]:
    """Note each attempt to parse a whole head."""
    calls: list[str] = []

    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((_head, "read_regular"), (_irregular, "_ask_h11")):
            patch.setattr(module, name, _noting(calls, name, getattr(module, name)))
        yield calls


def _noting(
    calls: list[str], name: str, fn: Callable[..., RequestHead | None]
) -> Callable[..., RequestHead | None]:
    def wrapper(*args: object) -> RequestHead | None:
        calls.append(name)
        return fn(*args)

    return wrapper


def _check_framing(head: RequestHead) -> None:
    names = [name.lower() for name, _ in head.headers.items()]
    assert names.count("host") == 1 or (head.version == "1.0" and "host" not in names)
    assert names.count("content-length") == (head.content_length is not None)
    assert ("transfer-encoding" in names) == head.is_chunked
    assert not (head.is_chunked and head.content_length is not None)
    assert not (head.method == "CONNECT" and (head.is_chunked or head.content_length))
