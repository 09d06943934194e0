"""Readers of request bodies: strict, bounded, and independent of how the input is split."""

from __future__ import annotations

import re
from enum import Enum, auto
from typing import ClassVar, final

from ..exceptions import BadRequest, HttpError
from ..http import Headers
from ._lines import check_field, earliest_fault

__all__ = ["FORBIDDEN_TRAILERS", "ChunkedReader", "LengthReader"]

_TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
# RFC 9110, 5.6.4: quoted-string.
_QUOTED = rb'"(?:[\t\x20!#-\[\]-~\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'
# RFC 9112, 7.1: 16 digits are 64 bits. Extensions are checked and ignored (7.1.1). White space
# around ";" and "=" must be accepted. At the end of the line it is refused: the grammar does not
# allow it, and parsers disagree.
_SIZE_LINE = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)"
    rb"(?:[ \t]*+;[ \t]*+"
    + _TOKEN
    + rb"(?:[ \t]*+=[ \t]*+(?:"
    + _TOKEN
    + rb"|"
    + _QUOTED
    + rb"))?)*+"
    rb"\r\n"
)

# Chunks of one to fifteen bytes, as a peer sends to keep us busy. The patterns find a run of them,
# and then split it, without Python code per chunk.
_SMALL_CHUNK = rb"(?:%b)\r\n" % b"|".join(
    rb"[%x%X]\r\n.{%d}" % (size, size, size) for size in range(1, 16)
)
_SMALL = re.compile(_SMALL_CHUNK, re.DOTALL)
_SMALL_RUN = re.compile(rb"(?:%b)++" % _SMALL_CHUNK, re.DOTALL)
_MIN_CHUNK_BYTES = len(b"1\r\nx\r\n")

