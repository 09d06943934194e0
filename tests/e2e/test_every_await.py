"""A connection that is cut, or cancelled, at each step it takes: every await of the driver.

Each scenario runs undisturbed once, and then again and again, stopped where the connection parks
for the first time, for the second, and so on. So no wait is forgotten, and the last test holds the
list of those that were met against the source.
"""

from __future__ import annotations

import ast
import os
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import count
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

import pytest
import trio
from trio.testing import MockClock, lockstep_stream_pair, memory_stream_pair

import trillium_trio as tt
from tests.e2e._net import tls_over
from tests.unit.transport._tls import server_context
from tests.wire import UPGRADE, Listener, Peer, chunked, request, settled
from trillium_trio import driver
from trillium_trio.driver import Http1Connection, Service
from trillium_trio.driver._outbox import Outbox
from trillium_trio.http import Networks
from trillium_trio.listeners import PreboundBind, ProxyBind, TlsBind
from trillium_trio.transport import StreamTransport

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterable,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterator,
    )

    from trillium_trio.conn import HandlerLike
    from trillium_trio.driver._outbox import Queued
    from trillium_trio.http import BodyLike

# The last: what is sent meets TLS in lockstep, and is none.
Kind = Literal["memory", "lockstep", "tcp", "tls", "no tls", "proxied"]

DRIVER = Path(driver.__file__).parent
FDS = Path("/dev/fd")
# More than both sockets of a connection take, so that sending it has to wait.
LARGE = 5 * 1024 * 1024
UPLOAD = request(method="PUT", body=b"x" * 9)
UPGRADING = request("/", *UPGRADE, method="PUT", body=b"x" * 9)
EXPECTING = request("/", "Expect: 100-continue", "Content-Length: 9", method="PUT")
# More chunks than are decoded in one step.
CHUNKED = request("/", "Transfer-Encoding: chunked", method="PUT", body=chunked(*[b"x"] * 300))
CLOSING = request("/", "Connection: close")
PROXY = b"PROXY TCP4 192.0.2.1 192.0.2.2 1000 80\r\n"


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello")


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(1)
    return conn.ok("hello")


