"""The same bytes sent to a server: what its handler sees, and what the client gets."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING

import trio
from trio.testing import lockstep_stream_pair, wait_all_tasks_blocked

import trillium_trio as tt
from tests import wire
from tests.conformance._reading import Reading, Seen
from tests.e2e import _net as net
from trillium_trio.codec import connection_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trillium_trio.conn import Upgrade

# Nothing here waits for time, so only a connection that hangs ever gets there.
_STUCK_SECONDS = 10
# More than any Content-Length: what is too large is not the question here.
_UNLIMITED = 10**18
# Longer inputs are about limits. Byte by byte they would take half a minute; in pieces of a prime
# number of bytes, no line begins where a piece does.
_BYTEWISE_UP_TO = 8192
_PIECE_BYTES = 97


@dataclass(kw_only=True)
class Run:
    """All connections of a run, and what was left of them.

    Attributes:
      readings: How each connection was understood, by its name.
      last_status: What one more request got after all of them.
      guards: How many guards were held then.
      descriptors: How many more descriptors were open then than before.
    """

    readings: dict[str, Reading]
    last_status: int
    guards: int
    descriptors: int


class Recorder(tt.Handler):
    """Reads every request to its end, takes every upgrade that is asked for, answers 200."""

    takes_connect = True

    def __init__(self) -> None:
        self._seen: list[Seen] = []

    def take(self) -> list[Seen]:
        """Return what was seen since the last call."""
        seen, self._seen = self._seen, []
        return seen

    async def run(self, conn: tt.Conn) -> tt.Conn:
        # The label of a request's guard is its target as sent. There is one, as there is one
        # connection at a time.
        [entry] = conn.swansong.guard_report()
        [label] = entry.labels
        method, target = label.split(" ")
        request = Seen(method=method, target=target, version=conn.http_version)
        self._seen.append(request)
        async for piece in conn.request_body:
            request.body += piece
        request.is_whole = True
        return conn.upgrade() if _asks_for_upgrade(conn) else conn.ok("seen")

    def has_upgrade(self, upgrade: Upgrade) -> bool:
        return True

    async def upgrade(self, upgrade: Upgrade) -> None:
        while await upgrade.transport.receive_some():
            pass


def _asks_for_upgrade(conn: tt.Conn) -> bool:
    """RFC 9110, 7.8: ignored on 1.0 and without the Connection option."""
    fields = conn.request_headers
    return conn.method == "CONNECT" or (
        conn.http_version == "1.1"
        and bool(fields.get("upgrade"))
        and "upgrade" in connection_options(fields.get_all("connection"))
    )


async def read_over_tcp(inputs: Mapping[str, bytes], *, bytewise: bool = False) -> Run:
    """Open one connection over loopback TCP for each input, one after another, to one server.

    Between two bytes everybody has a turn, but TCP may join what was sent apart; see
    `read_in_memory`.
    """
    recorder = Recorder()
    async with net.serving(recorder, max_body_bytes=_UNLIMITED) as server:
        await _settled()
        before = _descriptors()

        def connect() -> wire.Peer:
            sock = socket.create_connection(("127.0.0.1", server.handle.port))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return net.peer_of(sock)

        readings = {
            name: await _read(connect(), _pieces(data, bytewise=bytewise), recorder)
            for name, data in inputs.items()
        }
        last = connect()
        status = (await last.get()).status
        await last.stream.aclose()
        await _settled()
        return Run(
            readings=readings,
            last_status=status,
            guards=server.guards,
            descriptors=_descriptors() - before,
        )


async def read_in_memory(inputs: Mapping[str, bytes]) -> Run:
    """Do so over streams in memory, each byte received on its own before the next is sent."""
    recorder = Recorder()
    async with wire.serving(recorder, pair=lockstep_stream_pair, max_body_bytes=_UNLIMITED) as app:
        before = _descriptors()
        readings = {
            name: await _read(
                app.connect(), _pieces(data, bytewise=True), recorder, guards=lambda: app.guards
            )
            for name, data in inputs.items()
        }
        last = app.connect()
        status = (await last.get()).status
        await last.stream.aclose()
        await wire.settled()
        return Run(
            readings=readings,
            last_status=status,
            guards=app.guards,
            descriptors=_descriptors() - before,
        )


async def _read(
    client: wire.Peer,
    pieces: Iterable[bytes],
    recorder: Recorder,
    guards: Callable[[], int] | None = None,
) -> Reading:
    """Send, half-close, read to the end; then tell from the answers what became of it.

    Args:
      guards: Counts the requests in flight, once everything has been received: nothing else tells
        a request that has not ended from none, since neither is answered.
    """
    is_in_flight = False

    async def send() -> None:
        nonlocal is_in_flight
        try:
            for piece in pieces:
                await client.stream.send_all(piece)
            if guards is not None:
                await wire.settled()
                is_in_flight = guards() > 0
            await client.stream.send_eof()  # type: ignore[attr-defined]  # each of ours has it
        except trio.BrokenResourceError:
            pass  # closed already

    answer = b""
    with trio.move_on_after(_STUCK_SECONDS) as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            answer = await client.rest()
            # Who sees the end has no reason to send on.
            nursery.cancel_scope.cancel()
    await trio.aclose_forcefully(client.stream)
    reading = Reading(requests=recorder.take())
    if scope.cancelled_caught:
        reading.ending = "stuck"
        return reading
    await _judge(reading, answer)
    if is_in_flight and reading.ending == "idle":
        reading.ending = "incomplete"
    return reading


async def _judge(reading: Reading, answer: bytes) -> None:
    """Set the ending of a reading by all that the client got."""
    client = wire.Peer(_Nothing())
    client.leftover = answer
    for request in reading.requests:
        response = await client.response(request.method)
        if response.status >= 400:
            reading.refuse(response.status)
        elif not response.status:
            if request.is_whole:
                reading.ending = "seen, and not answered"
        elif not request.is_whole:
            reading.ending = f"not all received, and answered {response.status}"
        elif response.status == 101 or request.method == "CONNECT" or response.closes:
            reading.ending = "closed"
    if client.leftover:
        refusal = await client.response()
        if refusal.status >= 400 and refusal.closes and not client.leftover:
            reading.refuse(refusal.status)
        else:
            reading.ending = f"answered to nobody: {answer!r}"


class _Nothing(trio.abc.Stream):
    """A stream at its end."""

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return b""

    async def send_all(self, data: object) -> None: ...

    async def wait_send_all_might_not_block(self) -> None: ...

    async def aclose(self) -> None: ...


def _pieces(data: bytes, *, bytewise: bool) -> Iterable[bytes]:
    if bytewise:
        step = 1 if len(data) <= _BYTEWISE_UP_TO else _PIECE_BYTES
        return (data[at : at + step] for at in range(0, len(data), step))
    return [data] if data else []


async def _settled() -> None:
    """Let everything run until it waits, and has for a moment: what comes by loopback is there."""
    await wait_all_tasks_blocked(0.02)


def _descriptors() -> int:
    return len(os.listdir("/dev/fd"))
