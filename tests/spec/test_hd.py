"""The clauses of docs/spec/handlers.md."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.broken import BrokenEnds
from tests.wire import UPGRADE, chunked, request, serving, settled
from trillium_trio.conn import OnConn
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trillium_trio.conn import HandlerLike


class Noting(tt.Handler):
    """Notes what is called."""

    def __init__(self, name: str, log: list[str], *, halts: bool = False, takes: str = "") -> None:
        self._name, self._log, self._halts, self._takes = name, log, halts, takes

    def _note(self, what: str) -> None:
        self._log.append(f"{self._name}.{what}")

    async def init(self, info: tt.Info) -> None:
        self._note("init")

    @asynccontextmanager
    async def lifespan(self, info: tt.Info) -> AsyncIterator[None]:
        self._note("enter")
        yield
        self._note("leave")

    async def run(self, conn: tt.Conn) -> tt.Conn:
        self._note("run")
        return conn.halt() if self._halts else conn

    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        self._note("before_send")
        return conn.with_added_response_header("x-by", self._name)

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        self._note("has_upgrade")
        return upgrade.path == self._takes

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        self._note("upgrade")
        await upgrade.transport.send_some(self._name.encode())

    @property
    def name(self) -> str:
        return f"Noting({self._name})"


async def test_hd_1_left_to_right_until_halted_then_right_to_left(autojump_clock: object) -> None:
    log: list[str] = []
    nested: HandlerLike = (Noting("b", log), [Noting("c", log, halts=True)], ())
    async with serving((Noting("a", log), nested, Noting("d", log))) as app:
        log.clear()
        response = await app.connect().get()
        assert response.headers["x-by"] == "a"
    assert log[:7] == [
        *("a.run", "b.run", "c.run"),
        *("d.before_send", "c.before_send", "b.before_send", "a.before_send"),
    ]


async def test_hd_1_before_send_runs_for_errors_too(autojump_clock: object) -> None:
    log: list[str] = []

    async def fail(conn: tt.Conn) -> tt.Conn:
        raise tt.HttpError(418)

    async with serving((fail, Noting("a", log))) as app:
        response = await app.connect().get()
        assert (response.status, response.headers["x-by"]) == (418, "a")


FIELD = ("x-field", "value")


async def fail_with_a_field(conn: tt.Conn) -> tt.Conn:
    conn.with_response_header("x-other", "dropped")
    if conn.path == "/group":
        errors = [tt.ClientDisconnected(), tt.HttpError(418, "", [FIELD]), tt.BadRequest()]
        raise ExceptionGroup("several", errors)
    raise tt.HttpError(418, "", [FIELD])


@pytest.mark.parametrize("path", ["/", "/group"])
async def test_cn_29_an_error_is_answered_with_its_fields(
    path: str, autojump_clock: object
) -> None:
    async with serving(fail_with_a_field) as app:
        client = app.connect()
        for _ in range(2):  # the connection goes on
            response = await client.get(path)
            assert (response.status, response.headers[FIELD[0]]) == (418, FIELD[1])
            assert "x-other" not in response.headers


async def test_cn_29_an_option_of_the_connection_is_kept(autojump_clock: object) -> None:
    async def newer(conn: tt.Conn) -> tt.Conn:
        raise tt.UpgradeRequired("newer/2")

    async with serving(newer) as app:
        client = app.connect()
        response = await client.get()
        fields = response.headers
        assert (response.status, fields["upgrade"]) == (426, "newer/2")
        assert fields["connection"] == "upgrade"
        response = await client.get("/", "Connection: close")
        assert response.headers["connection"] == "close, upgrade"


async def test_hd_2_init_and_lifespan_run_once_in_order(autojump_clock: object) -> None:
    log: list[str] = []
    async with serving((Noting("a", log), Noting("b", log))) as app:
        assert log == ["a.init", "b.init", "a.enter", "b.enter"]
        client = app.connect()
        await client.get()
        await client.get()
    assert [each for each in log if each.endswith(("init", "enter", "leave"))] == [
        *("a.init", "b.init", "a.enter", "b.enter"),
        *("b.leave", "a.leave"),
    ]


@pytest.mark.parametrize("where", ["init", "entering", "leaving"])
async def test_hd_2_a_failure_ends_serve_bare(where: str, autojump_clock: object) -> None:
    error = OSError("broken")
    log: list[str] = []
    with pytest.raises(OSError, match="broken") as caught:
        async with serving((Noting("a", log), BrokenEnds(where, error))):
            assert where == "leaving"
    assert caught.value is error
    hook = "init" if where == "init" else "lifespan"
    assert error.__notes__ == [f"in BrokenEnds.{hook}"]


async def test_hd_3_after_send_runs_once_in_order(autojump_clock: object) -> None:
    log: list[object] = []

    async def later(conn: tt.Conn) -> None:
        log.append((conn.path, app.guards))

    async def even_later(conn: tt.Conn) -> None:
        log.append(conn.status)

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.after_send(later).after_send(even_later).ok("x")

    async with serving(handler) as app:
        client = app.connect()
        for path in ("/1", "/2"):
            await client.send(request(path))
            await client.response()
        await settled()
        assert log == [("/1", 1), 200, ("/2", 1), 200]
        assert app.guards == 0


@pytest.mark.parametrize("how", ["raises", "gone", "body breaks", "one fails", "upgrade"])
async def test_hd_3_whether_sending_succeeded_or_not(how: str, autojump_clock: object) -> None:
    log: list[str] = []

    async def fail(conn: tt.Conn) -> None:
        raise RuntimeError("one of them")

    async def later(conn: tt.Conn) -> None:
        log.append("after")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"x"
        if how == "body breaks":
            raise RuntimeError("in the body")

    class Handler(tt.Handler):
        async def run(self, conn: tt.Conn) -> tt.Conn:
            if how == "one fails":
                conn.after_send(fail)
            conn.after_send(later)
            if how == "upgrade":
                return conn.upgrade()
            if how == "raises":
                raise RuntimeError("in the handler")
            if how == "gone":
                await trio.sleep(1)
            return conn.ok(pieces())

        def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
            return True

        async def upgrade(self, upgrade: tt.Upgrade) -> None:
            log.append("upgraded")

    async with serving(Handler()) as app:
        client = app.connect()
        await client.send(request("/", *UPGRADE))
        if how == "gone":
            await settled()
            await client.stream.aclose()
            await trio.sleep(2)
        else:
            await client.response()
            await settled()
        assert log == (["upgraded", "after"] if how == "upgrade" else ["after"])
        assert app.guards == 0


async def test_hd_4_the_first_that_takes_it_gets_the_upgrade(autojump_clock: object) -> None:
    log: list[str] = []

    async def upgrading(conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("upgrade", "x").upgrade()

    handlers = [Noting(name, log, takes="/it") for name in "bc"]
    async with serving((upgrading, Noting("a", log), *handlers)) as app:
        log.clear()
        client = app.connect()
        await client.send(request("/it", *UPGRADE))
        response = await client.response()
        assert (response.status, response.headers["upgrade"]) == (101, "x")
        assert await client.rest() == b"b"
        assert [each for each in log if "upgrade" in each][-2:] == ["b.has_upgrade", "b.upgrade"]
        assert "c.has_upgrade" not in log
        assert "a.run" not in log


async def test_hd_4_nobody_takes_it(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def upgrading(conn: tt.Conn) -> tt.Conn:
        return conn.upgrade()

    async with serving(upgrading) as app:
        assert (await app.connect().get("/", *UPGRADE)).status == 500
    assert "no handler takes the upgrade" in caplog.text


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (chunked(b"x" * 9), 101),
        (chunked(*[b"x" * 1000] * 66), 413),
        (b"no size\r\n", 400),
        (b"9\r\nx", 408),
    ],
    ids=["little", "much", "malformed", "stalled"],
)
async def test_hd_4_an_unread_body_is_read_before(
    body: bytes, status: int, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def upgrading(conn: tt.Conn) -> tt.Conn:
        return conn.upgrade()

    async with serving((upgrading, Noting("a", [], takes="/it"))) as app:
        client = app.connect()
        fields = ("Transfer-Encoding: chunked", *UPGRADE)
        await client.send(request("/it", *fields, method="POST", body=body))
        assert (await client.response()).status == status
        assert await client.rest() == (b"a" if status == 101 else b"")
    assert not [each for each in caplog.records if each.levelno >= logging.WARNING]


class Switching(tt.Handler):
    """Switches, and says so; names the protocol that it is made with, if any."""

    takes_connect = True

    def __init__(self, named: str = "") -> None:
        self._named = named

    async def run(self, conn: tt.Conn) -> tt.Conn:
        if self._named:
            conn.with_response_header("upgrade", self._named)
        return conn.upgrade()

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        return True

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        await upgrade.transport.send_all(b"switched")


@pytest.mark.parametrize("named", ["", "x", "X", "x/2, y"])
@pytest.mark.parametrize("fields", [("Connection: x, Upgrade", "Upgrade: X, x/2", "Upgrade: y, ,")])
async def test_hd_6_a_request_that_offers_it_is_upgraded(
    named: str, fields: tuple[str, ...], autojump_clock: object
) -> None:
    async with serving(Switching(named)) as app:
        client = app.connect()
        await client.send(request("/", *fields))
        assert (await client.response()).status == 101
        assert await client.rest() == b"switched"


@pytest.mark.parametrize("named", ["", "x"])
@pytest.mark.parametrize(
    ("fields", "version"),
    [
        pytest.param((), "1.1", id="nothing"),
        pytest.param(("Upgrade: x",), "1.1", id="no-option"),
        pytest.param(("Connection: upgrade",), "1.1", id="no-field"),
        pytest.param(("Connection: upgrade", "Upgrade:"), "1.1", id="an-empty-field"),
        pytest.param(("Connection: upgrade", "Upgrade: ,"), "1.1", id="an-empty-list"),
        pytest.param((*UPGRADE, "Connection: keep-alive"), "1.0", id="http-1.0"),
    ],
)
async def test_hd_6_one_that_does_not_ask_is_refused(
    fields: tuple[str, ...], version: str, named: str, autojump_clock: object
) -> None:
    async with serving(Switching(named)) as app:
        client = app.connect()
        for _ in range(2):
            await client.send(request("/", *fields, version=version))
            response = await client.response()
            assert (response.status, response.is_whole) == (426 if named else 400, True)
            assert response.headers.get("upgrade", "") == named
            options = response.headers.get("connection", "")
            assert ("upgrade" in options) is bool(named)
            assert "close" not in options


async def test_hd_6_nor_does_one_get_another_protocol(autojump_clock: object) -> None:
    async with serving(Switching("y")) as app:
        client = app.connect()
        response = await client.get("/", *UPGRADE)
        assert (response.status, response.headers["upgrade"]) == (426, "y")
        response = await client.get("/", *UPGRADE[1:], "Connection: upgrade, close")
        assert (response.status, response.headers["connection"]) == (426, "close, upgrade")
        assert await client.ends()


async def test_hd_6_connect_is_no_upgrade(autojump_clock: object) -> None:
    async with serving(Switching("y")) as app:
        client = app.connect()
        await client.send(request("x:1", method="CONNECT"))
        assert (await client.receive()).startswith(b"HTTP/1.1 200 ")
        assert await client.rest() == b"switched"


class Tunnels(tt.Handler):
    takes_connect = True


@pytest.mark.parametrize("takes_connect", [False, True])
async def test_hd_7_connect_is_for_those_who_ask_for_it(
    takes_connect: bool, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "trillium_trio.driver")
    seen: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        seen.append(conn.method)
        return conn.with_status(403)

    async with serving((handler, (Tunnels(),)) if takes_connect else handler) as app:
        client = app.connect()
        await client.send(request("x:1", method="CONNECT"), request())
        response = await client.response("CONNECT")
        assert response.status == (403 if takes_connect else 501)
        assert response.closes is not takes_connect
        if not takes_connect:
            assert await client.ends()
        # Methods are case-sensitive: this is another one.
        assert (await app.connect().get("/", method="Connect")).status == 403
    assert seen == (["CONNECT", "GET", "Connect"] if takes_connect else ["Connect"])
    assert ("501 CONNECT" in caplog.text) is not takes_connect


async def other_conn(conn: tt.Conn) -> object:
    return object()


async def nothing(conn: tt.Conn) -> None:
    pass


class NotAwaitable:
    def __call__(self, conn: tt.Conn) -> int:
        return 5


class Forgetful(tt.Handler):
    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        return None  # type: ignore[return-value]  # the mistake


@pytest.mark.parametrize(
    ("handler", "message"),
    [
        (other_conn, "handler other_conn returned object instead of its conn"),
        (nothing, "handler nothing returned NoneType instead of its conn"),
        ((tt.Status.OK, nothing), "handler nothing returned NoneType instead of its conn"),
        (NotAwaitable(), "handler NotAwaitable returned int, which is not awaitable"),
        (lambda conn: None, "handler <lambda> returned NoneType, which is not awaitable"),
        (Forgetful(), "handler Forgetful returned NoneType instead of its conn"),
        ((Forgetful(), "x"), "handler Forgetful returned NoneType instead of its conn"),
    ],
)
async def test_hd_5_what_is_not_the_conn_is_a_500_that_names_the_handler(
    handler: HandlerLike,
    message: str,
    autojump_clock: object,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with serving(handler) as app:
        assert (await app.connect().get()).status == 500
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert message in record.getMessage()


@pytest.mark.parametrize("handler", [None, (), [None, ()], tt.State(5)])
async def test_hd_5_unanswered_is_404(handler: HandlerLike, autojump_clock: object) -> None:
    async with serving(handler) as app:
        client = app.connect()
        response = await client.get()
        assert (response.status, response.body) == (404, b"Not Found\n")
        assert response.headers["content-type"] == "text/plain; charset=utf-8"
        assert (await client.get()).status == 404


def plain(conn: tt.Conn) -> tt.Conn:
    return conn


@pytest.mark.parametrize("handler", [plain, (None, [plain])])
def test_hd_5_a_plain_function_is_refused_with_the_way_out(handler: HandlerLike) -> None:
    with pytest.raises(TypeError, match=r"plain is a plain function.*sync_handler\(plain\)"):
        tt.Server(handler)


# -- HD-8 ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["returns", "raises", "sets another"])
async def test_hd_8_a_handler_continues_after_its_response(
    how: str, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    calls: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        async def note(_: tt.Conn) -> None:
            calls.append("after")

        if conn.path == "/after":
            conn.after_send(note)
        assert await conn.ok("sent").send_now() is None
        with pytest.raises(tt.MisuseError, match="has been sent"):
            await conn.send_now()
        await trio.sleep(10)
        if how == "raises":
            raise ValueError("late")
        return conn.ok("another") if how == "sets another" else conn

    async with serving((Noting("a", calls), handler)) as app:
        peer = app.connect()
        begin = trio.current_time()
        for path in ("/", "/after"):
            response = await peer.get(path)
            assert (response.body, response.headers["x-by"]) == (b"sent", "a")
            assert app.guards == 1
        assert trio.current_time() == begin + 10
        await trio.sleep(11)
        assert app.guards == 0
    assert calls.count("after") == 1
    assert calls.count("a.before_send") == 2
    assert len([each for each in caplog.records if each.levelno >= logging.ERROR]) == (
        2 if how == "raises" else 0
    )


async def test_hd_8_what_cannot_be_sent_is_raised_and_logged(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> AsyncIterator[bytes]:
        yield b"part"
        raise ValueError("boom")

    async def handler(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(tt.ClientDisconnected):
            await conn.ok(tt.Body.streaming(broken())).send_now()
        return conn

    async with serving(handler) as app:
        response = await app.connect().get()
        assert (response.status, response.is_whole) == (200, False)
    assert sum("boom" in each.getMessage() for each in caplog.records) == 1


@pytest.mark.parametrize(("seconds", "answer"), [(1, "late"), (9, "early")])
async def test_hd_8_one_that_is_cancelled_before_it_sends_has_sent_nothing(
    seconds: float, answer: str, autojump_clock: object
) -> None:
    class Slow(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            await trio.sleep(5)
            return conn

    async def handler(conn: tt.Conn) -> tt.Conn:
        with trio.move_on_after(seconds):
            await conn.ok("early").send_now()
        return conn.ok("late")

    async with TestServer((Slow(), handler)) as app, app.session() as session:
        for _ in range(2):
            (await session.get("/")).assert_ok().assert_body(answer)
            await settled()
            assert app.swansong.guard_count == 0


@pytest.mark.parametrize("then", ["nothing", "send_now"])
async def test_hd_8_a_cancelled_stream_is_not_sent_as_if_it_were_whole(
    then: str, autojump_clock: object
) -> None:
    class Slow(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            await trio.sleep(5 if conn.status == 200 else 0)
            return conn

    async def pieces() -> AsyncIterator[bytes]:
        yield b"never"

    async def handler(conn: tt.Conn) -> tt.Conn:
        with trio.move_on_after(1):
            await conn.ok(tt.Body.streaming(pieces())).send_now()
        if then == "send_now":
            await conn.with_status(503).with_body("again").send_now()
        return conn

    async with TestServer((Slow(), handler)) as app:
        response = await app.get("/")
        if then == "send_now":
            response.assert_status(503).assert_body("again")
        else:
            response.assert_status(500).assert_body("Internal Server Error\n")
        await settled()
        assert app.swansong.guard_count == 0


async def test_hd_8_an_upgrade_gives_the_transport_to_the_handler(autojump_clock: object) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        leftover = await conn.upgrade().send_now()
        assert leftover == b"early"
        upgrade = tt.Upgrade(conn, transport=conn.transport, leftover=leftover)
        await upgrade.transport.send_some(b"from the handler")
        return conn

    async with serving(handler) as app:
        peer = app.connect()
        await peer.send(request("/", *UPGRADE) + b"early")
        assert (await peer.response()).status == 101
        assert await peer.rest() == b"from the handler"
        assert app.guards == 0


async def test_hd_8_interim_responses_and_trailers(autojump_clock: object) -> None:
    async def pieces(conn: tt.Conn) -> AsyncIterator[bytes]:
        yield b"body"
        conn.response_trailers.append("x-sum", "1")

    async def handler(conn: tt.Conn) -> tt.Conn:
        await conn.send_interim(103, tt.Headers([("link", "</a>")]))
        with pytest.raises(ValueError, match="101"):
            await conn.send_interim(101, tt.Headers())
        await conn.ok(tt.Body.streaming(pieces(conn))).send_now()
        with pytest.raises(tt.MisuseError):
            await conn.send_interim(103, tt.Headers())
        return conn

    async with serving(handler) as app:
        peer = app.connect()
        await peer.send(request("/", "TE: trailers", "Connection: close"))
        raw = await peer.rest()
    assert raw.startswith(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\nHTTP/1.1 200 OK\r\n")
    assert raw.endswith(b"4\r\nbody\r\n0\r\nx-sum: 1\r\n\r\n")


class Note(OnConn, left_by="Notes"):
    """What a handler leaves."""

    def __init__(self, text: str) -> None:
        self.text = text


class Notes(tt.Handler):
    """Leaves a note."""

    async def run(self, conn: tt.Conn) -> tt.Conn:
        return conn.with_state(Note("hello"))


async def read_note(conn: tt.Conn) -> tt.Conn:
    return conn.ok(Note.of(conn).text)


async def test_hd_9_what_was_left_is_read_by_its_class(
    autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving((Notes(), read_note)) as app:
        assert (await app.connect().get()).body == b"hello"
    async with serving(read_note) as app:
        assert (await app.connect().get()).status == 500
    [record] = [each for each in caplog.records if each.levelno >= logging.ERROR]
    assert "this conn has no Note: Notes leaves it, and has not run" in record.getMessage()


async def test_hd_2_handlers_inside_others_have_their_turn_once(autojump_clock: object) -> None:
    log: list[str] = []

    class Group(Noting):
        """Runs others, as a router does."""

        @property
        def inner(self) -> tuple[tt.Handler, ...]:
            return members

    shared = Noting("shared", log)
    members: tuple[tt.Handler, ...] = (Noting("b", log), shared)
    async with serving((Group("group", log), shared, Noting("c", log))):
        names = ["group", "b", "shared", "c"]
        assert log == [f"{each}.init" for each in names] + [f"{each}.enter" for each in names]
        log.clear()
    assert log == [f"{each}.leave" for each in reversed(names)]
