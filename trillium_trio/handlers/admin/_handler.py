"""The handler."""

from __future__ import annotations

import json
import time
from math import inf
from typing import TYPE_CHECKING, Any, Protocol, final

import trio

from ..._log import SafeLogger
from ...conn import Handler
from ...exceptions import HttpError, MethodNotAllowed, ServiceUnavailable
from ...swansong import Swansong
from .._event_stream import Event, EventStream
from ._access import Access
from ._page import CONTENT_SECURITY_POLICY, page_of
from ._source import ProcessSource

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

    from ...conn import Conn, Info
    from ...http import BodyLike
    from ._source import Handle, Json, Source

__all__ = ["Admin"]

logger = SafeLogger("trillium_trio.handlers")

_READS = ("GET", "HEAD")
_MAX_STREAMS = 8
# How often is looked for something new, and which share of the time that may take.
_INTERVAL = 0.5
_SHARE = 20
# What changes by itself; the page counts on.
_AGES = frozenset(
    {"now", "duration", "remaining", "oldest_age", "stopped_for", "age", "silent", "lag"}
)
_FIELDS = {
    "cache-control": "no-store",
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class HasPage(Protocol):
    """A `Metrics`."""

    @property
    def page(self) -> Handler:
        """The handler that shows the figures."""


@final
class Admin(Handler):
    """Shows what a service is doing, above all what its drain waits for; live, on a page.

    Serve it on a port or unix socket of its own, around the servers that it shows, so that it ends
    after them::

        admin = tt.config().bind_unix("/run/shop/admin.sock", mode=0o600)
        async with config.serving(app) as server:
            async with admin.serving(Admin(server.swansong, servers=[server])):
                await server

    .. code-block:: text

        /                the page
        /status          all that it shows, as JSON; with ?stacks=1 also where each guard is
        /guards          the same of the guards alone
        /events          the status as server-sent events, whenever it changes
        /metrics         the page of a `Metrics`
        /livez, /readyz  as those of `Health`; /readyz?verbose says why not
        POST /drain, /cancel    with `actions`

    Without a token it is served on loopback addresses and unix sockets only. It shows no header
    fields, no bodies and no querystrings; but the paths of requests, and with `stacks` of files.

    Args:
      source: The swansong that the servers share, or another `Source`.
      servers: The handles of the servers. Default: none is shown, only the swansong.
      metrics: A `Metrics`, whose page it shows.
      token: A secret of at least 16 characters, asked for on all paths but those of health checks:
        as a bearer token, or as a password with any name. Default: none.
      actions: Whether ``/drain`` and ``/cancel`` can be sent. Default: False. On TCP they need a
        token.
      stacks: Whether it shows the lines of code that guards wait at, if asked. Default: False.
      hosts: Names by which it may be asked for, besides ``localhost`` and any address. Prevents:
        DNS rebinding, by which a page of another site reads it through a browser on this machine.
      title: The name of the service on the page.

    Raises:
      ConfigError: The token is too short.
    """

    def __init__(
        self,
        source: Swansong | Source,
        *,
        servers: Iterable[Handle] = (),
        metrics: HasPage | None = None,
        token: str | None = None,
        actions: bool = False,
        stacks: bool = False,
        hosts: Iterable[str] = (),
        title: str = "trillium_trio",
    ) -> None:
        self._source: Source = (
            ProcessSource(source, servers) if isinstance(source, Swansong) else source
        )
        self._metrics = None if metrics is None else metrics.page
        self._access = Access(token, hosts, actions=actions)
        self._actions = sorted(self._source.actions) if actions else []
        self._may_stacks = stacks
        self._page = page_of(title)
        self._stream = EventStream(self._events, grace=1.0)
        self._streams = 0
        # The last status with and without stacks, and until when it counts: all streams share it.
        self._latest: dict[bool, tuple[float, Json]] = {}

    async def init(self, info: Info) -> None:
        """Check the listeners.

        Raises:
          ConfigError: There is no token, and others could connect.

        Cancellation:
          None: it does not wait.
        """
        self._access.check_listeners(info.listeners)

    async def run(self, conn: Conn) -> Conn:
        """Answer what is asked for; pass on other paths.

        Raises:
          HttpError: Whoever asks may not, or not so.

        Cancellation:
          That of the source. An action that was begun may have been done.
        """
        path = conn.path
        action = path[1:] if path[1:] in self._actions else None
        if action is None and path not in _PATHS:
            return conn
        for name, value in _FIELDS.items():
            conn.with_response_header(name, value)
        self._access.check_host(conn)
        if action is not None:
            return await self._act(conn, action)
        if conn.method not in _READS:
            raise MethodNotAllowed(_READS)
        match path:
            case "/livez":
                return conn.ok("ok\n")
            case "/readyz":
                return self._ready(conn)
        self._access.check_token(conn)
        match path:
            case "/":
                return _typed(conn, "text/html; charset=utf-8", self._page)
            case "/metrics":
                return conn if self._metrics is None else await self._metrics.run(conn)
            case "/events":
                return await self._open(conn)
        status = await self._status(stacks=self._wants_stacks(conn))
        shown = {"tree": status["tree"]} if path == "/guards" else status
        return _typed(conn, "application/json", json.dumps(shown, indent=2) + "\n")

    def _ready(self, conn: Conn) -> Conn:
        reasons = self._source.unready()
        if not reasons:
            return conn.ok("ok\n")
        shown = reasons if "verbose" in conn.query else ["not ready"]
        return conn.ok("".join(f"{each}\n" for each in shown)).with_status(503)

    async def _act(self, conn: Conn, action: str) -> Conn:
        """Do what is asked for.

        Cancellation:
          It may have been done.
        """
        if conn.method != "POST":
            raise MethodNotAllowed(["POST"])
        self._access.check_token(conn)
        self._access.check_origin(conn)
        logger.warning("%s: %s was asked for on the admin page", conn.transport.peer, action)
        await self._source.actions[action]()
        return _typed(conn, "application/json", json.dumps({"done": action}) + "\n")

    def _wants_stacks(self, conn: Conn) -> bool:
        is_wanted = conn.query.get("stacks") == ["1"]
        if is_wanted and not self._may_stacks:
            raise HttpError(403, "Admin(stacks=True) would show stacks")
        return is_wanted

    async def _status(self, *, stacks: bool) -> Json:
        """Return the status, with what this handler adds.

        Cancellation:
          That of the source.
        """
        status = await self._source.status(stacks=stacks)
        return {**status, "actions": self._actions, "has_stacks": self._may_stacks}

    # -- the stream ----------------------------------------------------------------------------

    async def _open(self, conn: Conn) -> Conn:
        """Open a stream of events.

        Raises:
          ServiceUnavailable: There are as many as there may be.

        Cancellation:
          None: it does not wait.
        """
        self._wants_stacks(conn)
        if self._streams >= _MAX_STREAMS:
            raise ServiceUnavailable("too many streams of events", retry_after=10)
        self._streams += 1
        return await self._stream.run(conn.after_send(self._closed))

    async def _closed(self, _: Conn) -> None:
        self._streams -= 1

    async def _events(self, conn: Conn) -> AsyncGenerator[Event, None]:
        """Yield the status whenever it has changed, and once more at the end."""
        stacks = self._wants_stacks(conn)
        last: object = None
        while True:
            # First: what is found after the stop is the last one.
            is_last = not conn.swansong.is_running
            until, status = self._latest.get(stacks, (-inf, {}))
            if is_last or trio.current_time() >= until:
                # Not the time on the clock: a source may wait for other processes.
                begun = time.thread_time()
                status = await self._status(stacks=stacks)
                pause = max(_INTERVAL, _SHARE * (time.thread_time() - begun))
                until = trio.current_time() + pause
                self._latest[stacks] = until, status
            if (now := _without_ages(status)) != last:
                last = now
                yield Event(event="status", data=json.dumps(status))
            if is_last:
                return
            with conn.swansong.interrupt():
                await trio.sleep_until(until)

    @property
    def name(self) -> str:
        """Admin."""
        return "Admin"


_PATHS = frozenset({"/", "/status", "/guards", "/events", "/metrics", "/livez", "/readyz"})


def _typed(conn: Conn, kind: str, body: BodyLike) -> Conn:
    return conn.with_response_header("content-type", kind).ok(body)


def _without_ages(value: Any) -> Any:  # Any: JSON
    match value:
        case dict():
            return {key: _without_ages(each) for key, each in value.items() if key not in _AGES}
        case list():
            return [_without_ages(each) for each in value]
        case _:
            return value