# RFC 9110, 6.5.1: fields that frame, route, authenticate, modify the request, or describe the
# content come too late in a trailer. Acting on one, or merging it, allows forged requests.
FORBIDDEN_TRAILERS = frozenset(
    (
        *("transfer-encoding", "content-length", "trailer", "te", "host"),
        *("connection", "keep-alive", "proxy-connection", "upgrade"),
        *("authorization", "proxy-authorization", "www-authenticate", "proxy-authenticate"),
        *("cookie", "set-cookie", "cache-control", "pragma", "expect", "max-forwards", "range"),
        *("if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "if-range"),
        *("age", "date", "expires", "location", "retry-after", "vary", "warning"),
        *("content-encoding", "content-type", "content-range", "content-location"),
    )
)
"""Lower-case names of fields that no trailer may have."""
# Those that frame or route the message, or control the connection. A request with one is refused:
# a server that merges it reads a different message than we do. The others are dropped (RFC 9112,
# 7.1.2). In a response, each forbidden field is an error of the handler.
_REFUSED_TRAILERS = frozenset(
    (
        *("transfer-encoding", "content-length", "host"),
        *("connection", "keep-alive", "proxy-connection", "upgrade"),
    )
)


def _check_trailer(at: int, line: bytes) -> None:
    """Check a line of a trailer section.

    Args:
      at: Its index in the section. At 0 is the line break of the last chunk's size.
      line: Its bytes, without its line break.

    Raises:
      BadRequest: It is not a field, or it frames or routes the message.
    """
    if at == 0:
        return
    check_field(line)
    name = line.partition(b":")[0].decode("ascii").lower()
    if name in _REFUSED_TRAILERS:
        raise BadRequest(f"{name} in a trailer (RFC 9110, 6.5.1)")


@final
class LengthReader:
    """Reads a body of known length.

    Args:
      length: Bytes of body.
    """

    __slots__ = ("remaining",)

    before_fault: ClassVar[bytes] = b""
    """Always empty: `feed` never raises."""

    step_chunks: ClassVar[int] = 0
    """Always 0: there are none."""

    is_paused: ClassVar[bool] = False
    """Always False: `feed` reads all its input."""

    def __init__(self, length: int) -> None:
        self.remaining: int = length

    @property
    def is_complete(self) -> bool:
        """Whether the whole body has been read."""
        return self.remaining == 0

    @property
    def trailers(self) -> Headers:
        """Always empty: only a chunked body has trailers."""
        return Headers()

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read received data.

        Returns:
          Bytes of the body, and the bytes after its end. If all of ``data`` is body, it is returned
          without a copy.
        """
        remaining = self.remaining
        if len(data) <= remaining:
            self.remaining = remaining - len(data)
            return data, b""
        self.remaining = 0
        return data[:remaining], data[remaining:]

    def __repr__(self) -> str:
        return f"<LengthReader {self.remaining} bytes to come>"


class _State(Enum):
    SIZE = auto()
    """Before a chunk: its size line comes next."""
    DATA = auto()
    """Within a chunk."""
    DATA_END = auto()
    """After a chunk's last byte: CR LF comes next."""
    TRAILERS = auto()
    """After the last chunk's size: fields or the empty line."""
    COMPLETE = auto()
    """After the message."""


# Bound once: before Python 3.12, looking up a member on its class takes longer than the rest of a
# step.
_SIZE, _DATA, _DATA_END, _TRAILERS, _COMPLETE = _State


@final
class ChunkedReader:
    """Reads a chunked body (RFC 9112, 7.1).

    .. code-block:: text

        SIZE --size > 0--> DATA --all of it--> DATA_END --CR LF--> SIZE
          `--size = 0--> TRAILERS --empty line--> COMPLETE

    Args:
      max_line_bytes: The maximum length of a size line, with its extensions and line break.
      max_extension_bytes: The maximum length of all extensions together.
      max_trailer_bytes: The maximum length of all trailer fields together.
      max_trailers: The maximum number of trailer fields.
      max_step_chunks: How many chunks one `feed` reads. Default: 256, which take about 0.1 ms.
        Prevents: long steps, during which no other connection is served.

    Attributes:
      before_fault: What `feed` had read of the body when it raised. It counts: one of these bytes
        may have exceeded a limit, which is then the earlier error.
      remaining: Bytes to come of the chunk that is being read.
      step_chunks: How many chunks the last `feed` began to read.
      is_paused: The last `feed` stopped after `max_step_chunks` chunks and kept the rest. The next
        one continues with it, even if it gets no data.
    """

    __slots__ = (
        "_extension_bytes",
        "_held",
        "_held_at",
        "_max_extension_bytes",
        "_max_line_bytes",
        "_max_step_chunks",
        "_max_trailer_bytes",
        "_max_trailers",
        "_seen",
        "_state",
        "_trailers",
        "before_fault",
        "is_paused",
        "remaining",
        "step_chunks",
    )

    def __init__(
        self,
        *,
        max_line_bytes: int = 4096,
        max_extension_bytes: int = 16_384,
        max_trailer_bytes: int = 8192,
        max_trailers: int = 100,
        max_step_chunks: int = 256,
    ) -> None:
        self._max_line_bytes = max_line_bytes
        self._max_extension_bytes = max_extension_bytes
        self._max_trailer_bytes = max_trailer_bytes
        self._max_trailers = max_trailers
        self._max_step_chunks = max_step_chunks
        self._state = _SIZE
        # An incomplete line or trailer section, never longer than a limit; or, when paused, the
        # data still to be read, from `_held_at` on: dropping what has been read would copy the rest
        # in each step.
        self._held = b""
        self._held_at = 0
        self._extension_bytes = 0
        # How many bytes of an incomplete trailer section have been checked.
        self._seen = 0
        self._trailers: Headers | None = None
        self.before_fault: bytes = b""
        self.remaining: int = 0
        self.step_chunks: int = 0
        self.is_paused: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether the whole body and its trailers have been read."""
        return self._state is _COMPLETE

    @property
    def trailers(self) -> Headers:
        """The trailer fields; empty until the body is complete."""
        return self._trailers or Headers()

    def feed(self, data: bytes) -> tuple[bytes, bytes]:
        """Read received data, until its end or `is_paused`.

        Returns:
          Bytes of the body, and the bytes after its end; these are empty until it is complete.

        Raises:
          BadRequest: The framing is broken. Answerable; nothing more can be read.
          HeaderFieldsTooLarge: The trailers exceed their limit. The same.
        """
        at = 0
        if self._held:
            if data and self._held_at:
                self._held = self._held[self._held_at :]
            else:
                at = self._held_at
            # If one of the two is empty, this is the other, without a copy.
            data = self._held + data
            self._held, self._held_at = b"", 0
        self.is_paused = False
        pieces: list[bytes] = []
        try:
            at = self._read(data, at, pieces)
        except HttpError:
            self.before_fault = b"".join(pieces)
            raise
        if self._state is _COMPLETE:
            return b"".join(pieces), data[at:]
        if self.is_paused:
            self._held, self._held_at = data, at
        elif at < len(data):
            self._held = data[at:]
        return b"".join(pieces), b""

    def _read(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Read data from an index on; return the index of the first byte that was not read."""
        self.step_chunks = 0
        while at < len(data) and self._state is not _COMPLETE:
            if self._state is _SIZE:
                if self.step_chunks >= self._max_step_chunks:
                    self.is_paused = True
                    break
                end = self._read_chunks(data, at, pieces)
            elif self._state is _DATA:
                end = self._read_data(data, at, pieces)
            elif self._state is _DATA_END:
                end = self._read_data_end(data, at)
            else:
                end = self._read_trailers(data, at)
            if end is None:
                break
            at = end
        return at

    # Each of these reads one element at an index and returns the index of its end, or None if the
    # element is incomplete.

    def _read_chunks(self, data: bytes, at: int, pieces: list[bytes]) -> int | None:
        """Read a run of small chunks, or one other chunk if it is complete, or else its size."""
        left = self._max_step_chunks - self.step_chunks
        # This many bytes hold at most `left` chunks.
        run = _SMALL_RUN.match(data, at, at + left * _MIN_CHUNK_BYTES)
        if run is not None:
            chunks = _SMALL.findall(data, at, run.end())
            self.step_chunks += len(chunks)
            pieces += [chunk[3:-2] for chunk in chunks]
            return run.end()
        end = self._read_size(data, at)
        if end is None:
            return None
        self.step_chunks += 1
        stop = end + self.remaining
        if self.remaining and data.startswith(b"\r\n", stop):
            pieces.append(data[end:stop])
            self.remaining = 0
            self._state = _SIZE
            return stop + 2
        return end

    def _read_data(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        piece = data[at : at + self.remaining]
        pieces.append(piece)
        self.remaining -= len(piece)
        if self.remaining == 0:
            self._state = _DATA_END
        return at + len(piece)

    def _read_size(self, data: bytes, at: int) -> int | None:
        line = _SIZE_LINE.match(data, at, at + self._max_line_bytes)
        if line is None:
            if data.find(b"\n", at, at + self._max_line_bytes) >= 0:
                raise BadRequest("malformed chunk size or extension (RFC 9112, 7.1)")
            if len(data) - at >= self._max_line_bytes:
                raise BadRequest(f"a chunk size line of more than {self._max_line_bytes} bytes")
            return None
        self._extension_bytes += line.end() - line.end(1) - 2
        if self._extension_bytes > self._max_extension_bytes:
            # Each byte of the body may have a line of them: the body's limit does not limit them.
            raise BadRequest(f"more than {self._max_extension_bytes} bytes of chunk extensions")
        self.remaining = int(line[1], 16)
        if self.remaining:
            self._state = _DATA
            return line.end()
        self._state = _TRAILERS
        # The trailer section begins with this line's break, so that the search for the empty line
        # that ends it is the same with and without trailers.
        return line.end() - 2

    def _read_data_end(self, data: bytes, at: int) -> int | None:
        end = data[at : at + 2]
        if end == b"\r\n":
            self._state = _SIZE
            return at + 2
        if end == b"\r":
            return None
        raise BadRequest("a chunk is longer than its size (RFC 9112, 7.1)")

    def _read_trailers(self, data: bytes, at: int) -> int | None:
        end = data.find(b"\r\n\r\n", at)
        section = data[at:] if end < 0 else data[at : end + 4]
        # Without trailers, the empty line is not counted.
        if not b"\r\n\r\n".startswith(section):
            fault = earliest_fault(
                section,
                seen=self._seen,
                max_bytes=self._max_trailer_bytes + len(b"\r\n"),
                max_lines=self._max_trailers + 1,
                check_line=_check_trailer,
            )
            if fault:
                raise fault[1]
        if end < 0:
            self._seen = len(section)
            return None
        trailers = Headers.from_block(section[2:-2])
        for name in FORBIDDEN_TRAILERS.intersection(trailers):
            trailers.remove(name)
        self._trailers = trailers
        self._state = _COMPLETE
        return end + 4

    def __repr__(self) -> str:
        return f"<ChunkedReader {self._state.name}, {self.remaining} bytes left of a chunk>"
