"""The handler: from the handshake to the goodbye."""

from __future__ import annotations

import random
from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, Literal, final

import trio

from ..._log import callable_name
from ..._util import check_count, check_number
from ...conn import Handler
from ...exceptions import ConfigError, HttpError
from ...http import HttpConfig
from ._ahead import ReadAhead
from ._codec import MessageCodec, check_close_code, require_websockets
from ._conn import WebSocketConn
from ._handshake import Accepted, Refused, shake_hands
from ._watch import keep_alive, watch_stop
from ._wire import Wire

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable

    from ...conn import Conn, Info, Upgrade

__all__ = ["WebSocket", "code_of"]

_INTERNAL_ERROR = 1011
_POLICY_VIOLATION = 1008
_RETRY_AFTER_SECONDS = "1"


@final
@dataclass(frozen=True, slots=True)
class _Agreement:
    """What a request has agreed upon, and with which handler."""

    handler: WebSocket
    accepted: Accepted


@final
class WebSocket(Handler):
    """Opens a WebSocket for each request (RFC 6455), and calls a function with it.

    At the stop the function's receive loop ends. It may still send, and has until the deadline of
    the drain; then the peer gets a Close with ``stop_code``. When the function returns before, the
    code is 1000; when it raises, 1011.

    Needs the extra ``websockets``.

    Args:
      fn: An async function that is called with a `WebSocketConn`, in the connection's task.
      subprotocols: Those that it supports. The client's first among them is selected.
      origins: Which pages may connect, as ``https://example.com``; ``"*"``: any. The default
        ``"same"`` is the host of the request. A client that sends no Origin is not a browser.
      max_message_bytes: Of a message, inflated; beyond it Close 1009. Default: 1 MiB. Unit: bytes.
        Prevents: memory filled by one peer.
      max_frame_bytes: Of one frame; beyond it Close 1009. Default: ``max_message_bytes``.
        Unit: bytes.
      max_fragments: Of one message; beyond it Close 1008. Default: 1024. Unit: frames.
        Prevents: memory filled by empty frames.
      compression: Whether to agree to permessage-deflate (RFC 7692). It costs some 40 KiB for each
        connection, and time for each message. Default: False.
      ping_interval: Of silence, after which the peer is sent a Ping; ``inf``: never. Default: 20.
        Unit: seconds. Prevents: proxies that cut idle connections, and peers that have gone.
      ping_timeout: For any sign of life after that; beyond it Close 1011. Default: 20.
        Unit: seconds.
      write_timeout: Without the peer taking a byte; the connection is cut.
        Default: `HttpConfig.write_timeout`. Unit: seconds. Prevents: senders held by readers that
        have stopped.
      close_timeout: From our Close to the peer's. Default: 5. Unit: seconds. Prevents: drains that
        wait for peers that have gone.
      stop_grace: From the stop to the end of receiving: 0 ends it at once, ``inf`` leaves it to the
        function and the deadline of the drain. `WebSocketConn.stop_grace` is that of one
        connection. Default: 0. Unit: seconds.
      stop_code: Of the Close after the stop: 1001, 1012, 1013 or from 3000. Not 1000, after which
        many clients do not come back. Default: 1001.

    Raises:
      ConfigError: A setting is wrong; the message names it.
      ImportError: The extra is missing.
    """

    def __init__(
        self,
        fn: Callable[[WebSocketConn], Awaitable[object]],
        *,
        subprotocols: Iterable[str] = (),
        origins: Literal["same", "*"] | Iterable[str] = "same",
        max_message_bytes: int = 1024 * 1024,
        max_frame_bytes: int | None = None,
        max_fragments: int = 1024,
        compression: bool = False,
        ping_interval: float = 20.0,
        ping_timeout: float = 20.0,
        write_timeout: float | None = None,
        close_timeout: float = 5.0,
        stop_grace: float = 0.0,
        stop_code: int = 1001,
    ) -> None:
        require_websockets()
        if max_frame_bytes is None:
            max_frame_bytes = max_message_bytes
        # A control frame has up to 125 bytes.
        check_count("WebSocket.max_message_bytes", max_message_bytes, least=125)
        check_count("WebSocket.max_frame_bytes", max_frame_bytes, least=125)
        check_count("WebSocket.max_fragments", max_fragments, least=1)
        for name, value in (
            ("ping_interval", ping_interval),
            ("ping_timeout", ping_timeout),
            ("write_timeout", inf if write_timeout is None else write_timeout),
            ("close_timeout", close_timeout),
            ("stop_grace", stop_grace),
        ):
            check_number(f"WebSocket.{name}", value, least=0.0)
        _check_stop_code(stop_code)
        self._fn = fn
        self._subprotocols = frozenset(subprotocols)
        self._origins = _origins(origins)
        self._compression = compression
        self._max_message_bytes = max_message_bytes
        self._max_frame_bytes = max_frame_bytes
        self._max_fragments = max_fragments
        self._ping_interval = ping_interval
        self._ping_timeout = ping_timeout
        self._has_write_timeout = write_timeout is not None
        self._write_timeout = HttpConfig().write_timeout if write_timeout is None else write_timeout
        self._close_timeout = close_timeout
        self._stop_grace = stop_grace
        # Of the server: not all peers are to come back in one moment.
        self._spread = 0.0
        self._stop_code = stop_code

    async def init(self, info: Info) -> None:
        """Take the server's write timeout, unless there is one of its own.

        Cancellation:
          None: it waits for nothing.
        """
        if not self._has_write_timeout:
            self._write_timeout = info.config.http.write_timeout
        self._spread = info.config.drain_spread

    async def run(self, conn: Conn) -> Conn:
        """Make the handshake, or refuse it and halt.

        Cancellation:
          None: it waits for nothing.
        """
        answer = self.agree(conn)
        for name, value in answer.fields.items():
            conn.response_headers.set(name, value)
        if isinstance(answer, Refused):
            return conn.with_status(answer.status).with_body(f"{answer.reason}\n").halt()
        return conn.with_state(_Agreement(self, answer)).upgrade()

    def agree(self, conn: Conn) -> Accepted | Refused:
        """Decide on a handshake: for `run`, and for handlers that open WebSockets themselves."""
        answer = shake_hands(
            conn,
            subprotocols=self._subprotocols,
            origins=self._origins,
            compression=self._compression,
        )
        if isinstance(answer, Accepted) and not conn.swansong.is_running:
            # It would be closed as soon as it is open.
            answer = Refused(
                status=503,
                reason="shutting down",
                fields={"retry-after": _RETRY_AFTER_SECONDS},
            )
        return answer

    def open(self, upgrade: Upgrade, accepted: Accepted, nursery: trio.Nursery) -> WebSocketConn:
        """Open what was agreed upon: for `upgrade`, and as `agree`.

        Whoever calls it also calls `WebSocketConn.say_goodbye` or `WebSocketConn.cut` in the end.

        Args:
          upgrade: The transport.
          accepted: The handshake.
          nursery: For the tasks of the WebSocket; to be cancelled after the goodbye.
        """
        codec = MessageCodec(
            max_message_bytes=self._max_message_bytes,
            max_frame_bytes=self._max_frame_bytes,
            max_fragments=self._max_fragments,
            extensions=accepted.extensions,
        )
        wire = Wire(upgrade, codec, write_timeout=self._write_timeout, nursery=nursery)
        ahead = ReadAhead(wire, codec, nursery)
        ws = WebSocketConn(
            upgrade,
            codec,
            wire,
            ahead,
            subprotocol=accepted.subprotocol,
            close_timeout=self._close_timeout,
            stop_grace=self._stop_grace + random.uniform(0, self._spread),  # noqa: S311 (no secret)
            stop_code=self._stop_code,
        )
        nursery.start_soon(watch_stop, ws, wire)
        if self._ping_interval < inf:
            nursery.start_soon(
                keep_alive, wire, codec, ahead, self._ping_interval, self._ping_timeout
            )
        return ws

    def has_upgrade(self, upgrade: Upgrade) -> bool:
        """Take the transports whose handshake this handler has made."""
        agreement = upgrade.state(_Agreement)
        return agreement is not None and agreement.handler is self

    async def upgrade(self, upgrade: Upgrade) -> None:
        """Call the function, and say goodbye.

        Cancellation:
          At the deadline of a drain: the function is cancelled, and the peer is sent a Close if it
          takes it at once.
        """
        agreement = upgrade.state(_Agreement)
        assert agreement is not None, "has_upgrade was asked first"
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            ws = self.open(upgrade, agreement.accepted, nursery)
            try:
                try:
                    await self._fn(ws)
                except Exception as error:  # raised below, bare: the error table logs it
                    failure = error
                await ws.say_goodbye(None if failure is None else code_of(failure))
            except BaseException:
                ws.cut()
                raise
            nursery.cancel_scope.cancel()
        if failure is not None:
            raise failure

    @property
    def name(self) -> str:
        """WebSocket and the function's name."""
        return f"WebSocket({callable_name(self._fn)})"


def code_of(failure: Exception) -> int:
    """Return the code of the Close that tells the peer of a failure."""
    is_peers = isinstance(failure, HttpError) and failure.status < 500
    return _POLICY_VIOLATION if is_peers else _INTERNAL_ERROR


def _check_stop_code(code: int) -> None:
    try:
        check_close_code(code)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"WebSocket.stop_code: {error}") from error
    if code == 1000:
        raise ConfigError(
            "WebSocket.stop_code must not be 1000: many clients do not come back after it"
        )


def _origins(origins: Literal["same", "*"] | Iterable[str]) -> frozenset[str] | None:
    if origins == "same":
        return None
    if isinstance(origins, str):
        if origins != "*":
            raise ConfigError(f"WebSocket.origins is a list, 'same' or '*', not {origins!r}")
        return frozenset("*")
    return frozenset(each.lower().rstrip("/") for each in origins)
