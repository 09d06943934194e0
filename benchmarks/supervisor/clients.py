"""Clients on kept and on fresh connections, which know what became of each of their requests."""

from __future__ import annotations

import re
import select
import socket
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Self, final

__all__ = ["Ending", "Load", "Loss", "exchange", "has_ended", "judge", "request"]

KEPT = FRESH = 8

_ANSWER_SECONDS = 15.0
_RECEIVE_BYTES = 65_536
# After a refusal, so that a service that is gone costs no core.
_PAUSE_SECONDS = 0.02
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CLOSE = re.compile(rb"\r\nconnection: *close", re.IGNORECASE)


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How one request has ended.

    Attributes:
      how: Empty if the response is whole. Else ``eof`` or ``reset`` before its first byte, ``cut``
        after it, ``timeout``.
      status: Of the response; 0 if it is not whole.
      body: Its body.
      closes: Whether it says that the connection closes.
    """

    how: str = ""
    status: int = 0
    body: str = ""
    closes: bool = False


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """A request that was sent, and not answered with 200 and its name.

    Attributes:
      name: Of the request.
      is_kept: Whether its client keeps connections.
      worker: Who has answered on this connection before, by process id; 0: nobody.
      sent_at, noticed_at: On the monotonic clock.
      how: See `Ending`; or the status; or ``mixed up``: it was the answer to another request.
    """

    name: str
    is_kept: bool
    worker: int
    sent_at: float
    noticed_at: float
    how: str


def exchange(sock: socket.socket, request: bytes) -> Ending:
    """Send a request and receive the whole response, which says how long it is.

    A request that cannot be sent counts too: the connection was open when it was chosen for it.
    """
    received = b""
    try:
        sock.sendall(request)
        while data := sock.recv(_RECEIVE_BYTES):
            received += data
            head, end, body = received.partition(b"\r\n\r\n")
            length = _LENGTH.search(head) if end else None
            if length is not None and len(body) >= int(length[1]):
                status = int(head.split(b" ", 2)[1])
                closes = _CLOSE.search(head) is not None
                return Ending(status=status, body=body.decode(), closes=closes)
    except TimeoutError:
        return Ending(how="timeout")
    except OSError:
        return Ending(how="cut" if received else "reset")
    return Ending(how="cut" if received else "eof")


def has_ended(sock: socket.socket) -> bool:
    """Tell whether the server has closed an idle connection, as all do that reuse one."""
    poll = select.poll()
    poll.register(sock.fileno(), select.POLLIN)
    return bool(poll.poll(0))


@final
@dataclass(slots=True)
class Client:
    """What one client has seen. Written by its thread alone."""

    number: int
    is_kept: bool
    answered: int = 0
    refused: int = 0
    asked: int = 0
    slowest: float = 0.0
    losses: list[Loss] = field(default_factory=list)
    # Who has answered on the open connection; 0: nobody yet. None: there is no connection.
    worker: int | None = None
    is_asking: bool = False


@final
class Load:
    """Clients that POST until the ``with`` block is left.

    Args:
      port: Where to, on the loopback interface.
      is_proxied: Whether a proxy is there, whose 503 says that the server has refused it.

    Attributes:
      seen: When each worker has answered last, by process id, on the monotonic clock.
    """

    def __init__(self, port: int, *, is_proxied: bool = False) -> None:
        self._port = port
        self._is_proxied = is_proxied
        self._is_over = threading.Event()
        self.clients = [Client(number, number < KEPT) for number in range(KEPT + FRESH)]
        self.seen: dict[int, float] = {}
        self._threads = [
            threading.Thread(target=self._run, args=(client,), daemon=True)
            for client in self.clients
        ]

    def __enter__(self) -> Self:
        for each in self._threads:
            each.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        for each in self._threads:
            each.join()

    @property
    def answered(self) -> int:
        """How many requests have been answered."""
        return sum(each.answered for each in self.clients)

    @property
    def refused(self) -> int:
        """How many connections were not made."""
        return sum(each.refused for each in self.clients)

    @property
    def losses(self) -> list[Loss]:
        """All requests that were lost."""
        return [loss for each in self.clients for loss in each.losses]

    @property
    def slowest(self) -> float:
        """The longest time from a request to its answer, in seconds, its connect included."""
        return max(each.slowest for each in self.clients)

    def lost(self, *, is_kept: bool) -> dict[str, int]:
        """Count the losses on kept or on fresh connections, by how."""
        # Not a Counter, of which dataclasses.asdict() makes another one.
        return dict(Counter(each.how for each in self.losses if each.is_kept is is_kept))

    def held_by(self, worker: int) -> int:
        """Count what a worker may hold now: its connections, and those of which nothing is known.

        Behind a proxy only requests in flight can be counted, whoever has them.
        """
        if self._is_proxied:
            return sum(each.is_asking for each in self.clients)
        return sum(
            each.worker == worker or (each.worker == 0 and each.is_asking) for each in self.clients
        )

    def _run(self, client: Client) -> None:
        sock: socket.socket | None = None
        while not self._is_over.is_set():
            begin = time.monotonic()
            if sock is not None and has_ended(sock):
                _close(client, sock)
                sock = None
            if sock is None:
                sock = self._connect(client)
            if sock is None:
                time.sleep(_PAUSE_SECONDS)
                continue
            may_go_on = self._ask(client, sock)
            client.slowest = max(client.slowest, time.monotonic() - begin)
            if not (client.is_kept and may_go_on):
                _close(client, sock)
                sock = None
        if sock is not None:
            _close(client, sock)

    def _connect(self, client: Client) -> socket.socket | None:
        try:
            sock = socket.create_connection(("127.0.0.1", self._port), timeout=_ANSWER_SECONDS)
        except OSError:
            client.refused += 1
            return None
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.worker = 0
        return sock

    def _ask(self, client: Client, sock: socket.socket) -> bool:
        """Send one request, and count; return whether the connection can be used again."""
        client.asked += 1
        name = f"{client.number}-{client.asked}"
        sent_at = time.monotonic()
        client.is_asking = True
        ending = exchange(sock, request(name))
        client.is_asking = False
        how = judge(ending, name, is_proxied=self._is_proxied)
        if how == "refused":
            client.refused += 1
        elif how:
            client.losses.append(
                Loss(
                    name=name,
                    is_kept=client.is_kept,
                    worker=client.worker or 0,
                    sent_at=sent_at,
                    noticed_at=time.monotonic(),
                    how=how,
                )
            )
        else:
            client.answered += 1
            client.worker = int(ending.body.split(" ")[1])
            self.seen[client.worker] = time.monotonic()
        return not how and not ending.closes


def judge(ending: Ending, name: str, *, is_proxied: bool) -> str:
    """Return what is wrong with the ending of a request: empty, ``refused``, or as in `Loss`."""
    if ending.how:
        return ending.how
    if is_proxied and ending.status == 503:
        return "refused"
    if ending.status != 200:
        return str(ending.status)
    return "" if ending.body.startswith(f"{name} ") else "mixed up"


def request(name: str) -> bytes:
    """Return the bytes of one request."""
    head = f"POST /post HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(name)}\r\n\r\n"
    return f"{head}{name}".encode()


def _close(client: Client, sock: socket.socket) -> None:
    client.worker = None
    sock.close()
