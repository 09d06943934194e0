"""Messages from bytes and back: the one file that imports ``websockets``."""

from __future__ import annotations

import codecs
import logging
from typing import TYPE_CHECKING, Any, TypeAlias, final

from ..._log import kind_of
from ..._util import as_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from websockets.extensions.base import Extension
    from websockets.frames import Frame
    from websockets.protocol import Protocol

    # What a handshake has agreed upon, in the order in which it is applied.
    Extensions: TypeAlias = Sequence[Extension]

__all__ = [
    "Extensions",
    "MessageCodec",
    "check_close_code",
    "negotiate",
    "require_websockets",
]

# RFC 6455, 5.2. The library has them in an enum, which would have to be imported at the start.
_TEXT, _BINARY, _CLOSE = 1, 2, 8
_CONTROL = 8
_WHOLE_TEXT, _WHOLE_BINARY = 0x81, 0x82
# The largest size of 16 bits. The lane copies a message, which costs less than the library up to
# here.
_LANE_BYTES = 65_535
_OPEN = 1  # websockets.protocol.State.OPEN
# RFC 6455, 5.5: a control frame's payload, of which a Close uses two bytes for its code.
_MAX_REASON_BYTES = 123
# A peer can put thousands of frames into one segment. After so many, other tasks have their turn.
_MAX_FRAMES = 64
# 4 KiB for each direction instead of 32, and a small hash table: 54 KiB a socket instead of 139.
_WINDOW_BITS = 12
_COMPRESS = {"memLevel": 5}

_decoder = codecs.getincrementaldecoder("utf-8")
# The library logs every connection that closes. Our handler logs what matters.
_silent = logging.Logger("trillium_trio.handlers.websocket", logging.CRITICAL + 1)


