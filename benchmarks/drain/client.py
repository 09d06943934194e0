"""Clients that know what became of each of their requests."""

from __future__ import annotations

import random
import re
import select
from collections import Counter
from dataclasses import dataclass, field
from typing import final

import trio

__all__ = ["Habit", "Load", "Loss", "client", "converse"]

_RECEIVE_BYTES = 65_536
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One request that was sent whole and not answered whole.

    Attributes:
      is_kept: Its connection had been answered on before the stop, so the server had accepted it.
      sent_at, noticed_at: Seconds after the stop; negative is before it.
      received: How many bytes of a response came.
      how: How the connection ended.
    """

    is_kept: bool
    sent_at: float
    noticed_at: float
    received: int
    how: str


@final
@dataclass(slots=True, kw_only=True)
class Load:
    """What the clients of one round share.

    Attributes:
      port, path: What they ask for, on the loopback interface.
      has_successor: Whether it is worth connecting again after the stop.
      stopped_at: When the signal was sent, on trio's clock; None before.
      is_over: Set to send everybody home.
      counts: ``answered``, ``refused`` (no connection), ``not 200``.
      losses: Every request that was lost.
    """

    port: int
    path: str
    has_successor: bool = False
    stopped_at: float | None = None
    is_over: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    losses: list[Loss] = field(default_factory=list)

    @property
    def goes_on(self) -> bool:
        """Whether a client whose connection has ended makes another."""
        return not self.is_over and (self.stopped_at is None or self.has_successor)

    @property
    def request(self) -> bytes:
        """The bytes of one request."""
        return f"GET {self.path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Habit:
    """How a client behaves.

    Attributes:
      pause: Between a response and the next request it takes any time up to this, in seconds.
      wire: How long a request is on its way, in seconds. The loopback interface has no such time,
        in which a close crosses a request; so the client looks whether the connection has ended,
        as all do that reuse one, and sends this much later.
      per_connection: After so many requests it closes the connection itself. Default: never.
    """

    pause: float = 0.0
    wire: float = 0.0
    per_connection: int | None = None


async def client(load: Load, habit: Habit) -> None:
    """Ask again and again, over one connection after another, until the round is over.

    Cancellation:
      A request that is under way counts as lost.
    """
    while load.goes_on:
        with trio.socket.socket() as sock:
            try:
                await sock.connect(("127.0.0.1", load.port))
                sock.setsockopt(trio.socket.IPPROTO_TCP, trio.socket.TCP_NODELAY, 1)
            except OSError:
                load.counts["refused"] += 1
                if load.has_successor:
                    continue
                return
            await converse(load, sock, habit)


async def converse(load: Load, sock: trio.socket.SocketType, habit: Habit) -> None:
    """Use one connection until either side ends it, or the round is over.

    Cancellation:
      A request that is under way counts as lost.
    """
    asked = 0
    is_kept = False
    while not load.is_over and asked != habit.per_connection:
        await trio.sleep(random.uniform(0.0, habit.pause))
        if _has_ended(sock):
            return
        asked += 1
        sent_at = trio.current_time()
        received = bytearray()
        how = "nothing came"
        try:
            await trio.sleep(habit.wire)
            how = await _exchange(sock, load.request, received)
        finally:
            if how:
                stop = trio.current_time() if load.stopped_at is None else load.stopped_at
                load.losses.append(
                    Loss(
                        is_kept=is_kept,
                        sent_at=sent_at - stop,
                        noticed_at=trio.current_time() - stop,
                        received=len(received),
                        how=how,
                    )
                )
        if how:
            return
        load.counts["answered" if received.startswith(b"HTTP/1.1 200") else "not 200"] += 1
        is_kept = is_kept or load.stopped_at is None
        if _CLOSE.search(received):
            return


def _has_ended(sock: trio.socket.SocketType) -> bool:
    # Nothing was asked, so whatever there is to read is the end. Not `select`, whose descriptors
    # end at 1,023.
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _exchange(sock: trio.socket.SocketType, request: bytes, received: bytearray) -> str:
    """Send a request and receive the whole response, delimited by its length.

    Args:
      sock: A connection on which nothing is under way.
      request: Small enough to be sent in one piece.
      received: Where to; what has come is there also after a failure.

    Returns:
      How the connection ended before the response was whole; empty if it came whole. A request that
      could not be sent counts too: the connection was open when the client decided to use it.

    Cancellation:
      Bytes may be lost.
    """
    try:
        await sock.send(request)
        while True:
            data = await sock.recv(_RECEIVE_BYTES)
            if not data:
                return "end of stream"
            received += data
            head, end, body = received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head) if end else None
            if length is not None and len(body) >= int(length[1]):
                return ""
    except OSError as error:
        return type(error).__name__