async def reads(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


async def asks(conn: tt.Conn) -> tt.Conn:
    assert not await conn.is_disconnected()
    return conn.ok("hello")


async def fails(conn: tt.Conn) -> tt.Conn:
    raise tt.HttpError(418)


async def breaks(conn: tt.Conn) -> tt.Conn:
    raise BaseException("nothing that anybody expects")


async def swallows(conn: tt.Conn) -> tt.Conn:
    try:
        await trio.sleep(1)
    except trio.Cancelled:
        return conn.ok("swallowed")  # what no handler should do
    return conn.ok("hello")


async def converts(conn: tt.Conn) -> tt.Conn:
    try:
        await trio.sleep(1)
    except trio.Cancelled:
        raise tt.HttpError(418) from None  # nor this
    return conn.ok("hello")


async def watches(conn: tt.Conn) -> tt.Conn:
    async with conn.cancel_on_disconnect(eof=True):
        await trio.sleep(1)
        return conn.ok(await conn.request_body.read())
    return conn


async def watches_first(conn: tt.Conn) -> tt.Conn:
    async with conn.cancel_on_disconnect():
        return conn.ok(await conn.request_body.read())
    return conn


async def pieces() -> AsyncIterator[bytes]:
    for _ in range(18):
        yield b"piece"
    await trio.sleep(1)
    yield b"the last"


def declared() -> tt.Body:
    return tt.Body.streaming(pieces(), length=98)


class Pieces(trio.abc.ReceiveStream):
    def __init__(self) -> None:
        self._pieces = [b"piece"] * 2

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep(1)
        return self._pieces.pop() if self._pieces else b""

    async def aclose(self) -> None:
        await trio.sleep(1)


class Iterable:
    """Pieces whose iterator has to be closed, and takes a while for it."""

    def __init__(self) -> None:
        self._pieces = [b"piece"] * 2

    def __aiter__(self) -> Iterable:
        return self

    async def __anext__(self) -> bytes:
        await trio.sleep(1)
        if not self._pieces:
            raise StopAsyncIteration
        return self._pieces.pop()

    async def aclose(self) -> None:
        await trio.sleep(1)


class Entered(Iterable):
    """Pieces that are entered and left, which takes a while."""

    async def __aenter__(self) -> Self:
        await trio.sleep(1)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await trio.sleep(1)


async def louder(pieces: AsyncIterable[bytes | memoryview]) -> AsyncGenerator[bytes, None]:
    async for piece in pieces:
        yield bytes(piece).upper()


def through() -> tt.Body:
    return tt.Body.streaming(Iterable()).through(louder)


def says(body: Callable[[], BodyLike]) -> Callable[[tt.Conn], Awaitable[tt.Conn]]:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(body())

    return handler


async def fails_with_body(conn: tt.Conn) -> tt.Conn:
    conn.with_body(Pieces())
    raise tt.HttpError(418)


async def lingers_on(conn: tt.Conn) -> tt.Conn:
    return conn.after_send(after).ok("hello")


async def after(conn: tt.Conn) -> None:
    await trio.sleep(1)


async def early(conn: tt.Conn) -> tt.Conn:
    conn.isolate()
    await conn.send_interim(103, tt.Headers([("link", "</a>")]))
    await conn.after_send(after).ok(tt.Body.streaming(Iterable())).send_now()
    await trio.sleep(1)
    return conn.after_send(after)


async def early_and_plain(conn: tt.Conn) -> tt.Conn:
    conn.isolate()
    await conn.ok("hello").send_now()
    if conn.path == "/slow":
        await trio.sleep(3)
    return conn


async def waits(conn: tt.Conn) -> tt.Conn:
    async with trio.open_nursery() as nursery:
        for eof in (True, False):
            nursery.start_soon(partial(conn.wait_disconnected, eof=eof))
        await trio.sleep(1)
        nursery.cancel_scope.cancel()
    return conn.ok("hello")


async def slow_then_lingers(conn: tt.Conn) -> tt.Conn:
    return await slow(conn.after_send(after))


async def reads_then_lingers(conn: tt.Conn) -> tt.Conn:
    return await reads(conn.after_send(after))


class Late(tt.Handler):
    """Answers in before_send.

    Args:
      fails: It raises instead.
      body: What `run` has put there.
    """

    def __init__(self, *, fails: bool = False, body: Callable[[], BodyLike] = bytes) -> None:
        self._fails = fails
        self._body = body

    async def run(self, conn: tt.Conn) -> tt.Conn:
        return conn.ok(self._body())

    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        await trio.sleep(1)
        if self._fails:
            raise tt.HttpError(418)
        return conn


class Upgrades(tt.Handler):
    """Takes every upgrade, and says a word.

    Args:
      body: What `run` has put there, which will not be sent.
    """

    def __init__(self, body: Callable[[], BodyLike] | None = None) -> None:
        self._body = body

    async def run(self, conn: tt.Conn) -> tt.Conn:
        if self._body is not None:
            conn.with_body(self._body())
        return conn.upgrade()

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return True

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        await trio.sleep(1)
        await upgrade.transport.send_all(b"a word")


@dataclass(frozen=True)
class Scenario:
    """A connection.

    Attributes:
      sent: What the client sends, each when all else waits.
      kind: What it is made of; in lockstep, every write waits until it is read.
      adds: What else than a 503 may follow a cut, and what a cancellation.
      leaves: The client half-closes when all is sent.
      has_threads: Time stands still, because it would jump while a thread works.
    """

    name: str
    handler: HandlerLike
    sent: tuple[bytes, ...]
    kind: Kind
    adds: bytes | None = None
    leaves: bool = False
    has_threads: bool = False


def scenarios(kind: Kind) -> Iterator[Scenario]:
    for name, handler, *sent in (
        ("requests, one by one", hello, request(), request()),
        ("requests at once", hello, request() * 18),
        ("a head in halves", hello, request()[:5], request()[5:]),
        ("half a head", hello, request()[:5]),
        ("no request", hello, b"NONSENSE\r\n\r\n"),
        ("HEAD", hello, request(method="HEAD")),
        ("the last request", hello, CLOSING),
        ("a slow handler", slow, request()),
        ("a handler that fails", fails, request()),
        ("a handler that breaks", breaks, request()),
        ("no body", reads, request()),
        ("a body", reads, UPLOAD[:-1], b"x"),
        ("an invited body", reads, EXPECTING, b"x" * 9),
        ("a body in chunks at once", reads, CHUNKED),
        ("a body nobody reads", hello, UPLOAD[:-1], b"x"),
        ("a watched body", watches, UPLOAD[:-1], b"x"),
        ("a watch before the body", watches_first, UPLOAD[:-1], b"x"),
        ("a watch far ahead", watches, request(method="PUT", body=bytes(300_000))),
        ("is_disconnected", asks, request()),
        ("chunks", says(pieces), request()),
        ("declared pieces", says(declared), request()),
        ("a stream", says(Pieces), request()),
        ("an iterable", says(Iterable), request()),
        ("an iterable that is entered", says(Entered), request()),
        ("an iterable through a function", says(through), request()),
        ("a failure with a body", fails_with_body, request()),
        ("before_send", Late(), request()),
        ("before_send that fails", Late(fails=True, body=Pieces), request()),
        ("after_send", lingers_on, request()),
        ("after_send behind a slow handler", slow_then_lingers, request()),
        ("send_now", early, request(), CLOSING),
        ("send_now, pipelined", early_and_plain, request() * 2 + CLOSING),
        ("waits for the client", waits, CLOSING),
        ("an upgrade", Upgrades(), request("/", *UPGRADE)),
        ("an upgrade with bodies", Upgrades(Pieces), UPGRADING[:-1], b"x"),
    ):
        yield Scenario(name, handler, tuple(sent), kind)
    yield Scenario("swallows", swallows, (request(),), kind, adds=b"HTTP/1.1 200 ")
    yield Scenario("converts", converts, (request(),), kind, adds=b"HTTP/1.1 418 ")
    yield Scenario("has left", waits, (CLOSING,), kind, leaves=True)
    yield Scenario("leaves", reads_then_lingers, (UPLOAD[:-1],), kind, leaves=True)
    yield a_file("a file", DRIVER / "_wire.py", kind)
    yield a_file("no file", DRIVER / "none", kind)


def a_file(name: str, path: Path, kind: Kind) -> Scenario:
    handler = says(partial(tt.Body.from_path, path))
    return Scenario(name, handler, (CLOSING,), kind, has_threads=True)


def parts_of_a_file(path: Path) -> tt.Body:
    return tt.Body.from_file(path.open("rb"), bytes(LARGE), range(LARGE))


class Stopper(trio.abc.Instrument):
    """Ends a connection where it parks for the n-th time.

    Args:
      cut_at: When it is cut.
      cancel_at: When the server is cancelled.

    Attributes:
      steps: How often it has parked.
      met: The driver's awaits that any task was in at an end: file and line.
    """

    def __init__(self, cut_at: int | None = None, cancel_at: int | None = None) -> None:
        self.steps = 0
        self.met: set[tuple[str, int]] = set()
        self.handle: tt.ServerHandle | None = None
        self.scope = trio.CancelScope()
        self.cut_at = cut_at
        self.cancel_at = cancel_at

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        connection = connection_of(task)
        if connection is None:
            return
        self.steps += 1
        if self.steps in (self.cut_at, self.cancel_at):
            self.met |= driver_awaits()
        if self.steps == self.cancel_at:
            self.scope.cancel()
        if self.steps == self.cut_at:
            assert self.handle is not None
            self.handle.cancel("enough")
            # The drain would do it some steps later.
            connection.cut("enough", linger=2)

    def __repr__(self) -> str:
        return f"<Stopper cut at {self.cut_at}, cancelled at {self.cancel_at}, {sorted(self.met)}>"


def driver_awaits() -> set[tuple[str, int]]:
    """Return which awaits of the driver tasks are in, at any depth: file and line."""
    root = trio.lowlevel.current_root_task()
    assert root is not None
    return {
        (Path(frame.f_code.co_filename).name, line)
        for task in descendants(root)
        for frame, line in task.iter_await_frames()
        if Path(frame.f_code.co_filename).parent == DRIVER
    }


def connection_of(task: trio.lowlevel.Task | None) -> Http1Connection | None:
    """Return whose task it is, or whose handler's child."""
    # One that has finished has no frames, over which trio 0.31 stumbles.
    if task is not None and task.coro.cr_frame is None:
        return None
    while task is not None:
        for frame, _ in task.iter_await_frames():
            if frame.f_code is Http1Connection.run.__code__:
                connection = frame.f_locals["self"]
                assert isinstance(connection, Http1Connection)
                return connection
        nursery = task.parent_nursery
        task = None if nursery is None else nursery.parent_task
    return None


def descendants(task: trio.lowlevel.Task) -> Iterator[trio.lowlevel.Task]:
    yield task
    for nursery in task.child_nurseries:
        for child in nursery.child_tasks:
            yield from descendants(child)


def play(scenario: Scenario, stopper: Stopper) -> bytes:
    """Run it, and return what the client got, to the end of the connection."""

    async def serve(server: tt.Server, task_status: trio.TaskStatus[tt.ServerHandle]) -> None:
        with stopper.scope:
            await server.serve(task_status=task_status)

    async def send(client: Peer) -> None:
        try:
            for data in scenario.sent:
                await settled()
                await client.send(data)
            if scenario.leaves:
                assert isinstance(client.stream, trio.abc.HalfCloseableStream)
                await client.stream.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it has ended

    async def main() -> bytes:
        listener = Listener(
            memory_stream_pair if scenario.kind == "memory" else lockstep_stream_pair
        )
        config = tt.config().without_signals().with_report_interval(3600)
        match scenario.kind:
            case "tcp":
                config = config.bind_tcp("127.0.0.1:0")
            case "tls":
                config = config.bind_tls("127.0.0.1:0", server_context())
            case "proxied":
                proxied = ProxyBind(PreboundBind(listener, "test"), Networks("*", setting="trust"))
                config = config.with_listeners((proxied,))
            case "no tls":
                bind = TlsBind(PreboundBind(listener, "test"), server_context())
                config = config.with_listeners((bind,))
            case _:
                config = config.bind_listener(listener, name="test")
        async with trio.open_nursery() as nursery:
            handle = await nursery.start(serve, config.server(scenario.handler))
            stopper.handle = handle
            if scenario.kind in ("tcp", "tls"):
                stream = await trio.open_tcp_stream("127.0.0.1", handle.port)
                client = Peer(stream)
                if scenario.kind == "tls":
                    client = tls_over(client)
            else:
                client = listener.connect()
            nursery.start_soon(send, client)
            got = await client.rest()
            await client.stream.aclose()
            handle.shut_down()
        assert handle.swansong.guard_count == 0
        return got

    clock = MockClock(autojump_threshold=inf if scenario.has_threads else 0)
    got = trio.run(main, clock=clock, instruments=[stopper])
    # Which one is the last depends on when it was stopped.
    return got.replace(b"connection: close\r\n", b"")


def check(scenario: Scenario, whole: bytes, stopper: Stopper) -> bool:
    """Stop it somewhere; return False if it ended before."""
    fds = len(os.listdir(FDS))
    got = play(scenario, stopper)
    where = f"{scenario.name}, {scenario.kind}, {stopper}: {got[-200:]!r}"
    assert len(os.listdir(FDS)) == fds, where
    if not stopper.met:
        assert got == whole, where
    elif not whole.startswith(got):
        # Another answer may come in place of one, or behind the last, and never inside.
        expected = [] if scenario.adds is None else [scenario.adds]
        if stopper.cut_at is not None:
            expected.append(b"HTTP/1.1 503 ")
        start = max(map(got.rfind, expected), default=-1)
        assert start >= 0, where
        assert whole.startswith(got[:start]), where
        assert start == len(whole) or whole.startswith(b"HTTP/1.1 ", start), where
    return stopper.steps >= (stopper.cancel_at or stopper.cut_at or 0)


def sweep(scenario: Scenario) -> set[tuple[str, int]]:
    """Stop it at each step in turn, by a cut, by a cancellation, and by one after the other.

    Returns:
      The awaits that were met.
    """
    undisturbed = Stopper()
    whole = play(scenario, undisturbed)
    met = set()
    for kind in ("cut_at", "cancel_at"):
        for at in count(1):
            stopper = Stopper(**{kind: at})
            if not check(scenario, whole, stopper):
                break
            met |= stopper.met
    # In lockstep it waits wherever it can; longer ones repeat a few steps many times.
    is_worth_it = scenario.kind == "lockstep" and undisturbed.steps < 20
    for at in range(1, undisturbed.steps + 1) if is_worth_it else ():
        for later in count(at + 1):
            stopper = Stopper(cut_at=at, cancel_at=later)
            if not check(scenario, whole, stopper):
                break
            met |= stopper.met
    return met


@pytest.fixture(autouse=True)
def same_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "date_line", lambda _: b"date: now\r\n")


