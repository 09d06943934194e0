"""CN-24 of docs/spec/connection.md: a fault on one connection stays there."""

from __future__ import annotations

import errno
import json
import logging
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import memory_stream_pair

import trillium_trio as tt
from tests.broken import Broken, Odd
from tests.wire import UPGRADE, Pair, request, serving, settled

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable


class Faulty(trio.abc.HalfCloseableStream):
    """Fails at the ``at``-th call of one operation."""

    def __init__(self, stream: trio.abc.Stream, operation: str, at: int, error: Exception) -> None:
        assert isinstance(stream, trio.StapledStream)
        self._stream = stream
        self._operation, self._left, self._error = operation, at, error

    def _fail(self, operation: str) -> None:
        if operation == self._operation:
            self._left -= 1
            if self._left == 0:
                raise self._error

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        self._fail("receive_some")
        return await self._stream.receive_some(max_bytes)

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._fail("send_all")
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        pass

    async def send_eof(self) -> None:
        await self._stream.send_eof()
        self._fail("send_eof")

    async def aclose(self) -> None:
        await self._stream.aclose()
        self._fail("aclose")


ERRORS: dict[str, Callable[[], Exception]] = {
    "disconnected": trio.BrokenResourceError,
    "io": lambda: OSError(errno.EIO, "no such luck"),
    "bug": lambda: RuntimeError("a bug in a stream"),
}


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize(
    ("operation", "at", "is_seen"),
    [
        pytest.param("receive_some", 1, False, id="first-receive"),
        pytest.param("receive_some", 2, True, id="rest-of-body"),
        pytest.param("receive_some", 3, True, id="lingering"),
        pytest.param("send_all", 1, True, id="continue"),
        pytest.param("send_all", 2, True, id="head"),
        pytest.param("send_all", 3, True, id="chunk"),
        pytest.param("send_all", 4, True, id="last-chunk"),
        pytest.param("send_eof", 1, True, id="half-close"),
        pytest.param("aclose", 1, True, id="close"),
    ],
)
async def test_cn_24_a_fault_of_the_stream(
    operation: str, at: int, is_seen: bool, error: str, autojump_clock: object
) -> None:
    seen: list[str] = []
    streams: list[Faulty] = []

    def pair() -> Pair:
        client, server = memory_stream_pair()
        faulty = Faulty(server, operation, 0 if streams else at, ERRORS[error]())
        streams.append(faulty)
        return client, faulty

    async def after(conn: tt.Conn) -> None:
        seen.append(conn.path)

    async def echo(conn: tt.Conn) -> tt.Conn:
        conn.after_send(after)
        return conn.ok(pieces(await conn.request_body.read()))

    async def pieces(body: bytes) -> AsyncIterator[bytes]:
        yield body

    async with serving(echo, pair=pair) as app:
        client = app.connect()
        fields = ("Expect: 100-continue", "Content-Length: 3", "Connection: close")
        await client.send(request("/faulty", *fields, method="PUT"))
        await settled()
        try:
            await client.send(b"abc")
        except trio.BrokenResourceError:
            pass
        await client.rest()
        await client.stream.aclose()
        await settled()
        # HD-3: once, whatever happened on the way.
        assert seen == (["/faulty"] if is_seen else [])
        assert app.guards == 0
        assert (await app.connect().get("/sound")).is_whole
    assert seen[-1] == "/sound"


@pytest.mark.parametrize(
    ("where", "status", "is_whole"),
    [
        ("run", 500, True),
        ("before_send", 500, True),
        ("first piece", 200, False),
        ("second piece", 200, False),
        ("aclose", 200, True),
        ("after_send", 200, True),
        ("has_upgrade", 500, True),
        ("upgrade", 101, False),
    ],
)
@pytest.mark.parametrize(
    "make",
    [
        lambda: RuntimeError("bug"),
        lambda: ExceptionGroup("two", [KeyError(), OSError()]),
        GeneratorExit,
        Odd,
    ],
    ids=["exception", "group", "generator-exit", "no-exception"],
)
async def test_cn_24_a_fault_of_the_application(
    where: str,
    status: int,
    is_whole: bool,
    make: Callable[[], BaseException],
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    error = make()
    async with serving(Broken(where, error)) as app:
        bystander = app.connect()
        assert (await bystander.get("/sound")).body == b"sound"
        before = trio.lowlevel.current_statistics().tasks_living
        client = app.connect()
        await client.send(request("/broken", *UPGRADE))
        response = await client.response()
        if isinstance(error, Exception):
            assert (response.status, response.is_whole) == (status, is_whole)
        else:
            # Not answered, but it goes no further either.
            assert response.status in (0, status)
        if not is_whole:
            assert await client.ends()
        await client.stream.aclose()
        await settled()
        assert app.guards == 0
        assert trio.lowlevel.current_statistics().tasks_living == before
        for each in (bystander, app.connect()):
            assert (await each.get("/sound")).body == b"sound"
    [record] = [each for each in caplog.records if each.levelno >= logging.INFO]
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert "GET /broken" in record.getMessage()


async def test_cn_27_a_failure_says_where_it_was_raised(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    def look_up() -> None:
        int("boom")

    async def in_a_child() -> None:
        json.loads("{")

    async def handler(conn: tt.Conn) -> tt.Conn:
        match conn.path:
            case "/sync":
                look_up()
            case "/group":
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(in_a_child)
            case "/status":
                raise tt.HttpError(418)
        return None  # type: ignore[return-value]  # on purpose

    async with serving(handler) as app:
        for path in ("/sync", "/group", "/status", "/contract"):
            await app.connect().get(path)
    line = look_up.__code__.co_firstlineno + 1
    sync, group, contract = (
        each.getMessage() for each in caplog.records if each.levelno == logging.ERROR
    )
    assert sync.startswith("unix: GET /sync: ValueError: invalid literal")
    assert sync.endswith(f" (in look_up, test_cn_boundary.py:{line})")
    assert group.endswith(f" (in in_a_child, test_cn_boundary.py:{line + 3})")
    # It is raised by the library, and names the handler.
    assert contract.endswith(".handler returned NoneType instead of its conn")


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (tt.HttpError(418), 418),
        (tt.BadRequest("no"), 400),
        (ExceptionGroup("", [tt.HttpError(409), ExceptionGroup("", [tt.BadRequest()])]), 409),
        (ExceptionGroup("", [tt.HttpError(409), KeyError()]), 500),
        (tt.ClientDisconnected("gone"), 0),
        (ExceptionGroup("", [tt.ClientDisconnected("gone")]), 0),
    ],
)
async def test_cn_24_an_error_with_a_status_is_answered_with_it(
    error: Exception, status: int, autojump_clock: object
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.with_response_header("x-mine", "1").ok("mine")
        raise error

    async with serving(handler) as app:
        client = app.connect()
        response = await client.get()
        assert response.status == status
        assert "x-mine" not in response.headers
        if status:
            # Answered in full: the connection lives on.
            assert (await client.get()).status == status
