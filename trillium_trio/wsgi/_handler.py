"""The handler: a WSGI application among other handlers."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import trio

from .._log import app_name, is_caused_by, kind_of
from .._util import check_count
from ..conn import Handler, checked_root_path
from ..exceptions import ClientDisconnected, ConfigError
from ._bridge import Bridge
from ._call import Call
from ._detect import is_async
from ._environ import environ_of, latin_1_of
from ._errors import ConnectionLost

if TYPE_CHECKING:
    from wsgiref.types import WSGIApplication

    from ..conn import Conn
    from ._head import Head

__all__ = ["Wsgi"]


@final
class Wsgi(Handler):
    """Serves a WSGI application (PEP 3333), such as one of Flask or Django, in worker threads.

    A request is in one thread from the call to ``close()``. The application answers every request,
    so it comes last. ``before_send`` of the handlers in front of it runs when the response begins.

    A thread cannot be cancelled. At the stop a request in progress continues; at the deadline of
    the drain its thread is abandoned, the client gets a 503 or an incomplete response, and the
    report says in which line the thread is. ``environ["trillium.swansong"]`` is the server's
    `Swansong`, for work that can end earlier. `trio.from_thread` works in the threads.

    Args:
      app: The application.
      root_path: The path below which a proxy has mounted the server: the begin of SCRIPT_NAME.
        Requests may come with or without it. Below a router's mount, that is added for each
        request.
      threads: How many requests are in threads at a time; more wait for one of them. Default: 40,
        trio's own limit for worker threads. Prevents: memory and switching between threads that
        grow with the number of clients.

    Raises:
      ConfigError: The application is async or cannot be called; or a setting is wrong.
    """

    def __init__(self, app: WSGIApplication, *, root_path: str = "", threads: int = 40) -> None:
        if not callable(app) or is_async(app):
            raise ConfigError(f"{app_name(app)} is not a WSGI application")
        check_count("threads", threads, least=1)
        self._app = app
        self._root_path = latin_1_of(checked_root_path(root_path))
        self._threads = threads
        # One for each event loop that this handler is served in.
        self._limiter: trio.lowlevel.RunVar[trio.CapacityLimiter] = trio.lowlevel.RunVar("threads")

    async def run(self, conn: Conn) -> Conn:
        """Call the application in a thread, and send what it produces.

        Cancellation:
          The thread is abandoned: it continues, without a connection. The response may be
          incomplete.
        """
        environ = environ_of(conn, root_path=self._root_path)
        response: tuple[Head, bytes] | None = None
        failure: Exception | None = None
        async with trio.open_nursery() as nursery:
            bridge = Bridge(conn, nursery)
            has_body = not conn.request_body.is_complete
            call = Call(self._app, environ, bridge, has_body=has_body)
            try:
                response = await trio.to_thread.run_sync(
                    call.run,
                    thread_name=self.name,
                    abandon_on_cancel=True,
                    limiter=self._limit(),
                )
            except Exception as error:  # raised below, bare
                failure = error
            except BaseException:
                bridge.close()
                raise
            bridge.finish()
        failure = failure or bridge.failure
        if failure is not None:
            self._report(bridge, failure)
        elif response is not None and bridge.refused is None and not bridge.is_cut_short:
            head, body = response
            head.apply(conn)
            conn.with_body(body)
        elif not bridge.has_begun:
            self._refuse(bridge, None)
        return conn.halt()

    def _limit(self) -> trio.CapacityLimiter:
        try:
            return self._limiter.get()
        except LookupError:
            limiter = trio.CapacityLimiter(self._threads)
            self._limiter.set(limiter)
            return limiter

    def _report(self, bridge: Bridge, failure: Exception) -> None:
        if not bridge.has_begun:
            self._refuse(bridge, failure)
        if is_caused_by(failure, ConnectionLost) or bridge.has_lost:
            raise self._gone(failure) from failure
        raise failure

    def _refuse(self, bridge: Bridge, failure: Exception | None) -> None:
        """Raise what the client gets of a request whose body could not be read."""
        if bridge.refused is not None:
            raise bridge.refused from failure
        if bridge.is_cut_short:
            raise self._gone(failure) from failure

    def _gone(self, failure: Exception | None) -> ClientDisconnected:
        what = "has answered" if failure is None else f"has raised {kind_of(failure)}"
        return ClientDisconnected(f"{app_name(self._app)} {what} too late")

    @property
    def name(self) -> str:
        """Wsgi and the application's name."""
        return f"Wsgi({app_name(self._app)})"