def test_a_socket_at_every_step() -> None:
    for scenario in scenarios("tcp"):
        sweep(scenario)


@contextmanager
def rows(monkeypatch: pytest.MonkeyPatch, seconds: float) -> Iterator[None]:
    """Let each plain answer wait for a turn, and come back because nothing takes it at once.

    Args:
      monkeypatch: Undone at the end.
      seconds: How long it waits; if more than 0, the next request comes before it is sent.
    """

    def begin(self: Outbox) -> None:
        make(self)
        self.is_open = True

    def add(self: Outbox, answer: Queued, size: int) -> None:
        async def send() -> None:
            if seconds:
                await trio.sleep(seconds)
            self.send()

        put(self, answer, size)
        trio.lowlevel.spawn_system_task(send)

    make, put = Outbox.__init__, Outbox.add
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "__init__", begin)
        patch.setattr(Outbox, "add", add)
        patch.setattr(StreamTransport, "sends_at_once", True)
        yield


def test_sv_20_every_await(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, LARGE)
    empty = tmp_path / "empty"
    empty.touch()
    parts = says(partial(parts_of_a_file, large))
    met: set[tuple[str, int]] = set()
    for scenario in (*scenarios("memory"), *scenarios("lockstep")):
        met |= sweep(scenario)
    for scenario in (
        Scenario("TLS", hello, (CLOSING,), "tls"),
        Scenario("plain HTTP for TLS", hello, (request(),), "no tls"),
        Scenario("nothing for TLS", hello, (), "no tls", leaves=True),
        Scenario("behind a proxy", hello, (PROXY[:9], PROXY[9:], CLOSING), "proxied"),
        Scenario("a large body", says(lambda: bytes(LARGE)), (request(),), "tcp"),
        a_file("a large file", large, "tcp"),
        a_file("an empty file", empty, "tcp"),
        Scenario("parts of a file", parts, (CLOSING,), "tcp", has_threads=True),
    ):
        met |= sweep(scenario)
    for seconds in (0.0, 1.0):
        with rows(monkeypatch, seconds):
            for sent in ((request(), request()), (request(), CLOSING)):
                met |= sweep(Scenario("answers in rows", hello, sent, "memory"))
                met |= sweep(Scenario("answers in rows", hello, sent, "lockstep"))
        with rows(monkeypatch, seconds):
            for path in ("/", "/slow"):
                sent = (request(path), CLOSING)
                met |= sweep(Scenario("an early one in rows", early_and_plain, sent, "lockstep"))
    # To close a generator that cleans nothing up does not wait; only a writer's timeout wakes a
    # watch, together with the writer; and what is sent beside a handler is in no connection's task,
    # so that test_rows.py stops it.
    unmet = ("aclosing(_read_stream(", "self.give_way(_CREDIT)", "wire.send(rest)")
    missed = [
        f"{path.name}:{node.lineno}: {ast.unparse(node)[:70]}"
        for path in sorted(DRIVER.glob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, (ast.Await, ast.AsyncFor, ast.AsyncWith))
        and met.isdisjoint((path.name, line) for line in lines(node))
        and not any(each in ast.unparse(node) for each in unmet)
    ]
    assert not missed, "\n".join(missed)


def lines(node: ast.Await | ast.AsyncFor | ast.AsyncWith) -> range:
    """Return the lines in which a frame can be parked there."""
    if isinstance(node, ast.Await):
        return range(node.lineno, (node.end_lineno or node.lineno) + 1)
    return range(node.lineno, node.body[0].lineno)
