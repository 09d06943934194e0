"""The clauses of docs/spec/tracing.md."""

from __future__ import annotations

import logging
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import trio
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Decision, Sampler, SamplingResult

import trillium_trio as tt
from tests.wire import settled
from trillium_trio.handlers import Head, Router, Tracing
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from opentelemetry.trace import Span
    from opentelemetry.util.types import Attributes
    from trio.testing import MockClock

TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"


class Spans:
    """A provider of the SDK, and the spans that have ended."""

    def __init__(self, sampler: Sampler | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = TracerProvider(sampler=sampler, shutdown_on_exit=False)
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    @property
    def all(self) -> tuple[ReadableSpan, ...]:
        return self.exporter.get_finished_spans()

    @property
    def servers(self) -> list[ReadableSpan]:
        return [each for each in self.all if each.kind is trace.SpanKind.SERVER]


@pytest.fixture
def spans() -> Spans:
    return Spans()


@pytest.fixture(autouse=True)
def _nothing_is_detached_wrongly(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    yield
    assert "detach" not in caplog.text


def attributes(span: ReadableSpan) -> dict[str, object]:
    return dict(span.attributes or {})


async def user(conn: tt.Conn) -> tt.Conn:
    return conn.ok(f"{trace.get_current_span().get_span_context().span_id:016x}")


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(3)
    return conn.ok("slow")


async def breaks(conn: tt.Conn) -> tt.Conn:
    raise ValueError("boom")


async def refuses(conn: tt.Conn) -> tt.Conn:
    return conn.ok("no").with_status(503)


async def severs(conn: tt.Conn) -> tt.Conn:
    async def body() -> AsyncIterator[bytes]:
        yield b"12345"
        raise ValueError("the body")

    return conn.ok(tt.Body.streaming(body()))


def site(tracing: Tracing) -> tuple[tt.Handler, ...]:
    router = Router().get("/users/{id}", user).get("/slow", slow).get("/breaks", breaks)
    return (tracing, router.get("/severs", severs).get("/refuses", refuses))


async def test_tr_1_attributes_and_name(spans: Spans) -> None:
    async with TestServer(site(Tracing(provider=spans.provider))) as app:
        headers = {"host": "shop.example:8080", "user-agent": "test/1"}
        await app.get("/users/7?secret=1", headers=headers)
        await app.request("BREW", "/nowhere", headers={"host": "shop.example"})
    known, other = spans.servers
    assert known.name == "GET /users/{id}"
    assert attributes(known) == {
        "http.request.method": "GET",
        "http.route": "/users/{id}",
        "http.response.status_code": 200,
        "url.scheme": "http",
        "url.path": "/users/7",
        "network.protocol.version": "1.1",
        "server.address": "shop.example",
        "server.port": 8080,
        "user_agent.original": "test/1",
    }
    assert known.status.status_code is trace.StatusCode.UNSET
    assert other.name == "HTTP"
    found = attributes(other)
    assert found["http.request.method"] == "_OTHER"
    assert found["http.request.method_original"] == "BREW"
    assert found["http.response.status_code"] == 404
    assert "server.port" not in found
    assert "http.route" not in found


async def test_tr_1_a_sampler_decides_by_the_attributes() -> None:
    class NoProbes(Sampler):
        def should_sample(
            self,
            parent_context: object,
            trace_id: int,
            name: str,
            kind: object = None,
            attributes: Attributes = None,
            links: object = None,
            trace_state: object = None,
        ) -> SamplingResult:
            assert attributes is not None
            assert attributes["http.request.method"] == name
            assert attributes.keys() >= {"url.path", "url.scheme"}
            assert len(attributes) == len(list(attributes))
            is_probe = attributes.get("url.path") == "/probe"
            decision = Decision.DROP if is_probe else Decision.RECORD_AND_SAMPLE
            return SamplingResult(decision, attributes)

        def get_description(self) -> str:
            return "no probes"

    spans = Spans(NoProbes())
    async with TestServer((Tracing(provider=spans.provider), b"hello")) as app:
        await app.get("/probe")
        await app.get("/shop")
    [span] = spans.servers
    assert attributes(span)["url.path"] == "/shop"


async def test_tr_1_the_query_only_if_wanted(spans: Spans) -> None:
    async with TestServer((Tracing(provider=spans.provider, query=True), b"hello")) as app:
        await app.get("/?a=1")
        await app.get("/")
    assert [attributes(each).get("url.query") for each in spans.servers] == ["a=1", None]


async def test_tr_1_the_method_is_the_one_that_was_sent(spans: Spans) -> None:
    tracing = Tracing(provider=spans.provider)
    async with TestServer((tracing, Head(), Router().get("/x", user))) as app:
        await app.head("/x")
    [span] = spans.servers
    assert span.name == "HEAD /x"


async def test_tr_2_it_is_current_in_handlers_and_streams(spans: Spans) -> None:
    tracer = spans.provider.get_tracer("test")

    async def handler(conn: tt.Conn) -> tt.Conn:
        async def body() -> AsyncIterator[bytes]:
            with tracer.start_as_current_span("in the body"):
                yield b"12345"

        with tracer.start_as_current_span("in the handler"):
            await trio.lowlevel.checkpoint()
        return conn.ok(tt.Body.streaming(body()))

    async with TestServer((Tracing(provider=spans.provider), handler)) as app, app.session() as one:
        for _ in range(3):
            await one.get("/")
    servers = {each.context.span_id for each in spans.servers if each.context}
    assert len(servers) == 3
    assert {each.context.trace_id for each in spans.servers if each.context}
    for name in ("in the body", "in the handler"):
        inner = [each for each in spans.all if each.name == name]
        assert {each.parent.span_id for each in inner if each.parent} == servers
    assert [each.parent for each in spans.servers] == [None, None, None]


async def test_tr_2_the_next_request_does_not_see_it(spans: Spans) -> None:
    seen: list[Span] = []

    async def look(conn: tt.Conn) -> tt.Conn:
        seen.append(trace.get_current_span())
        return conn

    handler = (look, Tracing(provider=spans.provider), b"hello")
    async with TestServer(handler) as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" * 3)
        for _ in range(3):
            await peer.receive_response()
    assert [each.get_span_context().is_valid for each in seen] == [False] * 3


async def test_tr_2_background_work_is_its_child(spans: Spans) -> None:
    tracer = spans.provider.get_tracer("test")

    async def later() -> None:
        with tracer.start_as_current_span("later"):
            pass

    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.start_soon(later)
        return conn.ok("hello")

    async with TestServer((Tracing(provider=spans.provider), handler)) as app:
        await app.get("/")
    [child] = [each for each in spans.all if each.name == "later"]
    [server] = spans.servers
    assert child.parent is not None
    assert server.context is not None
    assert child.parent.span_id == server.context.span_id


async def test_tr_3_a_trusted_peer_is_followed(spans: Spans) -> None:
    async with TestServer((Tracing(provider=spans.provider), b"hello")) as app:
        await app.get("/", headers={"traceparent": TRACEPARENT, "tracestate": "shop=1"})
        await app.get("/", headers={"traceparent": TRACEPARENT.replace("-01", "-00")})
    # What the sender does not record is not recorded here either.
    [span] = spans.servers
    assert span.parent is not None
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE
    assert f"{span.parent.span_id:016x}" == PARENT
    assert span.parent.is_remote
    assert span.context.trace_state.get("shop") == "1"


async def test_tr_3_any_other_is_linked(spans: Spans) -> None:
    tracing = Tracing(provider=spans.provider, trust=["10.0.0.0/8"])
    async with TestServer((tracing, b"hello")) as app:
        await app.get("/", headers={"traceparent": TRACEPARENT})
    [span] = spans.servers
    assert span.parent is None
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" != TRACE
    [link] = span.links
    assert f"{link.context.span_id:016x}" == PARENT


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("traceparent", "x")],
        [("traceparent", TRACEPARENT.upper())],
        [("traceparent", f"ff{TRACEPARENT[2:]}")],
        [("traceparent", f"{TRACEPARENT}-x")],
        [("traceparent", f"00-{'0' * 32}-{PARENT}-01")],
        [("traceparent", f"00-{TRACE}-{'0' * 16}-01")],
        [("traceparent", TRACEPARENT), ("traceparent", TRACEPARENT)],
    ],
)
async def test_tr_3_a_malformed_one_is_none(fields: list[tuple[str, str]], spans: Spans) -> None:
    async with TestServer((Tracing(provider=spans.provider), b"hello")) as app:
        await app.get("/", headers=fields)
    [span] = spans.servers
    assert (span.parent, span.links) == (None, ())


