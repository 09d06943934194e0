"""The clauses of docs/spec/event-streams.md."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.wire import settled
from trillium_trio.handlers import Event, EventStream
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock


async def ticks(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
    """Count, and say goodbye at the stop."""

    async def ticker() -> AsyncGenerator[int, None]:
        for n in range(1_000_000):
            yield n
            await trio.sleep(1)

    async for n in conn.swansong.interrupt(ticker()):
        yield Event(data=str(n), id=str(n))
    yield Event(event="goodbye", data="restart")


async def silent(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
    yield "first"
    await trio.sleep_forever()


async def test_se_1_a_stream_is_a_chunked_response_that_nobody_keeps(
    autojump_clock: MockClock,
) -> None:
    async with TestServer(EventStream(ticks)) as app:
        events = app.events("/")
        assert await anext(events) == Event(data="0", id="0")
        assert events.status == 200
        assert events.headers.get("content-type") == "text/event-stream"
        assert events.headers.get("cache-control") == "no-store, no-transform"
        assert events.headers.get("x-accel-buffering") == "no"
        assert events.headers.get("transfer-encoding") == "chunked"
        start = trio.current_time()
        assert await anext(events) == Event(data="1", id="1")
        assert trio.current_time() - start == 1


async def test_se_1_head_begins_no_stream() -> None:
    begun: list[str] = []

    async def events(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        begun.append(conn.method)
        yield "x"

    async with TestServer(EventStream(events)) as app:
        response = await app.request("HEAD", "/")
        assert response.headers.get("content-type") == "text/event-stream"
        assert "content-length" not in response.headers
    assert begun == []


@pytest.mark.parametrize(
    ("accept", "is_accepted"),
    [
        ("text/event-stream", True),
        ("text/html, text/*;q=0.5", True),
        ("*/*", True),
        ("", True),
        ("application/json", False),
        ("text/event-stream;q=0, application/json", False),
        ("text/event-stream ; Q=0.000", False),
        ("text/event-stream;q=0.01", True),
    ],
)
async def test_se_1_what_does_not_accept_it_passes_through(accept: str, is_accepted: bool) -> None:
    async with TestServer((EventStream(silent), "page")) as app:
        if is_accepted:
            events = app.events("/", headers={"accept": accept})
            assert await anext(events) == Event(data="first")
            await events.aclose()
        else:
            response = await app.get("/", headers={"accept": accept})
            assert response.body == b"page"
        assert (await app.post("/")).body == b"page"


async def test_se_2_an_event_is_what_the_client_gets() -> None:
    given = [
        Event(data="two\nlines", event="note", id="é"),
        Event(data=""),
        Event(data="\r\n\r", retry=2.5, comment="of\nno interest"),
        Event(comment="nothing else"),
    ]

    async def events(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        for each in given:
            yield each
        yield "text"

    async with TestServer(EventStream(events)) as app:
        reader = app.events("/")
        assert [event async for event in reader] == [
            given[0],
            Event(data="", id="é"),
            Event(data="\n\n", id="é"),
            Event(data="text", id="é"),
        ]
        assert reader.parser.retry == 2.5
        assert reader.is_whole


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\r\nid: 5", "a\0"])
@pytest.mark.parametrize("name", ["id", "event"])
def test_se_2_a_value_cannot_begin_another_field(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"the {name} of an event"):
        Event(**{name: value})  # type: ignore[arg-type]  # mypy takes every field for it


async def test_se_2_what_is_no_event_breaks_the_stream(caplog: pytest.LogCaptureFixture) -> None:
    async def events(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        yield "one"
        yield 2  # type: ignore[misc]  # which is the point

    async with TestServer(EventStream(events)) as app:
        reader = app.events("/")
        assert [event.data async for event in reader] == ["one"]
        assert not reader.is_whole
    assert "an event stream yields Event or str, not int" in caplog.text


async def test_se_3_silence_is_broken_by_a_heartbeat(autojump_clock: MockClock) -> None:
    async with TestServer(EventStream(silent, heartbeat=7)) as app:
        start = trio.current_time()
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        received = b""
        while received.count(b":\n\n") < 2:
            received += await peer.receive_some()
        assert trio.current_time() - start == 14


async def test_se_3_a_client_that_has_left_is_noticed_by_the_heartbeat(
    autojump_clock: MockClock,
) -> None:
    left: list[float] = []

    async def events(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        try:
            yield "first"
            await trio.sleep_forever()
        finally:
            left.append(trio.current_time())

    async with TestServer(EventStream(events, heartbeat=10)) as app:
        reader = app.events("/")
        await anext(reader)
        start = trio.current_time()
        await reader.aclose()
        await trio.sleep(60)
        assert len(left) == 1
        assert left[0] - start <= 20
        assert app.swansong.guard_count == 0


async def test_se_4_the_goodbye_gets_through_and_reconnects_are_spread(
    autojump_clock: MockClock,
) -> None:
    async with TestServer(EventStream(ticks, retry=(3, 4))) as app:
        readers = [app.events("/") for _ in range(20)]
        for reader in readers:
            await anext(reader)
        completion = app.shut_down()
        for reader in readers:
            rest = [event async for event in reader]
            assert rest[-1] == Event(event="goodbye", data="restart", id=reader.parser.last_id)
            assert reader.is_whole
            assert reader.parser.retry is not None
            assert 3 <= reader.parser.retry <= 4
        assert len({reader.parser.retry for reader in readers}) > 1
        report = await completion
        assert report.is_clean
        assert report.finished == 20


@pytest.mark.parametrize("grace", [0.0, 5.0])
async def test_se_5_a_generator_that_does_not_look_is_ended_after_the_grace(
    grace: float, autojump_clock: MockClock
) -> None:
    config = tt.config().with_drain_timeout(30)
    async with TestServer(EventStream(silent, grace=grace, retry=None), config) as app:
        reader = app.events("/")
        await anext(reader)
        start = trio.current_time()
        completion = app.shut_down()
        assert [event async for event in reader] == []
        assert trio.current_time() - start == grace
        assert reader.is_whole
        assert reader.parser.retry is None
        assert (await completion).is_clean


async def test_se_5_a_stream_may_finish(autojump_clock: MockClock) -> None:
    async def long(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        for n in range(100):
            yield str(n)
            await trio.sleep(1)

    config = tt.config().with_drain_timeout(None)
    async with TestServer(EventStream(long, grace=inf), config) as app:
        reader = app.events("/")
        await anext(reader)
        app.shut_down()
        assert len([event async for event in reader]) == 99
        assert reader.is_whole


async def test_se_5_at_the_deadline_of_the_drain_it_is_cut(autojump_clock: MockClock) -> None:
    config = tt.config().with_drain_timeout(3)
    async with TestServer(EventStream(silent, grace=inf), config) as app:
        reader = app.events("/")
        await anext(reader)
        report = await app.shut_down()
        assert not report.is_clean
        assert "GET /" in str(report.cancelled)
        assert "silent" in str(report.cancelled)
        assert [event async for event in reader] == []
        assert not reader.is_whole


async def test_se_6_a_stream_that_begins_in_a_drain_is_answered_like_any_other(
    autojump_clock: MockClock,
) -> None:
    config = tt.config().with_drain_delay(10)
    async with TestServer(EventStream(ticks), config) as app:
        completion = app.shut_down()
        await settled()
        reader = app.events("/")
        assert [event.event async for event in reader] == ["goodbye"]
        assert reader.status == 200
        assert reader.is_whole
        await completion


async def test_se_7_a_generator_that_fails_breaks_the_stream(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def events(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        yield "one"
        raise ValueError("boom")

    async with TestServer(EventStream(events)) as app:
        reader = app.events("/")
        assert [event.data async for event in reader] == ["one"]
        assert not reader.is_whole
        assert app.swansong.guard_count == 0
    [failure] = [record for record in caplog.records if record.levelname == "ERROR"]
    assert "GET /: ValueError: boom (in events, test_se.py:" in failure.getMessage()


@pytest.mark.parametrize(
    ("sent", "known"),
    [("5", "5"), ("\xc3\xa9", "é"), ("\xff", None), ("x" * 1025, None), (None, None)],
)
async def test_se_8_the_last_id_is_what_the_client_says(
    sent: str | None, known: str | None
) -> None:
    seen: list[str | None] = []

    async def events(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        seen.append(EventStream.last_id(conn))
        yield "x"

    async with TestServer(EventStream(events)) as app:
        headers = {} if sent is None else {"last-event-id": sent}
        assert len([event async for event in app.events("/", headers=headers)]) == 1
    assert seen == [known]


@pytest.mark.parametrize(
    "setting",
    [{"heartbeat": 0}, {"grace": -1}, {"retry": (5, 1)}, {"retry": (-1, 1)}, {"grace": "x"}],
)
def test_settings_are_checked(setting: dict[str, float]) -> None:
    with pytest.raises(tt.ConfigError, match="EventStream"):
        EventStream(silent, **setting)  # type: ignore[arg-type]  # of whatever type
