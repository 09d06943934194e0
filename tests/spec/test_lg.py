"""The clauses of docs/spec/logger.md."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import threading
import time
from datetime import UTC, datetime
from math import inf
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import trillium_trio as tt
from tests.wire import request, serving, settled
from trillium_trio.asgi import Asgi
from trillium_trio.handlers import EventStream, Logger, WebSocket, WebSocketConn
from trillium_trio.handlers.logger import _writer
from trillium_trio.handlers.logger._text import Stamps, escape
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from trio.testing import MockClock

# Any: members of JSON.
STAMP = r"\[\d\d/[A-Z][a-z][a-z]/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
TEMPLATE = "%(r)s %(s)s %(B)s %(L)s %(outcome)s"


async def handle(conn: tt.Conn) -> tt.Conn:
    match conn.path:
        case "/raise":
            raise ValueError("boom")
        case "/refuse":
            raise tt.BadRequest("no")
        case "/sleep":
            await trio.sleep_forever()
        case "/two-seconds":
            await trio.sleep(2)
        case "/endless":
            return conn.ok(tt.Body.streaming(endless()))
        case "/breaks":
            return conn.ok(tt.Body.streaming(breaks_off()))
        case "/none":
            return conn
        case "/read":
            await conn.request_body.read()
    return conn.ok("hello")


async def endless() -> AsyncIterator[bytes]:
    while True:
        yield b"12345"
        await trio.sleep(1)


async def breaks_off() -> AsyncIterator[bytes]:
    yield b"12345"
    raise ValueError("the body")


async def events(conn: tt.Conn) -> AsyncIterator[str]:
    yield "one"
    await trio.sleep(3)
    yield "two"


async def talk(ws: WebSocketConn) -> None:
    async for message in ws:
        await ws.send(message)


# -- LG-1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("/", "GET / HTTP/1.1 200 5 0.000000 complete"),
        ("/none", "GET /none HTTP/1.1 404 10 0.000000 complete"),
        ("/raise", "GET /raise HTTP/1.1 500 22 0.000000 complete"),
        ("/refuse", "GET /refuse HTTP/1.1 400 12 0.000000 complete"),
        ("/breaks", "GET /breaks HTTP/1.1 200 5 0.000000 failed"),
        ("/two-seconds", "GET /two-seconds HTTP/1.1 200 5 2.000000 complete"),
    ],
)
async def test_lg_1_each_answer_has_a_line(
    target: str, line: str, autojump_clock: MockClock
) -> None:
    lines: list[str] = []
    async with serving((Logger(TEMPLATE, target=lines.append), handle)) as app:
        await app.connect().get(target)
        await settled()
    assert lines == [line]


async def test_lg_1_what_is_cut_has_a_line(autojump_clock: MockClock) -> None:
    lines: list[str] = []
    logger = Logger(TEMPLATE, target=lines.append)
    async with serving((logger, handle), tt.config().with_drain_timeout(10)) as app:
        sleeping, streaming = app.connect(), app.connect()
        await sleeping.send(request("/sleep"))
        await streaming.send(request("/endless"))
        await trio.sleep(1.5)
        app.handle.shut_down()
        assert (await sleeping.response()).status == 503
        await streaming.response()
        await app.handle
    assert sorted(lines) == [
        "GET /endless HTTP/1.1 200 60 11.500000 cut",
        "GET /sleep HTTP/1.1 503 20 11.500000 cut",
    ]


async def test_lg_1_a_client_that_leaves_has_a_line(autojump_clock: MockClock) -> None:
    lines: list[str] = []
    async with serving((Logger(TEMPLATE, target=lines.append), handle)) as app:
        client = app.connect()
        await client.send(request("/read", "Content-Length: 10", method="PUT"))
        await trio.sleep(1)
        await client.stream.aclose()
        await settled()
        client = app.connect()
        await client.send(request("/endless"))
        await trio.sleep(1.5)
        await client.stream.aclose()
        await trio.sleep(1)
    assert lines[0] == "PUT /read HTTP/1.1 - 0 1.000000 disconnected"
    assert lines[1] == "GET /endless HTTP/1.1 200 10 2.000000 disconnected"


async def test_lg_1_streams_and_upgrades_have_theirs_at_the_end(autojump_clock: MockClock) -> None:
    lines: list[str] = []
    logger = Logger(TEMPLATE, target=lines.append)
    async with TestServer((logger, EventStream(events, retry=None))) as app:  # type: ignore[arg-type]  # a generator
        assert [event.data async for event in app.events("/events")] == ["one", "two"]
    assert lines == ["GET /events HTTP/1.1 200 22 3.000000 complete"]
    lines.clear()
    async with TestServer((logger, WebSocket(talk))) as app, app.websocket("/ws") as ws:
        await ws.send("hello")
        await trio.sleep(5)
        assert lines == []
    assert lines == ["GET /ws HTTP/1.1 101 0 5.000000 complete"]


async def test_lg_1_an_asgi_application_has_its_lines(autojump_clock: MockClock) -> None:
    async def app(scope: object, receive: object, send: Callable[..., object]) -> None:
        await send({"type": "http.response.start", "status": 201, "headers": []})  # type: ignore[misc]  # it is async
        await send({"type": "http.response.body", "body": b"hello"})  # type: ignore[misc]  # the same
        await trio.sleep(7)

    async def wrapped(scope: dict[str, object], receive: object, send: object) -> None:
        if scope["type"] == "http":
            await app(scope, receive, send)  # type: ignore[arg-type]  # it is callable

    lines: list[str] = []
    logger = Logger(TEMPLATE, target=lines.append)
    async with TestServer((logger, Asgi(wrapped))) as server:  # type: ignore[arg-type]  # only HTTP
        await server.get("/")
    assert lines == ["GET / HTTP/1.1 201 5 0.000000 complete"]


async def test_lg_1_what_never_was_a_request_has_none(autojump_clock: MockClock) -> None:
    lines: list[str] = []
    async with serving((Logger(TEMPLATE, target=lines.append), handle)) as app:
        client = app.connect()
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n")
        assert (await client.response()).status == 400
        client = app.connect()
        await client.send(b"GET / HT")
        assert (await client.response()).status == 408
    assert lines == []


# -- LG-2 and LG-3 -----------------------------------------------------------------------------


async def line_of(
    logger_format: str, *fields: str, target: str = "/a?b=c", **options: object
) -> str:
    lines: list[str] = []
    logger = Logger(logger_format, target=lines.append, **options)  # type: ignore[arg-type]  # of any type

    async def typed(conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("content-type", "text/html")

    async with serving((logger, typed, handle)) as app:
        await app.connect().get(target, *fields)
        await settled()
    [line] = lines
    return line


AGENT = ("Referer: http://a/b", "User-Agent: browser/1.0")


async def test_lg_2_dev(autojump_clock: MockClock) -> None:
    assert await line_of("dev") == "GET /a?b=c 200 0.00ms 5B"
    assert await line_of("dev", target="/two-seconds") == "GET /two-seconds 200 2000ms 5B"
    assert await line_of("dev", target="/breaks") == "GET /breaks 200 0.00ms 5B failed"
    coloured = await line_of("dev", colour=True)
    assert coloured == "GET /a?b=c \033[32m200\033[0m 0.00ms 5B"
    assert "\033[31m500\033[0m" in await line_of("dev", target="/raise", colour=True)
    assert "\033[31mfailed\033[0m" in await line_of("dev", target="/breaks", colour=True)


async def test_lg_2_common_and_combined(autojump_clock: MockClock) -> None:
    common = rf'- - - {STAMP} "GET /a\?b=c HTTP/1\.1" 200 5'
    assert re.fullmatch(common, await line_of("common", *AGENT))
    combined = await line_of("combined", *AGENT)
    assert re.fullmatch(rf'{common} "http://a/b" "browser/1\.0"', combined)
    assert (await line_of("combined")).endswith('200 5 "-" "-"')
    template = '%(h)s - %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'
    same = await line_of(template, *AGENT)
    assert re.sub(STAMP, "", combined) == re.sub(STAMP, "", same)


async def test_lg_2_the_time_is_that_of_the_request(autojump_clock: MockClock) -> None:
    async def early(conn: tt.Conn) -> tt.Conn:
        await conn.ok("hello").send_now()
        await trio.sleep(1000)  # of virtual time
        return conn

    lines: list[str] = []
    async with serving((Logger("json", target=lines.append), early)) as app:
        await app.connect().get()
        await trio.sleep(1001)
    record = json.loads(lines[0])
    assert record["duration"] < 1
    assert datetime.fromisoformat(record["time"]).timestamp() < time.time() - 900


async def test_lg_2_json(autojump_clock: MockClock) -> None:
    before = time.time()
    line = await line_of("json", *AGENT, target="/two-seconds?x")
    record = json.loads(line)
    assert list(record) == [
        *["time", "peer", "method", "target", "version"],
        *["status", "bytes", "duration", "outcome"],
    ]
    came = datetime.fromisoformat(record.pop("time")).timestamp()
    assert before - 2.01 < came < time.time() - 1.99, "when the request came"
    assert record == {
        "peer": None,
        "method": "GET",
        "target": "/two-seconds?x",
        "version": "1.1",
        "status": 200,
        "bytes": 5,
        "duration": 2.0,
        "outcome": "complete",
    }
    assert json.loads(await line_of("json", target="/none"))["status"] == 404


def test_lg_2_times() -> None:
    stamps = Stamps()
    when = datetime(2026, 11, 26, 14, 2, 44, 567_890, UTC).timestamp()
    assert stamps.utc(when) == "2026-11-26T14:02:44.567Z"
    assert stamps.utc(when + 0.4) == "2026-11-26T14:02:44.967Z"
    assert stamps.utc(when + 1) == "2026-11-26T14:02:45.567Z"
    local = time.strftime("[%d/%b/%Y:%H:%M:%S %z]", time.localtime(when))
    assert stamps.local(when) == stamps.local(when + 0.1) == local
    assert re.fullmatch(STAMP, local)


def test_lg_2_local_time_has_its_offset(monkeypatch: pytest.MonkeyPatch) -> None:
    when = datetime(2026, 7, 1, 23, 0, 0, tzinfo=UTC).timestamp()
    try:
        for zone, shown in [
            ("Asia/Kolkata", "[02/Jul/2026:04:30:00 +0530]"),
            ("America/St_Johns", "[01/Jul/2026:20:30:00 -0230]"),
        ]:
            monkeypatch.setenv("TZ", zone)
            time.tzset()
            assert Stamps().local(when) == shown
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("template", "shown"),
    [
        ("%(h)s %(l)s %(u)s", "- - -"),
        ("%(m)s %(U)s %(q)s %(H)s %(S)s", "GET /a b=c HTTP/1.1 http"),
        ("%(s)s %(st)s %(b)s %(B)s", "200 OK 5 5"),
        ("%(T)s %(M)s %(D)s %(L)s", "0 0 0 0.000000"),
        ("%(f)s|%(a)s", "http://a/b|browser/1.0"),
        ("%({X-One}i)s %({x-none}i)s", "1, 2 -"),
        ("%({content-type}o)s %({x-none}o)s", "text/html -"),
        ("100%% %(outcome)s", "100% complete"),
        ("%(own)s", "5"),
    ],
)
async def test_lg_3_fields(template: str, shown: str, autojump_clock: MockClock) -> None:
    fields = (*AGENT, "X-One: 1", "X-One: 2")
    own = {"own": lambda _: 5} if "own" in template else {}
    assert await line_of(template, *fields, fields=own) == shown


async def test_lg_3_the_process_and_the_time(autojump_clock: MockClock) -> None:
    assert await line_of("%(p)s") == f"<{os.getpid()}>"
    assert re.fullmatch(STAMP, await line_of("%(t)s"))


async def test_lg_3_durations(autojump_clock: MockClock) -> None:
    line = await line_of("%(T)s %(M)s %(D)s %(L)s", target="/two-seconds")
    assert line == "2 2000 2000000 2.000000"


async def test_lg_3_a_function_that_raises_takes_only_its_place(autojump_clock: MockClock) -> None:
    def broken(conn: tt.Conn) -> object:
        raise ValueError("no")

    fields: dict[str, Callable[[tt.Conn], object]] = {
        "broken": broken,
        "none": lambda _: None,
        "text": lambda _: "ü",
        "list": lambda _: [1],
        "flag": lambda _: True,
        "half": lambda _: 0.5,
        "inf": lambda _: inf,
    }
    template = "%(broken)s %(none)s %(text)s %(list)s %(flag)s %(half)s %(inf)s %(s)s"
    text = await line_of(template, fields=fields)
    assert text == r"<broken that raised ValueError> - \xfc [1] True 0.5 inf 200"
    record = json.loads(await line_of("json", fields=fields))
    assert list(record.items())[9:] == [
        *[("broken", "<broken that raised ValueError>"), ("none", None), ("text", "ü")],
        *[("list", "[1]"), ("flag", True), ("half", 0.5), ("inf", "inf")],
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"format": "apache"}, "'apache' is no format"),
        ({"format": "%(x)s"}, "no field '%(x)s'"),
        ({"format": "%(r)s %(s)d"}, "no field '%(s)d'"),
        ({"format": "%r"}, "no field '%r'"),
        ({"format": "%(s)s 100%"}, "no field '%'"),
        ({"format": "%({x}e)s"}, "no field '%({x}e)s'"),
        ({"format": "common", "fields": {"a": id}}, "the format 'common' shows none"),
        ({"format": "%(s)s", "fields": {"own": id}}, "uses no %(own)s"),
        ({"format": "json", "fields": {"status": id}}, "json has status already"),
        ({"format": "%(s)s", "fields": {"s": id}}, "%(s)s is taken"),
        ({"max_field_chars": 0}, "max_field_chars"),
        ({"target": 5}, "target cannot be 5"),
    ],
)
def test_lg_3_settings_are_checked(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(tt.ConfigError, match=re.escape(message)):
        Logger(**arguments)  # type: ignore[arg-type]  # that is wrong


# -- LG-4 and LG-5 -----------------------------------------------------------------------------

AGENT_SENT = 'x" 200 5\\ \x9b31m\xe9'
HOSTILE = AGENT_SENT + "\x7f\t\n\x1b[2J"


async def test_lg_4_no_line_can_be_forged(autojump_clock: MockClock) -> None:
    lines: list[str] = []

    async def leave(conn: tt.Conn) -> tt.Conn:
        return conn.ok("x")

    own = {"own": lambda _: "a\nb\x1b[2J€😀"}
    loggers = [
        Logger("combined", target=lines.append),
        Logger("%(a)s %(own)s", target=lines.append, fields=own),
        Logger("json", target=lines.append, fields={**own, "ua": lambda _: HOSTILE}),
    ]
    async with serving((*loggers, leave)) as app:
        client = app.connect()
        fields = f"Host: x\r\nUser-Agent: {AGENT_SENT}\r\n\r\n"
        await client.send(f'GET /a"b?\\c HTTP/1.1\r\n{fields}'.encode("latin-1"))
        assert (await client.response()).status == 200
    as_json, template, combined = lines
    agent = r"x\" 200 5\\ \x9b31m\xe9"
    assert '"GET /a\\"b?\\\\c HTTP/1.1" 200 1' in combined
    assert combined.endswith(f'"{agent}"')
    assert template == rf"{agent} a\x0ab\x1b[2J\u20ac\U0001f600"
    assert all(line.isascii() and line.isprintable() for line in lines)
    record = json.loads(as_json)
    assert (record["target"], record["ua"]) == ('/a"b?\\c', HOSTILE)


@given(st.text())
def test_lg_4_escaped_text_is_visible_and_can_be_read_back(text: str) -> None:
    escaped = escape(text)
    assert escaped.isascii()
    assert escaped.isprintable()
    assert '"' not in re.sub(r"\\.", "", escaped)
    assert escaped.encode().decode("unicode_escape") == text


async def test_lg_4_values_have_an_end(autojump_clock: MockClock) -> None:
    long = f"User-Agent: {'x' * 2000}"
    assert await line_of("%(a)s", long) == "x" * 1024 + "..."
    own = {"own": lambda _: "y" * 50}
    assert await line_of("%(own)s", fields=own, max_field_chars=10) == "y" * 10 + "..."
    record = json.loads(await line_of("json", fields=own, max_field_chars=10))
    assert record["own"] == "y" * 10 + "..."


@pytest.mark.parametrize("name", ["dev", "common", "combined", "json", "%(r)s %(q)s %(U)s"])
async def test_lg_5_the_query_can_be_left_out(name: str, autojump_clock: MockClock) -> None:
    assert "b=c" in await line_of(name)
    without = await line_of(name, query=False)
    assert "b=c" not in without
    assert "/a" in without


# -- LG-6 and LG-7 -----------------------------------------------------------------------------


async def test_lg_6_lines_are_in_the_file_when_the_server_has_ended(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "access.log"
    path.write_text("before\n", encoding="ascii")
    logger = Logger("%(r)s", target=path)
    for _ in range(2):
        async with serving((logger, handle)) as app:
            client = app.connect()
            for number in range(500):
                await client.get(f"/{number}")
    lines = path.read_text(encoding="ascii").splitlines()
    assert lines == ["before", *[f"GET /{number} HTTP/1.1" for number in range(500)] * 2]
    assert not any(each.name == "access log" for each in threading.enumerate())


async def test_lg_6_the_line_of_the_last_request_of_a_drain_is_written(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path = tmp_path / "access.log"
    config = tt.config().with_drain_timeout(10)
    async with serving((Logger(TEMPLATE, target=str(path)), handle), config) as app:
        client = app.connect()
        await client.send(request("/sleep"))
        await settled()
        app.handle.shut_down()
    assert path.read_text(encoding="ascii") == "GET /sleep HTTP/1.1 503 20 10.000000 cut\n"


async def test_lg_6_standard_output_is_the_default(
    capsys: pytest.CaptureFixture[str], autojump_clock: MockClock
) -> None:
    async with serving((Logger(), handle)) as app:
        await app.connect().get()
    assert capsys.readouterr().out == "GET / 200 0.00ms 5B\n"


class Pipe(io.StringIO):
    """Remembers the pieces."""

    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def write(self, text: str) -> int:
        self.pieces.append(text)
        return super().write(text)


async def test_lg_6_lines_of_several_processes_do_not_mix(autojump_clock: MockClock) -> None:
    pipe = Pipe()
    targets = [f"/{number}/{'x' * (number * 7 % 6000)}" for number in range(100)]
    async with serving((Logger("%(r)s", target=pipe), handle)) as app:
        client = app.connect()
        for each in targets:
            await client.get(each)
    assert pipe.getvalue().splitlines() == [f"GET {each} HTTP/1.1" for each in targets]
    assert all(each.endswith("\n") for each in pipe.pieces)
    # But for single lines that are longer.
    assert all(len(each) <= 4096 or each.count("\n") == 1 for each in pipe.pieces)
    assert len(pipe.pieces) < len(targets)


class Full(io.StringIO):
    """Takes nothing."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