async def test_tr_3_a_later_version_is_read(spans: Spans) -> None:
    async with TestServer((Tracing(provider=spans.provider), b"hello")) as app:
        await app.get("/", headers={"traceparent": f"cc{TRACEPARENT[2:]}-what-comes"})
    assert spans.servers[0].parent is not None


async def test_tr_4_how_it_has_ended(spans: Spans, autojump_clock: MockClock) -> None:
    handler = site(Tracing(provider=spans.provider))
    async with TestServer(handler, tt.Config(drain_timeout=1)) as app:
        await app.get("/breaks")
        await app.get("/refuses")
        with pytest.raises(ConnectionResetError):
            await app.get("/severs")
        peer = app.connect()
        await peer.send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await settled()
        peer.reset()
        await trio.sleep(5)
        await app.connect().send(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
        await settled()
        await app.shut_down()
    ends = []
    for each in spans.servers:
        found = attributes(each)
        ends.append((each.name, found.get("http.response.status_code"), found["error.type"]))
    assert ends == [
        ("GET /breaks", 500, "ValueError"),
        ("GET /refuses", 503, "503"),
        ("GET /severs", 200, "failed"),
        ("GET /slow", 200, "disconnected"),
        ("GET /slow", 503, "cut"),
    ]
    assert {each.status.status_code for each in spans.servers} == {trace.StatusCode.ERROR}
    [event] = spans.servers[0].events
    assert event.name == "exception"
    assert (event.attributes or {})["exception.message"] == "boom"


class NoText(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


async def test_tr_5_an_exception_without_text(spans: Spans) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        raise NoText

    async with TestServer((Tracing(provider=spans.provider), handler)) as app:
        assert (await app.get("/")).status == 500
    [span] = spans.servers
    assert attributes(span)["error.type"] == "NoText"


class Broken(Sampler):
    def should_sample(self, *args: object, **kwargs: object) -> object:  # type: ignore[override]  # it raises
        raise RuntimeError("the sampler")

    def get_description(self) -> str:
        return "broken"


async def test_tr_5_without_a_span_requests_are_served(caplog: pytest.LogCaptureFixture) -> None:
    spans = Spans(Broken())
    async with TestServer((Tracing(provider=spans.provider), b"hello")) as app:
        assert (await app.get("/")).body == b"hello"
    assert "no span for GET /" in caplog.text
    assert spans.all == ()


async def test_tr_5_a_handler_in_front_has_answered(spans: Spans) -> None:
    async with TestServer((b"first", Tracing(provider=spans.provider))) as app:
        assert (await app.get("/")).body == b"first"
    assert spans.all == ()


async def test_tr_5_what_is_not_sampled() -> None:
    spans = Spans(ALWAYS_OFF)
    async with TestServer(site(Tracing(provider=spans.provider))) as app:
        assert (await app.get("/breaks")).status == 500
        assert (await app.get("/users/1")).status == 200
    assert spans.all == ()


async def test_tr_5_without_a_provider() -> None:
    async with TestServer(site(Tracing())) as app:
        headers = {"traceparent": TRACEPARENT}
        # Without an SDK the span is that of the sender.
        assert (await app.get("/users/1", headers=headers)).text == PARENT


class Flushing(TracerProvider):
    """Notes in which thread it is flushed, and does what it is told to."""

    def __init__(self, result: object = True) -> None:
        super().__init__(shutdown_on_exit=False)
        self.threads: list[threading.Thread] = []
        self.result = result

    def force_flush(self, timeout_millis: int = 0) -> bool:
        self.threads.append(threading.current_thread())
        if isinstance(self.result, threading.Event):
            return self.result.wait(60)
        if isinstance(self.result, Exception):
            raise self.result
        return bool(self.result)


async def test_tr_6_flushed_in_a_thread(caplog: pytest.LogCaptureFixture) -> None:
    provider = Flushing()
    async with TestServer((Tracing(provider=provider), b"hello")) as app:
        await app.get("/")
        assert provider.threads == []
    [thread] = provider.threads
    assert thread is not threading.current_thread()
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


@pytest.mark.parametrize("result", [False, RuntimeError("no collector")], ids=["False", "raises"])
async def test_tr_6_a_flush_that_fails(result: object, caplog: pytest.LogCaptureFixture) -> None:
    async with TestServer((Tracing(provider=Flushing(result)), b"hello")) as app:
        await app.get("/")
    assert "were not flushed" in caplog.text


async def test_tr_6_a_flush_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    release = threading.Event()
    tracing = Tracing(provider=Flushing(release), flush_timeout=0.01)
    async with TestServer((tracing, b"hello")) as app:
        await app.get("/")
    release.set()
    assert "were not flushed in 0.01 s" in caplog.text


async def test_tr_6_none_is_wanted() -> None:
    provider = Flushing()
    async with TestServer((Tracing(provider=provider, flush_timeout=0), b"hello")) as app:
        await app.get("/")
    assert provider.threads == []


def test_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(tt.ConfigError, match=r"Tracing\.trust"):
        Tracing(trust=["nonsense"])
    for wrong in (-1, float("inf")):
        with pytest.raises(tt.ConfigError, match="flush_timeout"):
            Tracing(flush_timeout=wrong)
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    with pytest.raises(ImportError, match=r"trillium-trio\[otel\]"):
        Tracing()
