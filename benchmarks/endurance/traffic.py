"""Clients of every kind: those who want something, those who vanish, those who stall."""

from __future__ import annotations

import random
import select
import socket
import struct
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NoReturn, final

import trio

import trillium_trio as tt
from benchmarks.endurance.app import FILE_BYTES, HELLO, STREAM_BYTES
from tests.e2e._net import tls_over
from tests.wire import Peer, chunked, request
from trillium_trio.transport import host_and_port

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from tests.wire import Response

__all__ = ["KINDS", "Kind", "Life", "Tally", "Visit", "client"]

# The servers have the default.
KEEPALIVE_GRACE = tt.Config().keepalive_grace
_BODY = bytes(range(256)) * 256
_PATIENCE_SECONDS = 20.0
_NOTHING = "nothing came"
_BROKE = "broke while it was sent"
_RESET = struct.pack("ii", 1, 0)


@final
@dataclass(slots=True, kw_only=True)
class Life:
    """One life of the servers, as their clients know it.

    Attributes:
      ports: Of each listener.
      tls_port: The one of them that speaks TLS.
      is_stopped: Set just before the stop.
    """

    ports: Sequence[int]
    tls_port: int
    is_stopped: bool = False


@final
@dataclass(slots=True)
class Tally:
    """What came of all requests.

    Attributes:
      answered: Requests that were answered as they should be, by kind.
      vanished: Connections that a client left in the middle of something, by kind.
      refused: Connections that were not made, or made after the stop and not answered on.
      crossed: Requests that crossed the close of a connection that had been idle for longer than
        the keep-alive grace: HTTP/1.1's known race (RFC 9112, 9.5).
      lost: What happened instead of an answer.
    """

    answered: Counter[str] = field(default_factory=Counter)
    vanished: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    crossed: int = 0
    lost: list[str] = field(default_factory=list)


class Over(Exception):
    """The connection is of no further use, as was announced."""


@final
class Visit:
    """One connection of one client.

    Args:
      life: The server's.
      tally: Where to count.
      kind: Of the client.
      sock: Connected.
    """

    def __init__(self, life: Life, tally: Tally, kind: str, sock: trio.socket.SocketType) -> None:
        self.life = life
        self._tally = tally
        self._kind = kind
        self._sock = sock
        self._name = host_and_port(*sock.getsockname())
        # Made after the stop: perhaps just when the listener closed, and then nobody's.
        self._is_newcomer = life.is_stopped
        self._is_kept = False
        self._is_awaited = True
        self._used_at = trio.current_time()
        self.peer = Peer(trio.SocketStream(sock))
        if sock.getpeername()[1] == life.tls_port:
            self.peer = tls_over(self.peer)

    async def ask(
        self, message: bytes, *, method: str = "GET", body: bytes = HELLO, status: int = 200
    ) -> None:
        """Send a request and take its answer; it is lost if that is another than expected.

        Raises:
          Over: The server closes behind it, or has closed before it was sent.
        """
        await self.ask_all([message], method=method, body=body, status=status)

    async def ask_all(
        self,
        messages: Sequence[bytes],
        *,
        method: str = "GET",
        body: bytes | None = HELLO,
        status: int = 200,
    ) -> None:
        """Send requests in one piece and take their answers; see `ask`.

        What stands behind an answer that closes was never taken (RFC 9112, 9.3.2).
        """
        if self._has_ended():
            raise Over
        used_at, self._used_at = self._used_at, trio.current_time()
        # What the server must have waited for, even if the answer was long on its way.
        self._is_awaited = not self._is_kept or self._used_at - used_at < KEEPALIVE_GRACE
        failure = _BROKE
        try:
            await self.peer.send(*messages)
            for _ in messages:
                response = await self.peer.response(method)
                failure = _mismatch(response, body, status)
                if failure:
                    break
                self._tally.answered[self._kind] += 1
                if response.closes:
                    raise Over
                self._is_newcomer, self._is_kept = False, True
        except trio.BrokenResourceError:
            pass
        if failure:
            self._lose(failure)

    async def switch(self, message: bytes, greeting: bytes) -> None:
        """Ask for another protocol, say something in it, and hear it back."""
        try:
            await self.peer.send(message, greeting)
            response = await self.peer.response()
            echo = b""
            while len(echo) < len(greeting) and (data := await self.peer.receive()):
                echo += data
        except trio.BrokenResourceError:
            self._lose(_BROKE)
        if response.status == 101 and (echo == greeting or self.life.is_stopped):
            self._tally.answered[self._kind] += 1
        else:
            self._lose(f"{response.status}, {len(echo)} of {len(greeting)} bytes back")

    def _lose(self, how: str) -> NoReturn:
        if self._is_newcomer:
            self._tally.refused += 1
        elif how in (_NOTHING, _BROKE) and self.life.is_stopped and not self._is_awaited:
            self._tally.crossed += 1
        else:
            when = "after" if self.life.is_stopped else "before"
            # As the server's log names it.
            self._tally.lost.append(f"{self._kind}, {when} the stop: {how} ({self._name})")
        raise Over

    def vanish(self) -> NoReturn:
        """Leave now, by a FIN or by a reset."""
        self._tally.vanished[self._kind] += 1
        if random.random() < 0.5:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._sock.close()
        raise Over

    def _has_ended(self) -> bool:
        # As every client looks that uses a connection again. Nothing is under way, so whatever can
        # be read is the end; but the tickets of TLS 1.3 come before the first answer.
        if not self._is_kept:
            return False
        poll = select.poll()
        poll.register(self._sock.fileno(), select.POLLIN)
        return bool(poll.poll(0))


