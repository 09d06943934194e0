"""One request and its response, as handlers see them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping
from operator import index
from typing import TYPE_CHECKING, Any, TypeVar, TypeVarTuple, final
from urllib.parse import parse_qs

from ..http import Body, Headers, Status
from ._on_conn import Client
from ._request_body import RequestBody

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

    import trio

    from ..http import BodyLike, RequestHead
    from ..swansong import Swansong
    from ..transport import Listener, Transport
    from ._link import Link
    from ._request_body import RequestSource

__all__ = ["Conn"]

T = TypeVar("T")
U = TypeVar("U")
Ts = TypeVarTuple("Ts")
AfterSend = Callable[["Conn"], Awaitable[object]]

_STATUS_WITHOUT_BODY = frozenset({204, 304})
_TEXT_LINE = b"content-type: text/plain; charset=utf-8\r\n"
# Fields that affect framing or persistence, or that replace the server's own.
_SPECIAL_FIELDS = frozenset({"connection", "content-length", "date", "server", "transfer-encoding"})
# Up to this size, a body is sent together with its head: copying is cheaper than a system call.
_PLAIN_BYTES = 65_536


class _Extras:
    """What most requests never use; created on first use, to keep a conn cheap."""

    __slots__ = ("after_send", "request_body", "response_trailers")

    def __init__(self) -> None:
        self.response_trailers: Headers | None = None
        self.request_body: RequestBody | None = None
        self.after_send: list[AfterSend] = []


@final
class Conn:
    """One request and its response: a handler takes it, changes it and returns it.

    The methods that change it return the same object, for chaining::

        return conn.with_status(201).with_response_header("location", "/1").halt()

    Attributes:
      head: The request's head, as it was read.
      is_halted: Whether the handlers after this one are skipped.
      start_time: When the first byte of the request arrived, on trio's clock, in seconds.
      link: The connection, for the driver and for interfaces such as ASGI.
    """

    __slots__ = (
        "_body",
        "_extras",
        "_headers",
        "_is_upgrade",
        "_source",
        "_state",
        "_status",
        "head",
        "is_halted",
        "link",
        "start_time",
    )

    def __init__(
        self, link: Link, head: RequestHead, source: RequestSource, start_time: float
    ) -> None:
        self.link: Link = link
        self.head: RequestHead = head
        self._source = source
        self._status: int | None = None
        self._body: BodyLike = None
        self._headers: Headers | None = None
        self.is_halted: bool = False
        self._is_upgrade = False
        self._extras: _Extras | None = None
        # By type, as in a `TypeMap`, which would be two calls more for each use. Any: of that type.
        self._state: dict[type, Any] | None = None
        self.start_time: float = start_time

    # -- the request ---------------------------------------------------------------------------

    @property
    def method(self) -> str:
        """The method, case-sensitive, as sent."""
        return self.head.method

    def with_method(self, method: str) -> Conn:
        """Have the handlers after this one see another method; the log keeps the one that was sent.

        The response is still framed for that one: a HEAD gets no body.
        """
        self.head = self.head.with_method(method)
        return self

    @property
    def path(self) -> str:
        """The path of the target, not percent-decoded."""
        return self.head.path

    @property
    def querystring(self) -> str:
        """The part after the ``?``, not decoded, or the empty string."""
        return self.head.querystring

    @property
    def query(self) -> Mapping[str, list[str]]:
        """The querystring as decoded names and all their values, in order."""
        return parse_qs(self.head.querystring, keep_blank_values=True)

    @property
    def http_version(self) -> str:
        """``"1.0"`` or ``"1.1"``."""
        return self.head.version

    @property
    def host(self) -> str | None:
        """The authority that the client asked for (RFC 9112, 3.2), or None. Do not trust it.

        Behind `Forwarded`, the one that a trusted proxy names, if it names one.
        """
        if self._state is not None and (client := self.state(Client)) is not None:
            return client.host or self.head.host
        return self.head.host

    @property
    def url(self) -> str:
        """The URL that the client asked for, as far as the request contains it."""
        scheme = "https" if self.is_secure else "http"
        query = f"?{self.querystring}" if self.querystring else ""
        return f"{scheme}://{self.host or ''}{self.path}{query}"

    @property
    def request_headers(self) -> Headers:
        """The request's header fields."""
        return self.head.headers

    @property
    def request_body(self) -> RequestBody:
        """The request's body, to be read at most once."""
        extras = self._extras or self._make_extras()
        if extras.request_body is None:
            http = self.link.info.config.http
            extras.request_body = RequestBody(
                self._source,
                max_bytes=http.max_body_bytes,
                max_json_bytes=http.max_json_bytes,
                head=self.head,
            )
        return extras.request_body

    @property
    def request_trailers(self) -> Headers:
        """The trailer fields of a chunked body; empty until it has been read to its end.

        Fields that a trailer must not have, such as Authorization and Content-Type, are dropped
        (RFC 9110, 6.5.1).
        """
        return self._source.trailers

    @property
    def is_secure(self) -> bool:
        """Whether the request came over TLS; behind `Forwarded`, to the first trusted proxy."""
        if self._state is not None and (client := self.state(Client)) is not None:
            return client.scheme == "https"
        return self.link.transport.is_secure

    @property
    def peer_ip(self) -> str | None:
        """The peer's IP address, or None on a unix socket; behind `Forwarded`, the client's."""
        if self._state is not None and (client := self.state(Client)) is not None:
            return client.ip
        return self.link.transport.peer_ip

    @property
    def peer_address(self) -> tuple[str, int] | None:
        """The address of `peer_ip` with its port, 0 if that is not known; None on a unix socket."""
        if self._state is not None and (client := self.state(Client)) is not None:
            return client.address
        return self.link.transport.peer_address

    @property
    def listener(self) -> Listener:
        """Where the connection was accepted."""
        return self.link.transport.listener

    @property
    def transport(self) -> Transport:
        """The transport, for its facts. Its bytes belong to the connection."""
        return self.link.transport

    @property
    def swansong(self) -> Swansong:
        """The server's node: check its state, interrupt work with it, take guards on it."""
        return self.link.info.swansong

    # -- the response --------------------------------------------------------------------------

    @property
    def status(self) -> int | None:
        """The response's status, or None until it is set."""
        return self._status

    @property
    def response_headers(self) -> Headers:
        """The response's header fields; Date, Server and framing are added when it is sent."""
        if self._headers is None:
            self._headers = Headers()
        return self._headers

    @property
    def response_body(self) -> Body:
        """The response's body."""
        return Body.of(self._body)

    @property
    def response_trailers(self) -> Headers:
        """Fields to send after a streamed body; the body may still add some while it is sent.

        They are sent if the client has said ``TE: trailers`` and the body is chunked, and dropped
        otherwise (RFC 9110, 6.5.1).
        """
        extras = self._extras or self._make_extras()
        if extras.response_trailers is None:
            extras.response_trailers = Headers()
        return extras.response_trailers

    def ok(self, body: BodyLike) -> Conn:
        """Answer with status 200 and this body, and halt.

        Raises:
          TypeError: The body cannot be sent; see `Body.of`.
        """
        self._status = 200
        self.is_halted = True
        # `with_body`, inlined because nearly every request does this.
        self._body = body if type(body) is bytes or type(body) is str else Body.of(body)
        return self

    def redirect(self, location: str, status: int = 302) -> Conn:
        """Redirect the client (RFC 9110, 15.4) and halt.

        Raises:
          ValueError: The location is not a valid field value.
        """
        self.response_headers.set("location", location)
        self.is_halted = True
        return self.with_status(status)

    def with_status(self, status: int) -> Conn:
        """Set the response's status.

        Raises:
          ValueError: It is not a final status (RFC 9110, 15); for 101 use `upgrade`.
          TypeError: It is not an integer.
        """
        status = index(status)
        if not 200 <= status <= 999:
            raise ValueError(f"{status!r} is not the status of a final response (200 to 999)")
        self._status = status
        return self

    def with_head(self, status: int, headers: Headers) -> Conn:
        """Set the response's status, and add these fields behind those that it has.

        The headers belong to the response from here on.

        Raises:
          ValueError, TypeError: As for `with_status`.
        """
        if type(status) is int and 200 <= status <= 999:
            self._status = status
        else:
            self.with_status(status)
        if self._headers is None:
            self._headers = headers
        else:
            self._headers.extend(headers)
        return self

    def with_body(self, body: BodyLike) -> Conn:
        """Set the response's body: bytes, str, an async iterable, a stream or a `Body`.

        Raises:
          TypeError: The body cannot be sent; see `Body.of`.
        """
        kind = type(body)
        # Plain values stay as they are: the driver sends them without creating a Body.
        self._body = body if kind is bytes or kind is str else Body.of(body)
        return self

    def with_response_header(self, name: str, value: str) -> Conn:
        """Set a response header, replacing previous values.

        Raises:
          ValueError: The name or value is invalid (RFC 9110, 5.5).
        """
        headers = self._headers
        if headers is None:
            self._headers = headers = Headers()
        headers.set(name, value)
        return self

    def with_added_response_header(self, name: str, value: str) -> Conn:
        """Append a response header, keeping those of the same name.

        Raises:
          ValueError: The name or value is invalid (RFC 9110, 5.5).
        """
        self.response_headers.append(name, value)
        return self

    def halt(self) -> Conn:
        """Skip the handlers after this one."""
        self.is_halted = True
        return self

    def upgrade(self) -> Conn:
        """Answer ``101 Switching Protocols``; the first handler that takes it gets the transport.

        For CONNECT the answer is 200. The caller sets headers such as Upgrade. A request that asks
        for no upgrade, or not for the protocol in that field, is answered 426 or 400.
        """
        if self._status is None:
            is_connect = self.method == "CONNECT"
            self._status = Status.OK if is_connect else Status.SWITCHING_PROTOCOLS
        self._is_upgrade = True
        self.is_halted = True
        return self

    # -- state ---------------------------------------------------------------------------------

    def state(self, type_: type[T]) -> T | None:
        """Return this conn's value of exactly this type, or None."""
        return None if self._state is None else self._state.get(type_)

    def states(self, first: type[T], second: type[U]) -> tuple[T | None, U | None]:
        """Return what `state` returns for two types."""
        state = self._state
        return (None, None) if state is None else (state.get(first), state.get(second))

    def insert_state(self, value: T) -> T | None:
        """Store a value under its type; return the one it replaces."""
        state, kind = self._state, type(value)
        if state is None:
            self._state = {kind: value}
            return None
        old: T | None = state.get(kind)
        state[kind] = value
        return old

    def with_state(self, value: object) -> Conn:
        """Store a value under its type."""
        self.insert_state(value)
        return self

    def take_state(self, type_: type[T]) -> T | None:
        """Remove and return this conn's value of exactly this type, or None."""
        return None if self._state is None else self._state.pop(type_, None)

    def shared_state(self, type_: type[T]) -> T | None:
        """Return the server's shared value of exactly this type, or None."""
        return self.link.info.shared_state(type_)

    # -- time ----------------------------------------------------------------------------------

    def after_send(self, fn: AfterSend) -> Conn:
        """Call an async function with this conn after the response, even if sending failed.

        It is still guarded: a drain waits for it. Several are called in order.
        """
        (self._extras or self._make_extras()).after_send.append(fn)
        return self

    async def is_disconnected(self, *, eof: bool = False) -> bool:
        """Return whether the peer is known to have disconnected. Only a checkpoint, no wait.

        Args:
          eof: Whether the peer's EOF counts. Most clients that disconnect send only that; but a
            client that half-closes and still reads looks the same.

        Cancellation:
          Changes nothing; request bytes received meanwhile are kept.
        """
        return await self.link.is_disconnected(eof=eof)

    def cancel_on_disconnect(
        self, *, eof: bool = False
    ) -> AbstractAsyncContextManager[trio.CancelScope]:
        """Cancel the block if the peer disconnects; the scope's ``cancelled_caught`` is then True.

        Args:
          eof: As for `is_disconnected`.

        Cancellation:
          An outer cancellation passes through; request bytes received meanwhile are kept.
        """
        return self.link.cancel_on_disconnect(eof=eof)

    async def wait_disconnected(self, *, eof: bool = False) -> None:
        """Wait until the peer has disconnected. Several tasks may.

        Args:
          eof: As for `is_disconnected`.

        Cancellation:
          Ends the wait; request bytes received meanwhile are kept.
        """
        await self.link.wait_disconnected(eof=eof)

    def send_now(self) -> Coroutine[object, object, bytes | None]:
        """Send the response, as it is now, while the handler continues. A coroutine.

        ``before_send`` runs first. What the handler returns, raises or sets afterwards changes no
        response; its request stays guarded until it returns.

        Returns:
          After `upgrade`, the bytes that the client sent after its request. The transport then
          belongs to this handler, and ``has_upgrade`` is not asked: see `Upgrade`. Otherwise None.

        Raises:
          MisuseError: The response was already sent.
          ClientDisconnected: It could not be sent whole, or not as it is; why is logged. After
            that nothing can be sent.

        Cancellation:
          The response is incomplete.
        """
        return self.link.send_now()

    async def send_interim(self, status: int, headers: Headers) -> None:
        """Send an interim response, such as 103 (RFC 8297); a client of HTTP/1.0 gets none.

        Raises:
          MisuseError: The response was already sent.
          ClientDisconnected: The peer has disconnected.

        Cancellation:
          Part of it may have been sent: the connection can only be aborted.
        """
        await self.link.send_interim(status, headers)

    def isolate(self) -> None:
        """Keep context variables that are set from now on from later requests."""
        self.link.isolate()

    def start_soon(self, fn: Callable[[*Ts], Awaitable[object]], *args: *Ts) -> None:
        """Start background work in the server: guarded, drained, and independent of this client.

        An exception that it raises is logged with the function's name, and ends nothing else.
        """
        self.link.info.start_soon(fn, *args)

    # -- for the driver ------------------------------------------------------------------------

    @property
    def is_upgrade(self) -> bool:
        """Whether `upgrade` was called."""
        return self._is_upgrade

    @property
    def raw_body(self) -> BodyLike:
        """The response's body as it was given, not converted to a `Body`."""
        return self._body

    @property
    def raw_trailers(self) -> Headers | None:
        """The response's trailer fields, or None if `response_trailers` was never used."""
        return None if self._extras is None else self._extras.response_trailers

    @property
    def raw_headers(self) -> Headers | None:
        """The response's header fields, or None if `response_headers` was never used."""
        return self._headers

    def plain_response(self) -> tuple[int, bytes, bytes] | None:
        """Return status, field lines and body, if the response consists only of these.

        None if the body is not in memory or is large, if there is an upgrade or an `after_send`, or
        if a field affects framing or persistence.
        """
        body, status, headers = self._body, self._status, self._headers
        if status is None or status in _STATUS_WITHOUT_BODY or self._is_upgrade:
            return None
        if self._extras is not None and self._extras.after_send:
            return None
        if type(body) is bytes:
            data, fields = body, b""
        elif type(body) is str:
            data, fields = body.encode(), _TEXT_LINE
        else:
            return None
        if headers is not None:
            lines = headers.render_unless(_SPECIAL_FIELDS)
            if lines is None:
                return None
            fields = lines if not fields or "content-type" in headers else fields + lines
        return (status, fields, data) if len(data) <= _PLAIN_BYTES else None

    def reset_response(self, status: int, body: str | bytes) -> None:
        """Replace the whole response, after an exception."""
        self._status = status
        self._body = body
        self._headers = None
        self._is_upgrade = False
        self.is_halted = True

    def take_after_send(self) -> Iterator[AfterSend]:
        """Yield each `after_send` function once, even over several calls."""
        while self._extras is not None and self._extras.after_send:
            yield self._extras.after_send.pop(0)

    def _make_extras(self) -> _Extras:
        self._extras = extras = _Extras()
        return extras

    def __repr__(self) -> str:
        state = "halted" if self.is_halted else "open"
        return f"<Conn {self.head} -> {self._status} {state}>"
