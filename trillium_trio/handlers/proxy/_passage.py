"""One request on its way to an upstream, and the answer on its way back.

.. code-block:: text

    fields, target, a small body
      |
    upstream by upstream:  lease -> send -> final head --> response --> body, trailers
      |                      |       |          |
      |        unreachable: the next |          |
      |          silent, and safe: once more    |
      |                                   101: Tunnel
    502, 503, 504: the reason is for the log
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import TYPE_CHECKING, final

import trio

from ...codec import connection_options
from ...conn import Client, Mounted
from ...exceptions import ClientDisconnected
from ...http import Headers
from ._answer import error_of, patiently, respond
from ._failure import UpstreamFailure
from ._fields import forwarded_fields, request_fields, response_fields
from ._lease import Lease
from ._sender import Sender
from ._target import check_path
from ._tunnel import Tunnel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...conn import Conn
    from ._fields import ForwardedKind
    from ._upstream import Upstream
    from ._wire import Answer, Wire

__all__ = ["Passage", "Settings"]

# RFC 9110, 9.2.2.
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
# A body up to this size is read before an upstream is asked: it is sent in one piece with the head,
# may be sent again, and a client that is slow with it occupies no upstream.
_SMALL_BYTES = 65_536


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The settings of a `Proxy` that are about one request; see there."""

    preserve_host: bool
    strip_prefix: bool
    forwarded: ForwardedKind
    via: str
    upgrades: frozenset[str]
    answer_timeout: float
    piece_timeout: float
    upgrade_timeout: float
    leave_out: float
    max_body_bytes: int | None


