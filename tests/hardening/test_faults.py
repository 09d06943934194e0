"""Faults below and inside the server: the network, the disk, the clock, the application, the log.

Each test ends with the same questions: is another connection served, is every guard released, is
the transport closed, are the tasks back to what they were, and what does the log say. Errors of
``accept`` are in tests/unit/listeners/test_accept.py; here is what they do to a drain. Live, the
kernel is made to fail in tests/e2e/test_faults.py.
"""

from __future__ import annotations

import errno
import io
import logging
import os
import re
import time
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.broken import PLACES, Broken, BrokenEnds
from tests.unit.server._serving import get, receive_all
from tests.wire import UPGRADE, request, serving, settled
from trillium_trio.testing import BreakingStream, MemoryListener

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from trillium_trio.testing import MemoryStream

GONE = [errno.EPIPE, errno.ECONNRESET]


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def driver_log(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [
        (each.levelname, each.getMessage())
        for each in caplog.records
        if each.name == "trillium_trio.driver"
    ]


# The network: every write of every kind of response


class Source:
    """A body of two pieces; notes its closing."""

    def __init__(self, closed: list[str]) -> None:
        self._closed = closed
        self._pieces = [b"two", b"one"]

    def __aiter__(self) -> Source:
        return self

    async def __anext__(self) -> bytes:
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()

    async def aclose(self) -> None:
        self._closed.append("closed")


class Kinds(tt.Handler):
    """Answers in every way that there is; each path is one of them."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.after: list[str] = []
        self.closed: list[str] = []

    async def run(self, conn: tt.Conn) -> tt.Conn:
        conn.after_send(self._note)
        match conn.path:
            case "/large":
                return conn.ok(b"x" * 200_000)
            case "/chunked":
                return conn.ok(Source(self.closed))
            case "/declared":
                return conn.ok(tt.Body.streaming(Source(self.closed), length=6))
            case "/file":
                return conn.ok(tt.Body.from_path(self.file))
            case "/continue":
                return conn.ok(await conn.request_body.read())
            case "/upgrade":
                return conn.upgrade()
            case "/error":
                raise tt.BadRequest("no")
            case "/empty":
                return conn.with_status(204)
        return conn.ok("fixed")

    async def _note(self, conn: tt.Conn) -> None:
        self.after.append(conn.path)

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return True

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        for word in (b"one", b"two"):
            await upgrade.transport.send_all(word)


# How often each response writes, and what its request is.
WRITES = {
    "/fixed": (1, request("/fixed")),
    "/large": (5, request("/large")),
    "/chunked": (4, request("/chunked")),
    "/declared": (3, request("/declared")),
    "/file": (6, request("/file")),
    "/head": (1, request("/file", method="HEAD")),
    "/continue": (
        2,
        request("/continue", "Expect: 100-continue", "Content-Length: 3", method="PUT"),
    ),
    "/upgrade": (3, request("/upgrade", *UPGRADE)),
    "/error": (1, request("/error")),
    "/empty": (1, request("/empty")),
    "refused": (1, b"what?\r\n\r\n"),
}


def without_date(received: bytes) -> bytes:
    return re.sub(rb"\r\ndate: [^\r]*", b"", received)


async def exchange(listener: MemoryListener, kind: str, at: int, error: OSError) -> bytes:
    """Send one request over a connection whose ``at``-th write fails; return what came back."""

    def break_down(stream: MemoryStream) -> BreakingStream:
        return BreakingStream(stream, at=at, on="send", error=error)

    client = listener.connect(wrap_server=break_down)
    await client.send_all(WRITES[kind][1])
    await settled()
    if kind == "/continue":
        try:
            await client.send_all(b"abc")
        except trio.BrokenResourceError:
            pass  # not invited: the 100 did not get through
        await settled()
    # Until the idle timeout, if it is kept; then until the server has waited for the client's end.
    received = await receive_all(client)
    await trio.sleep(tt.HttpConfig().linger_timeout)
    with pytest.raises(trio.BrokenResourceError):
        await client.send_all(b"?")  # nobody is there
    client.close()
    await settled()
    return without_date(received)


@pytest.mark.parametrize("number", GONE, ids=errno.errorcode.get)
@pytest.mark.parametrize("kind", WRITES)
async def test_a_peer_may_go_at_every_write(
    kind: str,
    number: int,
    tmp_path: Path,
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 300_000)
    app, listener = Kinds(file), MemoryListener()
    config = tt.config().bind_listener(listener, name="memory").without_signals()
    error = OSError(number, os.strerror(number))
    caplog.set_level(logging.INFO)
    async with config.serving(app) as handle:
        whole = await exchange(listener, kind, 1_000, error)
        assert whole.startswith(b"HTTP/1.1 ")
        caplog.clear()
        for at in range(1, WRITES[kind][0] + 2):
            before, app.after[:], app.closed[:] = tasks(), [], []
            received = await exchange(listener, kind, at, error)
            # What was written before the fault, and not a byte of anything else.
            assert whole.startswith(received)
            assert (received == whole) == (at > WRITES[kind][0])
            assert handle.swansong.guard_count == 0
            assert tasks() == before
            assert len(app.after) == (0 if kind == "refused" else 1)
            assert bool(app.closed) == (kind in ("/chunked", "/declared"))
            with closing(listener.connect()) as honest:
                assert b" 200 " in await get(honest)
            await settled()
    # Quietly: who has left is nobody's failure. A refusal is logged, whether it is heard or not.
    ours = [line for line in driver_log(caplog) if kind not in ("/error", "refused")]
    assert ours == []


@pytest.mark.parametrize("number", GONE, ids=errno.errorcode.get)
async def test_a_peer_may_go_when_it_is_cut(
    number: int, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    after: list[str] = []

    async def note(conn: tt.Conn) -> None:
        after.append(conn.path)

    async def hang(conn: tt.Conn) -> tt.Conn:
        conn.after_send(note)
        await trio.sleep_forever()
        raise AssertionError

    def break_down(stream: MemoryStream) -> BreakingStream:
        return BreakingStream(stream, on="send", error=OSError(number, "gone"))

    listener = MemoryListener()
    config = tt.config().bind_listener(listener, name="memory").without_signals()
    async with config.serving(hang) as handle:
        gone, honest = listener.connect(wrap_server=break_down), listener.connect()
        for client in (gone, honest):
            await client.send_all(request())
        await settled()
        report = await handle.shut_down(timeout=1)
        assert await receive_all(gone) == b""
        assert (await receive_all(honest)).startswith(b"HTTP/1.1 503 ")
    assert after == ["/", "/"]
    assert report.cancelled.guard_count == 2
    assert [level for level, _ in driver_log(caplog) if level in ("WARNING", "ERROR")] == []


class Troubled(trio.abc.Listener[trio.abc.HalfCloseableStream]):
    """Raises the errors that it is given from its next accepts."""

    def __init__(self) -> None:
        self.memory = MemoryListener()
        self.errors: list[int] = []

    async def accept(self) -> trio.abc.HalfCloseableStream:
        await trio.lowlevel.checkpoint()
        if self.errors:
            number = self.errors.pop(0)
            raise OSError(number, os.strerror(number))
        return await self.memory.accept()

    async def aclose(self) -> None:
        await self.memory.aclose()


async def test_accept_may_fail_while_draining(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    listener = Troubled()
    config = tt.config().bind_listener(listener, name="troubled").without_signals()
    async with config.with_drain_delay(5).serving(hello) as handle:
        assert b" 200 " in await get(listener.memory.connect())
        start = trio.current_time()
        completion = handle.shut_down()
        for number in (errno.EMFILE, errno.ENOBUFS, errno.ENOMEM, errno.ECONNABORTED, errno.EPERM):
            # The accept that is waiting takes the first; the next one fails, then takes the second.
            listener.errors = [number]
            for _ in range(2):
                assert b" 200 " in await get(listener.memory.connect())
        assert (await completion).is_clean
        # Three times short of something; the other two errors are those of one connection.
        assert trio.current_time() - start == pytest.approx(5)
    assert caplog.text.count("troubled: cannot accept") == 3


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello")


# The disk: every step of a file. Sending it without reading it: tests/e2e/test_faults.py.


class FailingFile(io.FileIO):
    """A file, one step of which fails."""

    step = ""
    number = 0
    reads = 0

    def read_at(self, size: int, offset: int) -> bytes:
        self.reads += 1
        self.fail_at(f"read {self.reads}")
        self.seek(offset)
        return self.read(size)

    def fileno(self) -> int:
        self.fail_at("measure")
        return super().fileno()

    def fail_at(self, step: str) -> None:
        if step == self.step:
            raise OSError(self.number, os.strerror(self.number))


@pytest.mark.parametrize(
    "number", [errno.EIO, errno.ENOSPC, errno.EMFILE, errno.ENOMEM], ids=errno.errorcode.get
)
@pytest.mark.parametrize("step", ["open", "measure", "read 1", "read 2"])
async def test_a_file_may_fail_at_every_step(
    step: str,
    number: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"x" * 300_000)
    opened: list[FailingFile] = []

    def open_failing(self: Path, mode: str) -> FailingFile:
        if step == "open":
            raise OSError(number, os.strerror(number), str(self))
        file = FailingFile(self, mode)
        file.step, file.number = step, number
        opened.append(file)
        return file

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(tt.Body.from_path(path) if conn.path == "/file" else "hello")

    async with serving(handler) as app:
        await settled()  # without epoll, the poller ends as soon as it has begun
        before = tasks()
        client = app.connect()
        with monkeypatch.context() as patch:
            patch.setattr(Path, "open", open_failing)
            patch.setattr(os, "pread", lambda _, *where: opened[-1].read_at(*where))
            response = await client.get("/file")
        # Before the head is sent it can still be said; then it can be seen.
        is_said = step in ("open", "measure")
        assert (response.status, response.is_whole) == ((500, True) if is_said else (200, False))
        assert str(path).encode() not in response.body
        if is_said:
            assert (await client.get()).body == b"hello"
        else:
            assert len(response.body) == (0 if step == "read 1" else 256 * 1024)
            assert await client.ends()
        await client.stream.aclose()
        await settled()
        assert all(each.closed for each in opened)
        assert (app.guards, tasks()) == (0, before)
        assert (await app.connect().get()).body == b"hello"
    [(level, message)] = driver_log(caplog)
    assert (level, "GET /file" in message) == ("ERROR", True)
    assert os.strerror(number) in message


# The application. An error ends its own connection at most: tests/spec/test_cn_boundary.py (CN-24).


def neighbour(left: list[str]) -> tt.Handler:
    """Return a handler that notes when its lifespan is left."""

    @asynccontextmanager
    async def lifespan(info: tt.Info) -> AsyncIterator[None]:
        try:
            yield
        finally:
            left.append("neighbour")

    return tt.Lifespan(lifespan)


@pytest.mark.parametrize("where", PLACES)
@pytest.mark.parametrize("make", [KeyboardInterrupt, lambda: SystemExit(3)], ids=["ctrl-c", "exit"])
async def test_an_exit_leaves_serve_bare_from_everywhere(
    where: str, make: Callable[[], BaseException], autojump_clock: object
) -> None:
    error, listener = make(), MemoryListener()
    left: list[str] = []
    config = tt.config().bind_listener(listener, name="memory").without_signals()
    server = config.server((neighbour(left), Broken(where, error)))
    # Both are there when the server starts: what it makes of them is all that there is to see.
    clients = [listener.connect() for _ in range(2)]
    await clients[0].send_all(request("/sound"))
    await clients[1].send_all(request("/broken", *UPGRADE))
    before = tasks()
    with pytest.raises(BaseException) as raised:  # noqa: PT011 (which one is said below)
        await server.serve()
    assert raised.value is error
    for client in clients:
        await receive_all(client)
        client.close()
    assert left == ["neighbour"]
    assert (server.swansong.guard_count, tasks()) == (0, before)
    assert server.is_over


@pytest.mark.parametrize("where", ["init", "entering", "leaving"])
@pytest.mark.parametrize(
    "make",
    [KeyboardInterrupt, lambda: SystemExit(3), lambda: RuntimeError("bug")],
    ids=["ctrl-c", "exit", "exception"],
)
async def test_what_is_raised_at_either_end_leaves_serve_bare(
    where: str, make: Callable[[], BaseException], autojump_clock: object
) -> None:
    error, listener = make(), MemoryListener()
    left: list[str] = []
    config = tt.config().bind_listener(listener, name="memory").without_signals()
    server = config.server((neighbour(left), BrokenEnds(where, error)))
    client = listener.connect()
    before = tasks()
    with pytest.raises(BaseException) as raised:  # noqa: PT011 (which one is said below)
        await server.serve()
    assert raised.value is error
    assert await client.receive_some() == b""
    client.close()
    assert left == ([] if where == "init" else ["neighbour"])
    assert (server.swansong.guard_count, tasks(), server.is_over) == (0, before, True)


# The log


class FullDisk(io.StringIO):
    def write(self, text: str) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Raises(logging.Handler):
    """A handler of logs that lets its errors out, which those of the standard library do not."""

    def emit(self, record: logging.LogRecord) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    "log", [logging.StreamHandler(FullDisk()), Raises()], ids=["catches", "raises"]
)
async def test_a_log_that_cannot_be_written_costs_nobody_a_response(
    log: logging.Handler, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As in production; otherwise logging itself writes the error to stderr.
    monkeypatch.setattr(logging, "raiseExceptions", False)
    logging.getLogger("trillium_trio").addHandler(log)
    try:
        async with serving(Broken("run", RuntimeError("bug"))) as app:
            client = app.connect()
            assert (await client.get("/broken")).status == 500
            assert (await client.get("/sound")).body == b"sound"
            assert app.guards == 0
    finally:
        logging.getLogger("trillium_trio").removeHandler(log)


# The clock on the wall, which is for dates only


async def test_the_date_follows_the_systems_clock_however_it_jumps(
    autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(hello) as app:
        client = app.connect()
        for now, date in [
            (784111777.0, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (784111777.9, "Sun, 06 Nov 1994 08:49:37 GMT"),
            (0.0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (-1.0, "Wed, 31 Dec 1969 23:59:59 GMT"),
            (4102444800.0, "Fri, 01 Jan 2100 00:00:00 GMT"),
            (784111777.0, "Sun, 06 Nov 1994 08:49:37 GMT"),
        ]:
            monkeypatch.setattr(time, "time", lambda now=now: now)
            response = await client.get()
            assert (response.headers["date"], response.body) == (date, b"hello")


@pytest.mark.parametrize("jump", [-1e9, 1e9])
async def test_no_timeout_follows_the_systems_clock(
    jump: float, autojump_clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(hello, head_timeout=7, idle_timeout=9) as app:
        slow, idle = app.connect(), app.connect()
        assert (await idle.get()).status == 200
        start, now = trio.current_time(), time.time()
        await slow.send(b"GET / HT")
        await settled()
        monkeypatch.setattr(time, "time", lambda: now + jump)
        assert (await slow.response()).status == 408
        assert trio.current_time() - start == pytest.approx(7)
        assert await idle.ends()
        assert trio.current_time() - start == pytest.approx(9)
        assert (await app.connect().get()).body == b"hello"
        await slow.stream.aclose()
