"""Whole connections: a stream of requests through the real driver, in memory and virtual time."""

from __future__ import annotations

import logging
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import trio
import trio.testing

import trillium_trio as tt
from tests.fuzz._splits import MAX_MESSAGE, one_by_one, splits
from tests.unit.driver._service import make_service
from tests.wire import Peer, Response
from trillium_trio.driver import Http1Connection
from trillium_trio.transport import Listener, StreamTransport

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.fuzz._splits import Pieces

_MAX_HEAD_BYTES = 200


def connections(data: bytes) -> None:
    """Serve what may be several pipelined requests, cut in several ways.

    A path says what the handler does: ``skip`` leaves the body unread, ``text`` and ``json`` decode
    it, ``up`` takes an upgrade, any other reads it as it is.
    """
    clock = trio.testing.MockClock(autojump_threshold=0)
    with quiet_log():
        trio.run(_check_cuts, data, clock=clock)


async def _check_cuts(data: bytes) -> None:
    bytewise = await _serve(one_by_one(data))
    for pieces in splits(data):
        cut = await _serve(pieces)
        assert cut.seen == bytewise.seen
        assert cut.responses == bytewise.responses


@dataclass
class Record:
    """What came of a connection.

    Attributes:
      methods: Of the requests that reached the handler.
      seen: All that the handler could learn, and what upgrades read.
      responses: As an h11 client reads them; one more than requests if one was refused.
    """

    methods: list[str] = field(default_factory=list)
    seen: list[object] = field(default_factory=list)
    responses: list[tuple[int, dict[str, str], bytes, bool]] = field(default_factory=list)


class Script(trio.abc.HalfCloseableStream):
    """Gives one piece to each receive, then the end of input. Keeps what is sent."""

    def __init__(self, pieces: Pieces) -> None:
        self.pieces = deque(pieces)
        self.sent = b""
        self.connection: Http1Connection | None = None
        self.most_kept = 0

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        # No turn for others, of whom there are none: that would be most of the time.
        await trio.lowlevel.checkpoint_if_cancelled()
        if self.connection is not None:
            self.most_kept = max(self.most_kept, len(self.connection.wire.buffer))
        while self.pieces:
            if piece := self.pieces.popleft():
                return piece
        return b""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.lowlevel.checkpoint_if_cancelled()
        self.sent += data

    async def wait_send_all_might_not_block(self) -> None:
        await trio.lowlevel.checkpoint()

    async def send_eof(self) -> None:
        await trio.lowlevel.checkpoint()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


class Shown(tt.Handler):
    """Answers with what it read, so that another reading is another response."""

    takes_connect = True

    def __init__(self, record: Record) -> None:
        self.record = record

    async def run(self, conn: tt.Conn) -> tt.Conn:
        self.record.methods.append(conn.method)
        body: object = None
        if "up" in conn.path:
            return conn.upgrade()
        if "text" in conn.path:
            body = await conn.request_body.text()
        elif "json" in conn.path:
            body = await conn.request_body.json()
        elif "skip" not in conn.path:
            body = await conn.request_body.read()
        head = (conn.method, conn.path, conn.query, conn.host, conn.url, conn.http_version)
        seen = (head, conn.request_headers.items(), body, conn.request_trailers.items())
        self.record.seen.append(seen)
        return conn.ok(repr(seen))

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return True

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        data = upgrade.leftover
        while piece := await upgrade.transport.receive_some():
            data += piece
        self.record.seen.append(data)


async def _serve(pieces: Pieces) -> Record:
    record = Record()
    service = make_service(
        Shown(record),
        max_head_bytes=_MAX_HEAD_BYTES,
        max_headers=6,
        max_target_bytes=40,
        max_trailer_bytes=60,
        max_body_bytes=48,
    )
    script = Script(pieces)
    transport = StreamTransport(script, Listener(kind="unix", address="fuzz", is_tls=False))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.watchdog.run)
        script.connection = Http1Connection(service, transport)
        await script.connection.run()
        nursery.cancel_scope.cancel()
    assert not service.connections
    assert service.swansong.guard_count == 0
    # A head that is not whole, or all of one piece; two more for the empty line in front.
    longest = max(map(len, pieces), default=0)
    assert script.most_kept <= _MAX_HEAD_BYTES + 2 + longest

    peer = Peer(Script([script.sent]))
    # The last is of a request that was refused before a handler saw it, or there is none.
    for method in (*record.methods, "GET"):
        response = await peer.response(method)
        if not response.status:
            break
        record.responses.append(_comparable(response))
        if response.status == 101:
            peer.leftover = b""
    assert not peer.leftover, "a response that nobody asked for"
    return record


def _comparable(response: Response) -> tuple[int, dict[str, str], bytes, bool]:
    """Leave out the time, and 100 Continue, which is for those who send nothing until it comes."""
    headers = {name: value for name, value in response.headers.items() if name != "date"}
    return response.status, headers, response.body, response.is_whole


class _Judge(logging.Handler):
    """Finds the lines that a peer should not be able to write into the log."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        is_loud = record.levelno >= logging.ERROR or record.exc_info is not None
        if is_loud or not message.isprintable() or len(message) > MAX_MESSAGE:
            self.found.append(self.format(record))


@contextmanager
def quiet_log() -> Iterator[None]:
    """Fail if the driver contained what is not the peer's fault, or logs what it should not."""
    logger = logging.getLogger("trillium_trio")
    level = logger.level
    judge = _Judge()
    logger.addHandler(judge)
    logger.setLevel(logging.DEBUG)
    try:
        yield
    finally:
        logger.setLevel(level)
        logger.removeHandler(judge)
    assert judge.found == []