def _mismatch(response: Response, body: bytes | None, status: int) -> str:
    if not response.status:
        return _NOTHING
    if not response.is_whole:
        return f"{response.status}, {len(response.body)} bytes, not whole"
    if response.status != status:
        return f"{response.status} instead of {status}"
    if body is not None and response.body != body:
        return f"a wrong body of {len(response.body)} bytes"
    return ""


# -- what they do ----------------------------------------------------------------------------------


async def keep_alive(visit: Visit) -> None:
    for _ in range(20):
        await visit.ask(request())
        # Much shorter than the keep-alive grace: no close of the server's can cross it.
        await trio.sleep(random.uniform(0.0, 0.02))


async def one_shot(visit: Visit) -> None:
    await visit.ask(request("/", "Connection: close"))


async def pipeline(visit: Visit) -> None:
    for _ in range(5):
        await visit.ask_all([request()] * 8)


async def upload(visit: Visit) -> None:
    for _ in range(4):
        await visit.ask(request("/echo", method="POST", body=_BODY), method="POST", body=_BODY)


async def upload_chunked(visit: Visit) -> None:
    head = request("/echo", "Transfer-Encoding: chunked", method="POST")
    for _ in range(4):
        sizes = sorted(random.sample(range(1, len(_BODY)), 5))
        pieces = [_BODY[a:b] for a, b in zip([0, *sizes], [*sizes, len(_BODY)], strict=True)]
        await visit.ask(head + chunked(*pieces), method="POST", body=_BODY)


async def stream(visit: Visit) -> None:
    for _ in range(2):
        await visit.ask(request("/stream"), body=bytes(STREAM_BYTES))


async def file(visit: Visit) -> None:
    for _ in range(2):
        await visit.ask(request("/file"), body=bytes(FILE_BYTES))


async def thread(visit: Visit) -> None:
    for _ in range(4):
        await visit.ask(request("/thread"))


async def background(visit: Visit) -> None:
    for _ in range(4):
        await visit.ask(request("/background"))


async def long_poll(visit: Visit) -> None:
    await visit.ask(request("/watch"))


async def failure(visit: Visit) -> None:
    await visit.ask_all([request("/fail")], body=None, status=500)