@final
class MessageCodec:
    """One side of a WebSocket connection, after the handshake, without I/O.

    Bytes are parsed to the end of the next message and no further. The bytes behind it are kept
    unparsed, and a message is delivered before a fault behind it ends the connection.

    Pings and the peer's Close are answered on the way. Every answer, and whatever the sending
    methods write, is returned by `take`.

    Two lanes: a short and whole message without compression, which nearly every frame is, is read
    and written here. The library does the rest, and decides what is malformed.

    Args:
      max_message_bytes: Of a message, whole and inflated.
      max_frame_bytes: Of one frame of it. Default: the same.
      max_fragments: Frames of one message.
      extensions: As `negotiate` has returned them.
      is_client: Whether this is the client's side.

    Attributes:
      is_open: Messages can be sent: neither side has sent its Close.
      is_over: Nothing more is received: the peer has sent its Close, or broken a rule.
      has_answers: Parsing has answered something that is to be sent: see `take`.
    """

    __slots__ = (
        "_at",
        "_buffer",
        "_decoder",
        "_lane_bytes",
        "_left",
        "_max_fragments",
        "_parts",
        "_protocol",
        "_unmask",
        "_writes_plain",
        "has_answers",
        "is_open",
        "is_over",
    )

    def __init__(
        self,
        *,
        max_message_bytes: int,
        max_frame_bytes: int | None = None,
        max_fragments: int,
        extensions: Extensions = (),
        is_client: bool = False,
    ) -> None:
        # In C if there is a compiled one, which only this module knows.
        from websockets.frames import (  # type: ignore[attr-defined]  # imported, and not in __all__  # noqa: PLC0415 (optional)
            apply_mask,
        )
        from websockets.protocol import CLIENT, SERVER, Protocol  # noqa: PLC0415 (optional)

        self._protocol: Protocol = Protocol(
            CLIENT if is_client else SERVER,
            max_size=(max_message_bytes, max_frame_bytes),
            logger=_silent,
        )
        self._protocol.extensions = list(extensions)
        self._unmask: Callable[[bytes, bytes], bytes] = apply_mask
        self._max_fragments = max_fragments
        self._writes_plain = not extensions and not is_client
        # The longest payload that the lane reads, or -1: a client is sent no masks.
        self._lane_bytes = (
            min(_LANE_BYTES, max_message_bytes, max_frame_bytes or max_message_bytes)
            if self._writes_plain
            else -1
        )
        self._buffer = b""
        # Where in the buffer parsing goes on, and how much of the current frame is to come.
        self._at = 0
        self._left = 0
        # The fragments of the current message, and what decodes them if it is text.
        self._parts: list[Any] = []  # Any: str or bytes, never both
        self._decoder: codecs.IncrementalDecoder | None = None
        self.is_open: bool = True
        self.is_over: bool = False
        self.has_answers: bool = False

    # -- receiving -----------------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        """Append bytes that were received; `next_message` parses them."""
        self._buffer = self._buffer[self._at :] + data if self._at < len(self._buffer) else data
        self._at = 0

    @property
    def is_hungry(self) -> bool:
        """Whether `next_message` has something to wait for: more bytes."""
        at, size = self._at, len(self._buffer)
        needs_bytes = at >= size or not (self._left or _frame_size(self._buffer, at))
        return needs_bytes and not self.is_over

    def next_message(self) -> str | bytes | None:
        """Parse on to the end of the next message.

        Returns:
          None if more bytes are needed, the peer has ended the conversation, or 64 frames have
          passed. `is_hungry` and `is_over` tell which.
        """
        buffer, at = self._buffer, self._at
        have = len(buffer) - at
        if have > 6 and not self._left and not self.is_over:
            second = buffer[at + 1]
            if second < 254:
                # Negative if there is no mask: the library refuses such a frame.
                size, start = second - 128, at + 6
            elif second == 254 and have > 8:
                size, start = buffer[at + 2] << 8 | buffer[at + 3], at + 8
            else:
                size, start = -1, at
            end = start + size
            if (
                0 <= size <= self._lane_bytes
                and end <= len(buffer)
                and (buffer[at] == _WHOLE_TEXT or buffer[at] == _WHOLE_BINARY)
                and self._protocol.current_size is None
            ):
                self._at = end
                data = self._unmask(buffer[start:end], buffer[start - 4 : start])
                if buffer[at] == _WHOLE_BINARY:
                    return data
                try:
                    return data.decode()
                except UnicodeDecodeError as error:
                    self._refuse_text(error)
                    return None
        return self._parse() if have else None

    def _parse(self) -> str | bytes | None:
        """Have the library parse frame by frame, to the end of the next message."""
        protocol = self._protocol
        for _ in range(_MAX_FRAMES):
            buffer, at, left = self._buffer, self._at, self._left
            if not left:
                left = _frame_size(buffer, at)
                if not left:
                    return None
                if protocol.current_size is not None and buffer[at] & 15 == _CLOSE:
                    # A Close may interrupt a message (RFC 6455, 5.5.1); the library refuses that.
                    protocol.current_size = None
            piece = buffer[at : at + left]
            if not piece:
                self._left = left
                return None
            self._at = at + len(piece)
            self._left = left - len(piece)
            protocol.receive_data(piece)
            message = None
            for frame in protocol.events_received():
                message = self._assemble(frame)  # type: ignore[arg-type]  # no handshake here
            self._update()
            if message is not None or self.is_over:
                return message
        return None

    def _update(self) -> None:
        """Take over the state that the library is in."""
        protocol = self._protocol
        self.is_open = protocol.state == _OPEN
        self.has_answers = bool(protocol.writes)
        if protocol.close_rcvd is not None or protocol.parser_exc is not None:
            self.is_over = True
            self._buffer, self._at, self._left = b"", 0, 0
            self._parts = []

    def _assemble(self, frame: Frame) -> str | bytes | None:
        """Return the message that a frame completes, if it does."""
        opcode, data = frame.opcode, frame.data
        if opcode >= _CONTROL:
            return None
        try:
            if opcode and frame.fin:
                return str(data, "utf-8") if opcode == _TEXT else bytes(data)
            if opcode:
                self._decoder = _decoder() if opcode == _TEXT else None
            if len(self._parts) == self._max_fragments:
                self.fail(1008, f"more than {self._max_fragments} fragments")
                return None
            decoder = self._decoder
            self._parts.append(decoder.decode(data, frame.fin) if decoder else data)
        except UnicodeDecodeError as error:
            self._refuse_text(error)
            return None
        if not frame.fin:
            return None
        parts, self._parts = self._parts, []
        return "".join(parts) if decoder else b"".join(parts)

    def _refuse_text(self, error: UnicodeDecodeError) -> None:
        self.fail(1007, f"{error.reason} at position {error.start}")

    # -- the end -------------------------------------------------------------------------------

    @property
    def failure(self) -> str | None:
        """The rule that the peer has broken, if it has."""
        error = self._protocol.parser_exc
        return None if error is None else str(error)

    @property
    def received_close(self) -> tuple[int, str] | None:
        """Code and reason of the peer's Close; 1005 if it gave none."""
        close = self._protocol.close_rcvd
        return None if close is None else (int(close.code), close.reason)

    @property
    def sent_close(self) -> tuple[int, str] | None:
        """Code and reason of our Close."""
        close = self._protocol.close_sent
        return None if close is None else (int(close.code), close.reason)

    # -- sending -------------------------------------------------------------------------------

    def send(self, message: str | bytes | bytearray | memoryview) -> None:
        """Write a message, in one frame.

        Raises:
          TypeError: It is neither text nor bytes.
        """
        if isinstance(message, str):
            data, opcode = message.encode(), _TEXT
        elif isinstance(message, bytes | bytearray | memoryview):
            data, opcode = bytes(as_bytes(message)), _BINARY
        else:
            raise TypeError(f"a message is str or bytes, not {kind_of(message)}")
        size = len(data)
        if self._writes_plain and size < 126:
            self._protocol.writes.append(b"%c%c%b" % (0x80 | opcode, size, data))
        elif self._writes_plain and size <= _LANE_BYTES:
            head = b"%c\x7e%c%c" % (0x80 | opcode, size >> 8, size & 255)
            self._protocol.writes.append(head + data)
        elif opcode == _TEXT:
            self._protocol.send_text(data)
        else:
            self._protocol.send_binary(data)

    def ping(self, payload: bytes) -> None:
        """Write a Ping."""
        self._protocol.send_ping(payload)

    def pong(self, payload: bytes) -> None:
        """Write an unsolicited Pong."""
        self._protocol.send_pong(payload)

    def close(self, code: int, reason: str) -> None:
        """Write a Close. The reason is cut to what fits.

        Raises:
          ValueError: The code is not for sending (RFC 6455, 7.4).
        """
        check_close_code(code)
        self._protocol.send_close(code, _cut(reason))
        self.is_open = False

    def fail(self, code: int, reason: str) -> None:
        """Write a Close, and take nothing more from the peer."""
        self._protocol.fail(code, _cut(reason))
        self._protocol.parser_exc = ValueError(reason)
        self._update()

    def take(self) -> bytes:
        """Return, once, what is to be sent."""
        protocol = self._protocol
        writes, protocol.writes = protocol.writes, []
        self.has_answers = False
        return writes[0] if len(writes) == 1 else b"".join(writes)

    def __repr__(self) -> str:
        return f"<MessageCodec {self._protocol.state.name.lower()}>"