async def test_lg_6_what_cannot_be_written_is_logged(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    async with serving((Logger("%(r)s", target=Full()), handle)) as app:
        client = app.connect()
        for _ in range(3):
            assert (await client.get()).status == 200
    messages = [each.getMessage() for each in caplog.records if "access log" in each.getMessage()]
    assert sum(int(re.findall(r"(\d+) lines lost", each)[0]) for each in messages) == 3
    assert "No space left on device" in messages[0]


class Stuck(io.StringIO):
    """Is not read."""

    def __init__(self) -> None:
        super().__init__()
        self.is_stuck = threading.Event()
        self.gate = threading.Event()

    def write(self, text: str) -> int:
        self.is_stuck.set()
        self.gate.wait(30)
        return super().write(text)


async def test_lg_6_a_target_that_takes_nothing_delays_nobody_for_long(
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    autojump_clock: MockClock,
) -> None:
    monkeypatch.setattr(_writer, "_MAX_LINES", 10)
    monkeypatch.setattr(_writer, "_LAST_SECONDS", 0.01)
    stuck = Stuck()
    logger = Logger("%(r)s", target=stuck)
    async with serving((logger, handle)) as app:
        client = app.connect()
        assert (await client.get("/0")).status == 200
        assert stuck.is_stuck.wait(30), "from here on the thread waits"
        for number in range(1, 30):
            assert (await client.get(f"/{number}")).status == 200
    threads = [each for each in threading.enumerate() if each.name == "access log"]
    stuck.gate.set()
    for each in threads:
        each.join(30)
    messages = [each.getMessage() for each in caplog.records if "access log" in each.getMessage()]
    assert "takes nothing" in messages[0]
    assert any("lines dropped" in each for each in messages[1:])
    written = stuck.getvalue().splitlines()
    assert written == [f"GET /{number} HTTP/1.1" for number in range(len(written))]
    # And the next server begins anew.
    async with serving((logger, handle)) as app:
        await app.connect().get("/again")
    assert stuck.getvalue().endswith("/again HTTP/1.1\n")


async def test_lg_6_a_file_that_was_moved_is_opened_anew(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    path, moved = tmp_path / "access.log", tmp_path / "access.log.1"
    sink = _writer.FileSink(path)
    sink.open()
    sink.write("one\n")
    path.rename(moved)
    sink.write("two\n")
    path.unlink()
    sink.write("three\n")
    sink.close()
    assert moved.read_text(encoding="ascii") == "one\n"
    assert path.read_text(encoding="ascii") == "three\n"


async def test_lg_6_a_file_that_cannot_be_opened_ends_the_start(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "access.log"
    with pytest.raises(tt.ConfigError, match=r"access\.log: No such file or directory"):
        async with serving((Logger(target=path), handle)):
            pass


async def test_lg_7_a_logger_of_the_standard_library(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    caplog.set_level(logging.INFO)
    async with serving((Logger("%(r)s 100%%", target=logging.getLogger("access")), handle)) as app:
        await app.connect().get("/a%20b")
    [record] = [each for each in caplog.records if each.name == "access"]
    assert (record.getMessage(), record.levelno) == ("GET /a%20b HTTP/1.1 100%", logging.INFO)


async def test_lg_7_servers_share_a_logger(tmp_path: Path, autojump_clock: MockClock) -> None:
    path = tmp_path / "access.log"
    handler = (Logger("%(r)s", target=path), handle)
    async with serving(handler) as outer:
        async with serving(handler) as inner:
            await inner.connect().get("/inner")
        await outer.connect().get("/outer")
    assert path.read_text(encoding="ascii") == "GET /inner HTTP/1.1\nGET /outer HTTP/1.1\n"


async def test_lg_7_a_function_that_raises_harms_nobody(
    caplog: pytest.LogCaptureFixture, autojump_clock: MockClock
) -> None:
    def broken(line: str) -> None:
        raise ValueError(line)

    async with serving((Logger("%(r)s", target=broken), handle)) as app:
        client = app.connect()
        for _ in range(2):
            assert (await client.get()).status == 200
    messages = [each.getMessage() for each in caplog.records]
    assert sum("Logger(%(r)s).after_send raised" in each for each in messages) == 2


def test_lg_7_the_name_has_the_format() -> None:
    assert Logger("json").name == "Logger(json)"


def test_lg_1_a_plain_response_stays_one() -> None:
    """The row and the short cut are for what has no hook before sending."""
    logger = Logger()
    assert not logger.overrides("run")
    assert not logger.overrides("before_send")
