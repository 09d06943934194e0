"""Ready-made handlers: one file or folder each; only Admin and Channels import others.

.. code-block:: text

    Admin           what a service does, live, for those who run it
    BasicAuth       who asks, by name and password; BearerAuth by token
    CachingHeaders  304 and 412 from preconditions; check_preconditions before a write
    Channels        topics over WebSocket, with the protocol of Phoenix's clients
    Compression     responses in zstd, br or gzip, as the client accepts it
    Concurrency     so many requests at once, the others in line; LoadShed, RateLimit
    ConnId          an id for each request, its response and its log lines
    Cookies         what the client sent, and what the response sets
    Cors            what pages of other origins may do
    Csrf            refuses what pages of other origins have a browser send
    ErrorPages      pages for errors, with the traceback where the service is developed
    EventStream     server-sent events from a generator, which may send a last one at the stop
    Forms           forms and uploads, urlencoded and multipart
    Forwarded       the client behind trusted proxies: its address, scheme and host
    Head            HEAD as GET without the body; MethodOverride for forms
    Health          liveness and readiness, which differ while the server drains
    Host            which hosts are served; RedirectHttps
    Logger          a line for each request: an access log
    Metrics         numbers for Prometheus, by the names of OpenTelemetry
    OpenApi         describes the functions of a router that are under api
    Postgres        a database: functions in transactions, what it notifies
    Proxy           passes requests on to upstreams: a reverse proxy
    Redis           a client of Redis
    Router          the handler of the most specific route; Params has its parameters
    SecurityHeaders response fields that make browsers more careful
    Sessions        what a server remembers of a browser, in a sealed cookie or a store
    Static          files of a folder or a package, with ranges and preconditions
    Templates       pages from templates of jinja2
    Timeout         a bound on the time that a handler takes
    Tracing         a span of OpenTelemetry for each request
    WebSocket       a WebSocket for each request, closed with a goodbye at the stop
    api             a function with typed arguments and a typed result
    sync_handler    a plain function, in a worker thread
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .._util import imported_when_asked as _imported_when_asked

if TYPE_CHECKING:
    from ._auth import BasicAuth, BearerAuth
    from ._caching import CachingHeaders, check_preconditions
    from ._conn_id import ConnId, ConnIdFilter
    from ._cookies import CookieJar, Cookies
    from ._cors import Cors
    from ._csrf import Csrf
    from ._event_stream import Event, EventStream
    from ._health import Health
    from ._hosts import Host, RedirectHttps
    from ._limits import Concurrency, LoadShed, RateLimit
    from ._method import Head, MethodOverride
    from ._security_headers import SecurityHeaders
    from ._sync import sync_handler
    from ._templates import Renderer, Templates
    from ._timeout import Timeout
    from ._tracing import Tracing
    from .admin import Admin, ProcessSource, Source
    from .channels import Broker, Channel, ChannelError, Channels, RedisBroker
    from .compression import Compression
    from .error_pages import ErrorPages
    from .forms import Form, FormReader, Forms, Part, PartReader, Upload
    from .forwarded import Forwarded
    from .logger import Logger
    from .metrics import Counter, Family, Figures, Gauge, Histogram, Metrics, MetricsPage
    from .postgres import Postgres, PostgresStore
    from .proxy import Proxy
    from .redis import Redis, RedisStore
    from .router import Converter, Params, Router
    from .sessions import MemoryStore, Session, Sessions, SessionStore
    from .static import Static
    from .typed import FromCookie, FromForm, FromHeader, FromQuery, OpenApi, Problem, api
    from .websocket import (
        Accepted,
        MessageCodec,
        Refused,
        WebSocket,
        WebSocketConn,
        accept_key,
        code_of,
    )
else:
    # The same names. A program loads those that it uses: WebSockets, say, need a library more.
    __getattr__ = _imported_when_asked(
        __name__,
        {
            "_auth": "BasicAuth BearerAuth",
            "_caching": "CachingHeaders check_preconditions",
            "_conn_id": "ConnId ConnIdFilter",
            "_cookies": "CookieJar Cookies",
            "_cors": "Cors",
            "_csrf": "Csrf",
            "_event_stream": "Event EventStream",
            "_health": "Health",
            "_hosts": "Host RedirectHttps",
            "_limits": "Concurrency LoadShed RateLimit",
            "_method": "Head MethodOverride",
            "_security_headers": "SecurityHeaders",
            "_sync": "sync_handler",
            "_templates": "Renderer Templates",
            "_timeout": "Timeout",
            "_tracing": "Tracing",
            "admin": "Admin ProcessSource Source",
            "channels": "Broker Channel ChannelError Channels RedisBroker",
            "compression": "Compression",
            "error_pages": "ErrorPages",
            "forms": "Form FormReader Forms Part PartReader Upload",
            "forwarded": "Forwarded",
            "logger": "Logger",
            "metrics": "Counter Family Figures Gauge Histogram Metrics MetricsPage",
            "postgres": "Postgres PostgresStore",
            "proxy": "Proxy",
            "redis": "Redis RedisStore",
            "router": "Converter Params Router",
            "sessions": "MemoryStore Session Sessions SessionStore",
            "static": "Static",
            "typed": "FromCookie FromForm FromHeader FromQuery OpenApi Problem api",
            "websocket": "Accepted MessageCodec Refused WebSocket WebSocketConn accept_key code_of",
        },
    )

__all__ = [
    "Accepted",
    "Admin",
    "BasicAuth",
    "BearerAuth",
    "Broker",
    "CachingHeaders",
    "Channel",
    "ChannelError",
    "Channels",
    "Compression",
    "Concurrency",
    "ConnId",
    "ConnIdFilter",
    "Converter",
    "CookieJar",
    "Cookies",
    "Cors",
    "Counter",
    "Csrf",
    "ErrorPages",
    "Event",
    "EventStream",
    "Family",
    "Figures",
    "Form",
    "FormReader",
    "Forms",
    "Forwarded",
    "FromCookie",
    "FromForm",
    "FromHeader",
    "FromQuery",
    "Gauge",
    "Head",
    "Health",
    "Histogram",
    "Host",
    "LoadShed",
    "Logger",
    "MemoryStore",
    "MessageCodec",
    "MethodOverride",
    "Metrics",
    "MetricsPage",
    "OpenApi",
    "Params",
    "Part",
    "PartReader",
    "Postgres",
    "PostgresStore",
    "Problem",
    "ProcessSource",
    "Proxy",
    "RateLimit",
    "RedirectHttps",
    "Redis",
    "RedisBroker",
    "RedisStore",
    "Refused",
    "Renderer",
    "Router",
    "SecurityHeaders",
    "Session",
    "SessionStore",
    "Sessions",
    "Source",
    "Static",
    "Templates",
    "Timeout",
    "Tracing",
    "Upload",
    "WebSocket",
    "WebSocketConn",
    "accept_key",
    "api",
    "check_preconditions",
    "code_of",
    "sync_handler",
]


def __dir__() -> list[str]:
    return [*globals(), *__all__]