def negotiate(values: Sequence[str]) -> tuple[str | None, Extensions]:
    """Agree to compression if the client offers it (RFC 7692).

    Args:
      values: Of the ``Sec-WebSocket-Extensions`` fields of the request.

    Returns:
      The value for the response, None for no field; and the extensions.

    Raises:
      ValueError: The offer is malformed.
    """
    from websockets.datastructures import Headers  # noqa: PLC0415 (optional)
    from websockets.exceptions import InvalidHandshake  # noqa: PLC0415 (optional)
    from websockets.extensions import permessage_deflate  # noqa: PLC0415 (optional)
    from websockets.server import ServerProtocol  # noqa: PLC0415 (optional)

    factory = permessage_deflate.ServerPerMessageDeflateFactory(
        server_max_window_bits=_WINDOW_BITS,
        client_max_window_bits=_WINDOW_BITS,
        compress_settings=_COMPRESS,
    )
    protocol = ServerProtocol(extensions=[factory], logger=_silent)
    try:
        return protocol.process_extensions(
            Headers([("Sec-WebSocket-Extensions", value) for value in values])
        )
    except InvalidHandshake as error:
        raise ValueError(str(error)) from error


def require_websockets() -> None:
    """Raise if the library is missing.

    Raises:
      ImportError: With the command that installs it.
    """
    try:
        import websockets  # noqa: F401, PLC0415 (optional)
    except ImportError as error:
        raise ImportError(
            "WebSocket needs the library websockets: pip install 'trillium-trio[websockets]'",
            name="websockets",
        ) from error


def check_close_code(code: int) -> None:
    """Refuse a code that no Close may carry (RFC 6455, 7.4).

    Raises:
      ValueError: It is one.
    """
    if not (3000 <= code <= 4999 or code in _CODES):
        raise ValueError(f"{code!r} is not a code that a Close may carry (RFC 6455, 7.4)")


_CODES = frozenset({1000, 1001, 1002, 1003, *range(1007, 1015)})


def _cut(reason: str) -> str:
    return reason.encode()[:_MAX_REASON_BYTES].decode("utf-8", "ignore")


def _frame_size(buffer: bytes, at: int) -> int:
    """Return the size of the frame that begins at ``at``, or 0 if its head is not complete."""
    have = len(buffer) - at
    if have < 2:
        return 0
    second = buffer[at + 1]
    size = second & 127
    head = 6 if second & 128 else 2
    if size == 126:
        head += 2
        size = int.from_bytes(buffer[at + 2 : at + 4], "big")
    elif size == 127:
        head += 8
        size = int.from_bytes(buffer[at + 2 : at + 10], "big")
    return head + size if have >= head else 0
