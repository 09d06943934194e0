"""The assertion that no request is lost while servers replace each other at one address."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn, final

import h11
import trio

from ..server import Config
from ._exchange import Exchanger
from ._listener import MemoryListener
from ._request import build_request
from ._server import in_memory

if TYPE_CHECKING:
    from typing import Unpack

    from ..conn import Conn, HandlerLike
    from ..server import ServerHandle
    from ..swansong import DrainReport
    from ._request import Options, Request

__all__ = ["RestartReport", "assert_restart_loses_nothing"]

# Each client pauses a little longer than the previous one, so that a stop finds them in different
# states. Without a pause, a virtual clock would stop: it moves only while all tasks wait.
_PAUSE_SECONDS = 0.001


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class RestartReport:
    """What clients saw of a sequence of servers.

    Attributes:
      answered: Requests that got a complete response, by server, in order.
      refused: Requests that could not be sent, because the connection was already closed; each was
        sent again on another one. They are not lost: the client knows that they were not sent.
      lost: Why, for each request that was sent completely and got no complete response.
      drains: How the drain of each server went, in order.
    """

    answered: tuple[int, ...]
    refused: int
    lost: tuple[str, ...]
    drains: tuple[DrainReport, ...]


async def assert_restart_loses_nothing(
    handler: HandlerLike,
    *,
    request: str = "POST /",
    clients: int = 8,
    restarts: int = 3,
    within: float = 30.0,
    config: Config | None = None,
    **options: Unpack[Options],
) -> RestartReport:
    """Assert that an application loses no request when its server is restarted under load.

    Clients send one request after another over keep-alive connections. Meanwhile servers replace
    each other at their address: one is stopped while a request is in progress, and when it has
    drained the next one starts. Connections opened in between wait, as at a socket that a service
    manager holds.

    Args:
      handler: What to serve, once per server; see `as_handler`.
      request: The method and the target of all requests, which are assumed not to be idempotent.
      clients: How many clients.
      restarts: How often a server replaces another.
      within: How many seconds serving every client once, or a drain, may take.
      config: The settings; listeners are replaced. Default: ``Config()``.
      options: As for `Client.request`; the body cannot be a stream.

    Returns:
      The counts.

    Raises:
      AssertionError: A request was sent completely and got no complete response; a drain was not
        clean; or something took too long, and the message shows where it was.
      Exception: What a server raised, not in a group.

    Cancellation:
      Abrupt, as for `Server.serve`.
    """
    __tracebackhide__ = True
    method, _, path = request.partition(" ")
    run = _Run(build_request(method, path or "/", **options), clients)
    base = config or Config()
    failure: Exception | None = None
    async with trio.open_nursery() as nursery:
        for index in range(clients):
            nursery.start_soon(run.client, (index + 1) * _PAUSE_SECONDS)
        try:
            for generation in range(restarts + 1):
                _, one = in_memory(base, run.address.clone())
                async with one.serving((run.mark, handler)) as handle:
                    await run.serve(handle, within, is_last=generation == restarts)
        except Exception as error:  # raised below, not in a group
            failure = error
        nursery.cancel_scope.cancel()
    await run.address.aclose()
    if failure is not None:
        raise failure
    report = run.report()
    if report.lost:
        lost = "\n".join(f"  {reason}" for reason in report.lost)
        raise AssertionError(f"{len(report.lost)} requests were lost:\n{lost}")
    for drain in report.drains:
        if not drain.is_clean:
            raise AssertionError(f"work was cut off: {drain}\n{drain.cancelled}")
    return report


@final
class _Run:
    """Clients and servers at one address, and their counts.

    Args:
      request: What all clients send.
      clients: How many clients there are.
    """

    def __init__(self, request: Request, clients: int) -> None:
        if not isinstance(request.body, bytes):
            raise TypeError("the body of a request that is sent many times cannot be a stream")
        self.address = MemoryListener()
        self._request = request
        self._clients = clients
        self._answered: list[int] = []
        self._refused = 0
        self._lost: list[str] = []
        self._drains: list[DrainReport] = []
        # Of the current server: the clients that got an answer or lost a request.
        self._served: set[float] = set()
        self._has_served_all = trio.Event()
        self._handle: ServerHandle | None = None
        self._is_over = False
        self._gone = 0
        self._all_gone = trio.Event()

    async def mark(self, conn: Conn) -> Conn:
        """Stop the server as soon as it has served every client, with this request in progress."""
        if self._has_served_all.is_set() and self._handle is not None and not self._is_over:
            self._handle.shut_down()
        return conn

    async def serve(self, handle: ServerHandle, within: float, *, is_last: bool) -> None:
        """Wait until a server has served every client, then for its stop and its drain."""
        self._answered.append(0)
        self._served.clear()
        self._has_served_all = trio.Event()
        self._handle = handle
        with trio.move_on_after(within):
            await self._has_served_all.wait()
            if is_last:
                self._is_over = True
                await self._all_gone.wait()
                handle.shut_down()
            await handle.swansong.shutting_down()
        if handle.swansong.is_running:
            self._fail("did not serve every client", within, handle)
        with trio.move_on_after(within) as limit:
            self._drains.append(await handle)
        if limit.cancelled_caught:
            self._fail("did not drain", within, handle)

    async def client(self, pause: float) -> None:
        """Send one request after another, on one connection for as long as it lasts."""
        exchanger: Exchanger | None = None
        while not self._is_over:
            await trio.sleep(pause)
            if exchanger is None:
                exchanger = Exchanger(self.address.connect())
            if not await self._ask(exchanger):
                await exchanger.stream.aclose()
                exchanger = None
            self._served.add(pause)
            if len(self._served) == self._clients:
                self._has_served_all.set()
        if exchanger is not None:
            await exchanger.stream.aclose()
        self._gone += 1
        if self._gone == self._clients:
            self._all_gone.set()

    async def _ask(self, exchanger: Exchanger) -> bool:
        """Send a request and count its outcome; return whether the connection stays open."""
        request = self._request
        try:
            http = await exchanger.send(request)
        except trio.BrokenResourceError:
            self._refused += 1
            return False
        try:
            response = await exchanger.receive(http, request.method, request.path)
        except (ConnectionResetError, h11.RemoteProtocolError) as error:
            self._lost.append(f"by server {len(self._answered)}: {error}")
            return False
        self._answered[-1] += 1
        return not response.is_closing

    def _fail(self, what: str, within: float, handle: ServerHandle) -> NoReturn:
        report = handle.swansong.guard_report(stacks=True)
        number = len(self._answered)
        raise AssertionError(f"server {number} {what} within {within:g} s: {report}")

    def report(self) -> RestartReport:
        """Return the counts."""
        return RestartReport(
            answered=tuple(self._answered),
            refused=self._refused,
            lost=tuple(self._lost),
            drains=tuple(self._drains),
        )
