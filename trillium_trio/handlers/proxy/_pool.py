"""Connections to one upstream, lent by httpcore2's pool: the one file that imports it.

The pool bounds them, keeps those that are idle, and lets requests wait in line. It thinks in
requests and responses: here the request asks for a connection, and the response is the loan.

What httpcore2 itself sends over a connection is not used. It sends all of a request before it reads
anything, and passes over interim responses and trailers.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, final

import trio

from ._failure import UpstreamFailure
from ._wire import Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from ._target import Target

__all__ = ["Dialler", "Loan", "Pool", "require_httpcore2"]

_NEW, _LENT, _IDLE, _CLOSED = "new", "lent", "idle", "closed"


def require_httpcore2() -> Any:  # Any: an optional module
    """Return httpcore2.

    Raises:
      ImportError: The extra is missing.
    """
    try:
        import httpcore2  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise ImportError(
            "Proxy needs the library httpcore2: pip install 'trillium-trio[proxy]'",
            name="httpcore2",
        ) from error
    return httpcore2


@final
class Dialler:
    """Opens connections to one upstream.

    Args:
      target: Where it is.
      connect: Opens the byte stream; None: over TCP.
      tls: For an upstream with https; None: the authorities that the system trusts.
      timeout: For the connection and its TLS handshake together.
      piece_timeout: See `Wire`.
    """

    def __init__(
        self,
        target: Target,
        *,
        connect: Callable[[str, int], Awaitable[trio.abc.Stream]] | None,
        tls: ssl.SSLContext | None,
        timeout: float,
        piece_timeout: float,
    ) -> None:
        self._target = target
        self._connect = connect or trio.open_tcp_stream
        if target.scheme == "https" and tls is None:
            tls = require_httpcore2().default_ssl_context()
        self._tls = tls if target.scheme == "https" else None
        self._timeout = timeout
        self._piece_timeout = piece_timeout

    async def dial(self) -> Wire:
        """Open a connection.

        Raises:
          UpstreamFailure: That is not possible, or takes too long. Nothing was sent.

        Cancellation:
          What was opened is closed.
        """
        try:
            with trio.fail_after(self._timeout):
                return Wire(await self._open(), piece_timeout=self._piece_timeout)
        except trio.TooSlowError:
            raise UpstreamFailure(
                504, f"has not accepted a connection for {self._timeout:g} s", is_unsent=True
            ) from None
        except (OSError, trio.BrokenResourceError) as error:
            raise UpstreamFailure(
                502, f"cannot be reached: {_reason(error)}", is_unsent=True
            ) from error

    async def _open(self) -> trio.abc.Stream:
        stream = await self._connect(self._target.host, self._target.port)
        if self._tls is None:
            return stream
        secure = trio.SSLStream(
            stream, self._tls, server_hostname=self._target.host, https_compatible=True
        )
        try:
            await secure.do_handshake()
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return secure


@final
class Loan:
    """A connection that is lent for one request after another.

    Args:
      pool: Whose it is.
      response: Of httpcore2's pool, which takes the connection back when it is closed.
      wire: The connection.

    Attributes:
      wire: The connection.
      is_used: Whether it has had a request before the current one.
      idle_until: While it is idle: when it is not to be used any more, on trio's clock.
    """

    __slots__ = ("_pool", "_response", "idle_until", "is_used", "wire")

    def __init__(self, pool: Pool, response: Any, wire: Wire) -> None:  # Any: httpcore2's
        self._pool = pool
        self._response = response
        self.wire: Wire = wire
        self.is_used: bool = wire.requests > 0
        self.idle_until: float = inf

    async def aclose(self) -> None:
        """Give it back; it is closed unless another request may follow.

        Cancellation:
          None: it does not wait.
        """
        if not (self.wire.renew() and self._pool.keep(self)):
            await self._response.aclose()

    async def discard(self) -> None:
        """Close an idle one.

        Cancellation:
          None: it does not wait.
        """
        self.wire.is_ready = False
        await self._response.aclose()


@final
class Pool:
    """The connections to one upstream.

    httpcore2's pool looks at each connection for each request, which with 64 of them costs more
    than the request. So an idle connection stays lent, and is kept here for the next request. The
    pool is asked for what is rare: a new one, a place in line, the end.

    Args:
      dialler: Opens them.
      max_connections: How many there are at most.
      queue_timeout: How long a request waits for one.
      idle_timeout: How long one is kept for the next request.
    """

    def __init__(
        self, dialler: Dialler, *, max_connections: int, queue_timeout: float, idle_timeout: float
    ) -> None:
        httpcore2 = require_httpcore2()
        self._pool = httpcore2.AsyncConnectionPool(max_connections=max_connections)
        # An override, without a subclass of an optional module.
        self._pool.create_connection = lambda _: _Connection(httpcore2, dialler, idle_timeout)
        self._idle: list[Loan] = []
        self._idle_timeout = idle_timeout
        self._queue_timeout = queue_timeout
        self._waiting = 0
        self._too_late: type[Exception] = httpcore2.PoolTimeout
        wait = None if queue_timeout == inf else queue_timeout
        self._any, self._new = (
            httpcore2.Request(
                "GET", "http://upstream", extensions={"timeout": {"pool": wait}, "is_new": is_new}
            )
            for is_new in (False, True)
        )

    async def lend_idle(self) -> Loan | None:
        """Lend the connection that was used last, or None if there is none.

        Cancellation:
          None: it does not wait.
        """
        while self._idle:
            loan = self._idle.pop()
            if trio.current_time() < loan.idle_until and not loan.wire.is_stale:
                loan.is_used = True
                return loan
            await loan.discard()
        return None

    async def lend(self, *, is_new: bool = False) -> Loan:
        """Lend a connection: a new one, or the next that is given back.

        Args:
          is_new: Not one that has been idle, which the upstream may be closing.

        Raises:
          UpstreamFailure: There is none in time, or none can be opened.

        Cancellation:
          The request leaves the line. A connection that is being opened is closed.
        """
        while is_new and self._idle:
            await self._idle.pop().discard()
        self._waiting += 1
        try:
            response = await self._pool.handle_async_request(self._new if is_new else self._any)
        except self._too_late:
            raise UpstreamFailure(
                503, f"has had no free connection for {self._queue_timeout:g} s"
            ) from None
        finally:
            self._waiting -= 1
        return Loan(self, response, response.extensions["wire"])

    def keep(self, loan: Loan) -> bool:
        """Keep a connection for the next request; return False if one waits in line for it."""
        if self._waiting:
            return False
        loan.idle_until = trio.current_time() + self._idle_timeout
        self._idle.append(loan)
        return True

    async def aclose(self) -> None:
        """Close the connections.

        Cancellation:
          They are closed in any case.
        """
        while self._idle:
            await self._idle.pop().discard()
        await self._pool.aclose()


@final
class _Connection:
    """A connection as httpcore2's pool sees it: an `AsyncConnectionInterface`.

    Not a subclass, because the library is optional.
    """

    __slots__ = ("_dialler", "_httpcore2", "_idle_timeout", "_idle_until", "_state", "_wire")

    def __init__(
        self,
        httpcore2: Any,  # Any: an optional module
        dialler: Dialler,
        idle_timeout: float,
    ) -> None:
        self._dialler = dialler
        self._httpcore2 = httpcore2
        self._idle_timeout = idle_timeout
        self._idle_until = inf
        self._state = _NEW
        self._wire: Wire | None = None

    async def handle_async_request(self, request: Any) -> Any:  # Any: httpcore2's
        """Lend the connection; open it if it is new."""
        if self._state is _NEW:
            self._state = _LENT
            try:
                self._wire = await self._dialler.dial()
            except BaseException:
                self._state = _CLOSED
                raise
        else:
            assert self._wire is not None
            if self._state is _IDLE and (request.extensions["is_new"] or self._wire.is_stale):
                await self.aclose()
            if self._state is not _IDLE:
                # The pool looks for another.
                raise self._httpcore2.ConnectionNotAvailable
            self._state = _LENT
        return self._httpcore2.Response(200, content=_Return(self), extensions={"wire": self._wire})

    async def take_back(self) -> None:
        """Keep it for the request that waits in line, or close it."""
        assert self._wire is not None
        if self._state is _LENT and self._wire.is_ready:
            self._state = _IDLE
            self._idle_until = trio.current_time() + self._idle_timeout
        else:
            await self.aclose()

    async def aclose(self) -> None:
        """Close it, at once: an upstream that does not read must not delay anything."""
        self._state = _CLOSED
        if self._wire is not None:
            await trio.aclose_forcefully(self._wire.stream)

    def can_handle_request(self, origin: object) -> bool:
        return True

    def can_multiplex(self) -> bool:
        return False

    def is_available(self) -> bool:
        return self._state is _IDLE

    def is_idle(self) -> bool:
        return self._state is _IDLE

    def is_closed(self) -> bool:
        return self._state is _CLOSED

    def is_connected(self) -> bool:
        return self._state is not _CLOSED and self._wire is not None

    def has_expired(self) -> bool:
        return self._state is _IDLE and trio.current_time() > self._idle_until

    def info(self) -> str:
        return self._state


@final
class _Return:
    """What the pool takes for the stream of a response: its end is the end of the loan."""

    __slots__ = ("_connection",)

    def __init__(self, connection: _Connection) -> None:
        self._connection = connection

    def __aiter__(self) -> Any:  # Any: nothing is yielded
        raise NotImplementedError  # a stream has it, and nobody calls it

    async def aclose(self) -> None:
        await self._connection.take_back()


def _reason(error: BaseException) -> str:
    """Return what lies behind the error of several attempts."""
    cause = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    return str(cause or error) or type(error).__name__