@final
class Passage:
    """One request on its way through a proxy.

    Args:
      conn: The request.
      settings: Those of the proxy.
      owner: The proxy.

    Raises:
      BadRequest: The path leads out of the upstream's base.
    """

    def __init__(self, conn: Conn, settings: Settings, owner: object) -> None:
        self._conn = conn
        self._settings = settings
        self._owner = owner
        mounted = conn.state(Mounted) if settings.strip_prefix else None
        self._prefix = "" if mounted is None else mounted.prefix
        self._path = conn.path if mounted is None else mounted.path
        check_path(self._path)
        self._upgrade = ""
        if conn.head.wants_upgrade:
            offered = connection_options(conn.request_headers.get_all("upgrade"))
            self._upgrade = ", ".join(sorted(offered & settings.upgrades))
        # None: it is streamed.
        self._body: bytes | None = None

    async def run(self, upstreams: Sequence[Upstream]) -> Conn:
        """Ask the upstreams in order until one has answered.

        Raises:
          HttpError: None has, or the request is at fault.
          ClientDisconnected: The client has left.

        Cancellation:
          The connection to the upstream is closed.
        """
        await self._take_small_body()
        can_repeat = self._body is not None and self._conn.method in _IDEMPOTENT
        todo = list(reversed(upstreams))
        is_new = False
        while True:
            upstream = todo.pop()
            lease = Lease(upstream)
            try:
                return await self._ask(lease, is_new=is_new)
            except UpstreamFailure as failure:
                await lease.aclose()
                if failure.is_unsent:
                    upstream.leave_out(failure.reason, self._settings.leave_out)
                    if todo:
                        continue
                elif failure.is_silent and can_repeat and not is_new:
                    # It may have closed a connection that was idle, or has ended: once more, on a
                    # connection that is new, and by another upstream if there is one.
                    todo.insert(0 if todo and not lease.is_used else len(todo), upstream)
                    is_new = True
                    continue
                raise error_of(upstream, failure) from failure
            except BaseException:
                await lease.aclose()
                raise

    async def _take_small_body(self) -> None:
        conn, limit = self._conn, self._settings.max_body_bytes
        body = conn.request_body
        if limit is not None:
            body.with_max_bytes(limit)
        aiter(body)  # refuses one that declares too much, before an upstream is asked
        length = conn.head.content_length
        if not conn.head.is_chunked and length is None:
            self._body = b""
        elif length is not None and length <= _SMALL_BYTES and not conn.head.expects_continue:
            self._body = await body.read()

    async def _ask(self, lease: Lease, *, is_new: bool) -> Conn:
        conn = self._conn
        if is_new or not await lease.take_idle():
            async with conn.cancel_on_disconnect(eof=True):
                await lease.take(is_new=is_new)
            if not lease.has_connection:
                raise ClientDisconnected("the client has left the line")
        wire = lease.wire
        await self._send_head(lease, wire)
        if self._body is None:
            return await self._converse(lease, wire)
        answer = await self._final_head(wire, None)
        return await self._take(lease, answer, watches=True)

    async def _send_head(self, lease: Lease, wire: Wire) -> None:
        conn, settings, target = self._conn, self._settings, lease.upstream.target
        client = conn.state(Client)
        told = forwarded_fields(
            settings.forwarded,
            (conn.peer_ip or "unix",) if client is None else client.chain,
            host=conn.host,
            scheme="https" if conn.is_secure else "http",
        )
        if self._prefix and settings.forwarded == "x-forwarded":
            told.append(("x-forwarded-prefix", self._prefix))
        fields = request_fields(
            conn.head,
            host=(conn.host if settings.preserve_host else None) or target.authority,
            via=settings.via,
            forwarded=told,
            upgrade=self._upgrade,
        )
        line = target.join(self._path, conn.querystring)
        await wire.send_head(conn.method, line, fields, self._body)

    async def _converse(self, lease: Lease, wire: Wire) -> Conn:
        """Send the body while the answer is waited for; return when one of the two is over."""
        conn, failure, answer = self._conn, None, None
        is_sent = False
        async with trio.open_nursery() as nursery:
            with trio.CancelScope() as waiting:
                sender = Sender(conn, wire, waiting, answer_timeout=self._settings.answer_timeout)
                nursery.start_soon(sender.run)
                try:
                    answer = await self._final_head(wire, sender)
                    sender.is_answered, waiting.deadline = True, inf
                    if sender.is_busy:
                        # The client goes on to send, and gets the answer meanwhile.
                        await self._take(lease, answer, watches=False)
                        is_sent = True
                        await conn.send_now()
                except Exception as error:  # raised below, not in a group
                    failure = error
            nursery.cancel_scope.cancel()
        failure = sender.fault or failure
        if is_sent and isinstance(failure, UpstreamFailure):
            # The response has begun: nothing is tried again.
            raise error_of(lease.upstream, failure) from failure
        if failure is not None:
            raise failure
        if answer is None:
            raise UpstreamFailure(504, f"has not answered for {self._settings.answer_timeout:g} s")
        return conn if is_sent else await self._take(lease, answer, watches=True)

    async def _final_head(self, wire: Wire, sender: Sender | None) -> Answer:
        """Wait for the head of the final answer, or a 101; pass interim answers on."""
        seconds = self._settings.answer_timeout
        deadline = trio.current_time() + seconds
        late = f"has not answered for {seconds:g} s"
        while True:
            if sender is None:
                answer = await patiently(self._conn, wire.receive_head, deadline, late)
            else:
                answer = await wire.receive_head()
            status = answer.status_code
            if status >= 200 or status == 101:
                return answer
            if status == 100 and sender is not None:
                sender.may_begin.set()
            elif status != 100:
                await self._pass_interim(answer)

    async def _pass_interim(self, answer: Answer) -> None:
        via = self._settings.via
        fields = response_fields(
            answer.headers.raw_items(), via=via and f"1.1 {via}", has_length=False
        )
        headers = Headers()
        try:
            headers.extend_raw(fields or ())
        except ValueError as error:
            raise UpstreamFailure(502, f"has sent a malformed interim answer: {error}") from error
        await self._conn.send_interim(answer.status_code, headers)

    async def _take(self, lease: Lease, answer: Answer, *, watches: bool) -> Conn:
        """Make the answer the response."""
        settings = self._settings
        if answer.status_code != 101:
            return await respond(
                self._conn,
                lease,
                answer,
                via=settings.via,
                piece_timeout=settings.piece_timeout,
                watches=watches,
            )
        named = [value.decode("latin-1") for key, value in answer.headers if key == b"upgrade"]
        if not watches or connection_options(named) != {self._upgrade} - {""}:
            raise UpstreamFailure(502, "has switched to a protocol that nobody has asked for")
        fields = response_fields(answer.headers.raw_items(), via="", has_length=False)
        try:
            self._conn.response_headers.extend_raw(fields or ())
        except ValueError as error:
            raise UpstreamFailure(502, f"has sent a malformed field: {error}") from error
        headers = self._conn.response_headers
        headers.set("upgrade", named[0])
        headers.set("connection", "upgrade")
        tunnel = Tunnel(self._owner, lease, idle_timeout=settings.upgrade_timeout)
        # Also if the client does not get the 101.
        return self._conn.with_state(tunnel).after_send(tunnel.close_after).upgrade()