async def malformed(visit: Visit) -> None:
    heads = [
        b"GET /\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA\n: b\r\n\r\n",
        b"\x16\x03\x01\r\n\r\n",
    ]
    await visit.ask_all([random.choice(heads)], body=None, status=400)


async def upgrade(visit: Visit) -> None:
    await visit.switch(request("/upgrade", "Connection: upgrade", "Upgrade: echo"), b"hello")


async def vanish(visit: Visit) -> None:
    """Leave in the head, the body, the handler, the response."""
    unfinished = random.choice(
        [
            b"",
            b"GET / HT",
            request(method="POST", body=_BODY)[:-10],
            request("/echo", "Transfer-Encoding: chunked", method="POST") + b"100\r\nxyz",
            request("/watch"),
            request("/stream"),
            request("/file"),
            request("/endless"),
            request() * 50,
        ]
    )
    await visit.peer.send(unfinished)
    await trio.sleep(random.uniform(0.0, 0.05))
    visit.vanish()


async def vanish_in_handshake(visit: Visit) -> None:
    with trio.move_on_after(random.uniform(0.0, 0.01)):
        await visit.peer.send(b"G")
    visit.vanish()


async def stall_head(visit: Visit) -> None:
    await visit.ask_all([request()[:-2]], body=None, status=408)


async def stall_body(visit: Visit) -> None:
    message = request("/echo", method="POST", body=_BODY)[:-1]
    await visit.ask_all([message], method="POST", body=None, status=408)


async def stall_reading(visit: Visit) -> None:
    await visit.peer.send(request("/endless"))
    # Longer than the server's timeout: it leaves first.
    await trio.sleep(1.5)
    visit.vanish()


async def straggle(visit: Visit) -> None:
    """Ask for what never ends; it is cut, and says so."""
    await visit.ask_all([request("/hang")], body=None, status=503)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """A kind of client.

    Attributes:
      visit: What it does with a connection.
      clients: How many of it there are.
      pause: At most this many seconds between two connections.
      is_straggler: Its request outlasts any drain.
    """

    visit: Callable[[Visit], Awaitable[None]]
    clients: int = 1
    pause: float = 0.05
    is_straggler: bool = False

    @property
    def name(self) -> str:
        """What the tally calls it."""
        return self.visit.__name__


KINDS = (
    Kind(visit=keep_alive, clients=8),
    Kind(visit=one_shot, clients=4),
    Kind(visit=pipeline, clients=2),
    Kind(visit=upload, clients=2),
    Kind(visit=upload_chunked),
    Kind(visit=stream),
    Kind(visit=file),
    Kind(visit=thread),
    Kind(visit=background),
    Kind(visit=long_poll, clients=2),
    Kind(visit=failure, pause=0.1),
    Kind(visit=malformed, pause=0.1),
    Kind(visit=upgrade, pause=0.1),
    Kind(visit=vanish, clients=4),
    Kind(visit=vanish_in_handshake),
    Kind(visit=stall_head, clients=2),
    Kind(visit=stall_body, clients=2),
    Kind(visit=stall_reading, clients=2),
    Kind(visit=straggle, clients=2, is_straggler=True),
)


async def client(life: Life, tally: Tally, kind: Kind) -> None:
    """Make one connection after another, until the stop.

    Cancellation:
      A request under way is not counted.
    """
    while not life.is_stopped:
        await trio.sleep(random.uniform(0.0, kind.pause))
        with trio.socket.socket() as sock:
            try:
                await sock.connect(("127.0.0.1", random.choice(life.ports)))
                visit = Visit(life, tally, kind.name, sock)
            except OSError:
                tally.refused += 1
                continue
            with trio.move_on_after(_PATIENCE_SECONDS) as limit:
                try:
                    await kind.visit(visit)
                except (Over, trio.BrokenResourceError):
                    continue
            if limit.cancelled_caught:
                tally.lost.append(f"{kind.name}: nothing in {_PATIENCE_SECONDS:g} s")
