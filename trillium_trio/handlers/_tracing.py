"""A span of OpenTelemetry for each request."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, TypeAlias, final

import trio

from .._log import SafeLogger, kind_of
from .._util import check_number
from ..conn import Failure, Handler, OnConn, Outcome, Params
from ..exceptions import ConfigError
from ..http import Networks, parse_traceparent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, ItemsView, Iterable, Iterator

    from opentelemetry.context import Context
    from opentelemetry.trace import Link, Span, SpanContext, TracerProvider

    from ..conn import Conn, Info, Sent

    Attributes: TypeAlias = dict[str, str | int]

__all__ = ["Tracing"]

logger = SafeLogger("trillium_trio.handlers")

_METHODS = frozenset(
    {*("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")}
)
_COMPLETE = Outcome.COMPLETE


@final
class _Traced(OnConn, left_by="Tracing"):
    """The span of a request, its method as it was sent, and what was raised."""

    __slots__ = ("error", "method", "span")

    def __init__(self, span: Span, method: str) -> None:
        self.span = span
        self.method = method
        self.error: str | None = None


@final
class _Attributes(Mapping[str, "str | int"]):
    """What a span says of its request, found out when it is asked for.

    Without an SDK nothing asks, and neither does a sampler that drops the span.
    """

    __slots__ = ("_conn", "_found", "_query")

    def __init__(self, conn: Conn, *, query: bool) -> None:
        self._conn = conn
        self._query = query
        self._found: Attributes | None = None

    def __getitem__(self, name: str) -> str | int:
        return self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def items(self) -> ItemsView[str, str | int]:
        """Return the items of the dict, which a recorded span takes over faster."""
        return self._all().items()

    def copy(self) -> Attributes:
        """Return a dict, as versions of the SDK that take a copy expect."""
        return self._all().copy()

    def _all(self) -> Attributes:
        if self._found is None:
            self._found = _attributes(self._conn, query=self._query)
        return self._found


@final
class Tracing(Handler):
    """Makes a span of OpenTelemetry for each request, named by its method and route.

    It is the current span in the handlers behind this one and while a stream is sent, so that
    their spans are its children. It ends when the request is over, and says how: that it was cut,
    or that the client has disconnected. Put it first, or directly behind `ConnId` and `Forwarded`.
    Needs the extra ``otel``; the application sets up the SDK and its exporter.

    A ``traceparent`` field (W3C Trace Context) says which trace the request is part of. Whoever
    sends it decides whether the trace is recorded. Where anybody can send requests, trust only
    proxies of your own: the spans of all others begin traces, and are linked to what was sent.

    Args:
      trust: The peers whose ``traceparent`` is followed: networks, ``"unix"`` or ``"*"``. Behind
        `Forwarded` the peer is still the proxy. Default: all.
      query: Whether spans have the querystring, which may have secrets in it. Default: False.
      provider: Makes the tracer. Default: the global one.
      flush_timeout: How long its ``force_flush`` may take after the drain. 0: it is not called.
        Unit: seconds. Default: 2. Prevents: the last spans are lost, or the end waits for a
        collector that is down.

    Raises:
      ConfigError: A setting is wrong.
      ImportError: The extra is missing.
    """

    def __init__(
        self,
        *,
        trust: Iterable[str] | str = ("*",),
        query: bool = False,
        provider: TracerProvider | None = None,
        flush_timeout: float = 2.0,
    ) -> None:
        try:
            from opentelemetry import context, trace  # noqa: PLC0415 (an optional dependency)
        except ImportError as error:
            raise ImportError(
                "Tracing needs the extra 'otel': pip install 'trillium-trio[otel]'",
                name="opentelemetry",
            ) from error
        check_number("Tracing.flush_timeout", flush_timeout, least=0)
        if flush_timeout == inf:
            raise ConfigError("Tracing.flush_timeout must end")
        self._trust = Networks(trust, setting="Tracing.trust")
        self._query = query
        self._provider = provider
        self._flush_timeout = flush_timeout
        self._context = context
        self._trace = trace
        self._tracer = trace.get_tracer("trillium_trio", tracer_provider=provider)
        self._kind = trace.SpanKind.SERVER
        self._root = context.Context()

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Flush the provider after the drain.

        Cancellation:
          Nothing is flushed, or the thread that does it is abandoned.
        """
        yield
        await self._flush()

    async def run(self, conn: Conn) -> Conn:
        """Start the span and make it the current one.

        Cancellation:
          None: it does not wait.
        """
        method = conn.head.method
        try:
            parent, links = self._sent(conn)
            span = self._tracer.start_span(
                method if method in _METHODS else "HTTP",
                context=parent,
                kind=self._kind,
                attributes=_Attributes(conn, query=self._query),
                links=links,
            )
        except Exception as error:  # a sampler or a processor of the application
            logger.error("no span for %s", conn.head, exc_info=error)
            return conn
        # Each request of the connection begins with the variables as they were: nothing has to be
        # detached, which could only be done in this task, before a body is sent.
        conn.link.isolate()
        self._context.attach(self._trace.set_span_in_context(span))
        conn.insert_state(_Traced(span, method))
        return conn

    async def before_send(self, conn: Conn) -> Conn:
        """Record the exception that the response is for.

        Cancellation:
          None: it does not wait.
        """
        failure = conn.state(Failure)
        if failure is not None and (traced := conn.state(_Traced)) is not None:
            traced.error = kind_of(failure.error)
            try:
                traced.span.record_exception(failure.error)
            except Exception as error:  # its text may raise
                logger.error("an exception was not recorded", exc_info=error)
        return conn

    def after_send(self, conn: Conn, sent: Sent) -> None:
        """End the span."""
        traced = conn.take_state(_Traced)
        if traced is None:
            return  # a handler in front of this one has answered
        span = traced.span
        if span.is_recording():
            params = conn.state(Params)
            found: Attributes = {}
            if params is not None:
                method = traced.method if traced.method in _METHODS else "HTTP"
                span.update_name(f"{method} {params.template}")
                found["http.route"] = params.template
            if sent.status is not None:
                found["http.response.status_code"] = sent.status
            error = _error(traced, sent)
            if error is not None:
                found["error.type"] = error
                span.set_status(self._trace.StatusCode.ERROR)
            span.set_attributes(found)
        span.end()

    def _sent(self, conn: Conn) -> tuple[Context, list[Link] | None]:
        """Return the context that the span begins in, and what it is only linked to."""
        headers = conn.head.headers
        if headers.get("traceparent") is None:
            return self._root, None
        fields = headers.get_all("traceparent")
        # A field that is there twice was not sent by one sender.
        parsed = parse_traceparent(fields[0]) if len(fields) == 1 else None
        if parsed is None:
            return self._root, None
        trace = self._trace
        remote: SpanContext = trace.SpanContext(
            int(parsed.trace_id, 16),
            int(parsed.parent_id, 16),
            is_remote=True,
            trace_flags=trace.TraceFlags(parsed.flags),
            trace_state=trace.TraceState.from_header(headers.get_all("tracestate")),
        )
        if self._trust.has_peer(conn.transport.peer_ip):
            span = trace.NonRecordingSpan(remote)
            return trace.set_span_in_context(span, self._root), None
        return self._root, [trace.Link(remote)]

    async def _flush(self) -> None:
        """Flush the provider in a thread.

        Cancellation:
          The thread is abandoned.
        """
        provider = self._provider or self._trace.get_tracer_provider()
        flush = getattr(provider, "force_flush", None)
        if flush is None or not self._flush_timeout:
            return
        is_done = False
        with trio.move_on_after(self._flush_timeout):
            try:
                # Older providers return nothing.
                is_done = False is not await trio.to_thread.run_sync(
                    flush, int(self._flush_timeout * 1000), abandon_on_cancel=True
                )
            except Exception as error:  # that of an exporter must not fail the server
                logger.error("the spans of the last requests were not flushed", exc_info=error)
                return
        if not is_done:
            logger.warning(
                "the spans of the last requests were not flushed in %g s", self._flush_timeout
            )


def _attributes(conn: Conn, *, query: bool) -> Attributes:
    head = conn.head
    method = head.method
    found: Attributes = {
        "http.request.method": method,
        "url.scheme": "https" if conn.is_secure else "http",
        "url.path": head.path,
        "network.protocol.version": head.version,
    }
    if method not in _METHODS:
        found["http.request.method"] = "_OTHER"
        found["http.request.method_original"] = method
    if query and head.querystring:
        found["url.query"] = head.querystring
    if (host := conn.host) is not None:
        name, colon, port = host.rpartition(":")
        if colon and port.isdecimal():
            found["server.address"], found["server.port"] = name, int(port)
        else:
            found["server.address"] = host
    if (client := conn.peer_ip) is not None:
        found["client.address"] = client
    if (agent := head.headers.get("user-agent")) is not None:
        found["user_agent.original"] = agent
    return found


def _error(traced: _Traced, sent: Sent) -> str | None:
    """Return why the request counts as failed; None if it does not."""
    if sent.outcome is not _COMPLETE:
        return sent.outcome.value
    if sent.status is None or sent.status < 500:
        return None
    return traced.error or str(sent.status)
