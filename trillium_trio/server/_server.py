"""A server: from nothing bound to nothing left."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar, final

import trio

from ..conn import Info, as_handler, leaves
from ..driver import Service, find_exit, split_cancelled
from ..exceptions import MisuseError
from ..http import TypeMap
from ..listeners import accept_loop, open_listeners
from ..swansong import GuardReport, Swansong, attach_scope, drain_report, hold, record_cut
from . import _config
from ._admission import Admission
from ._drain import Drain
from ._handle import ServerHandle
from ._signals import SignalLadder, is_main_thread
from ._tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType

    from ..conn import Handler, HandlerLike
    from ..listeners import BoundListener
    from ..swansong import DrainReport, Hold, ShutdownCompletion
    from ..transport import Listener
    from ._config import Config

__all__ = ["Server"]

T = TypeVar("T")

logger = logging.getLogger("trillium_trio.server")


@final
class Server:
    """Serves a handler, once.

    Making one has no side effect. `serve` runs in any nursery, or alone under ``trio.run``.

    .. code-block:: text

        serve
        `- services nursery      watchdog, services, the drain's reports
           `- connections nursery    connections, background work: never cancelled as a whole
              `- accept nursery      one accept loop per listener

    Each nursery closes before the one around it: first nobody accepts, then nobody is connected,
    then services end. The lifespans are around them all, each in a scope of its own whose deadline
    is set when clean-up begins.

    Args:
      handler: What to serve; see `as_handler`.
      config: The settings. Default: ``Config()``.

    Raises:
      TypeError: It is no handler.
    """

    def __init__(self, handler: HandlerLike, config: Config | None = None) -> None:
        if config is None:
            config = _config.Config()
        self._config = config
        self._handler = as_handler(handler)
        self._swansong = Swansong() if config.swansong is None else config.swansong
        # The server's own node: drained alone, shown to handlers.
        self._node = self._swansong.child(name=repr(self._handler))
        # Stopped when serve() is over: what the handle waits for.
        self._over = Swansong()
        self._shared = TypeMap()
        self._listeners: list[BoundListener] = []
        self._is_used = False
        self._is_ready = False
        self._failure: BaseException | None = None
        self._abort = trio.CancelScope()
        self._clean_up: list[tuple[str, trio.CancelScope]] = []
        self._tasks = Tasks(self._node, contain=self._contain, watch=self._watch)
        self._hold: Hold | None = None
        self._report: DrainReport | None = None

    @property
    def swansong(self) -> Swansong:
        """The configured swansong, or this server's own if none was."""
        return self._swansong

    @property
    def config(self) -> Config:
        """The settings."""
        return self._config

    @property
    def handle(self) -> ServerHandle:
        """A handle, which may be asked for before serving."""
        return ServerHandle(self)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """What was bound; empty before."""
        return tuple(listener.facts for listener in self._listeners)

    @property
    def is_running(self) -> bool:
        """Whether it is ready and `serve` is not over."""
        return self._is_ready and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether `serve` has ended."""
        return not self._over.is_running

    def shut_down(self, *, timeout: float | None = None) -> ShutdownCompletion:
        """Stop the configured swansong, and so this server and all that share it; see there."""
        return self._swansong.shut_down(timeout=timeout)

    def stop(self) -> None:
        """Stop this server alone."""
        self._node.shut_down()

    def stop_at_once(self, reason: str) -> None:
        """Stop this server alone, and cut what is in progress."""
        self._node.cancel(reason)

    def shared_state(self, type_: type[T]) -> T | None:
        """Return the shared value of this very type, or None."""
        return self._shared.get(type_)

    async def wait(self) -> DrainReport:
        """Wait, in any trio run, until `serve` is over.

        Cancellation:
          Ends the wait.
        """
        await self._over.shutting_down()
        assert self._report is not None
        return self._report

    def block(self, timeout: float | None = None) -> DrainReport:
        """Park this thread until `serve` is over.

        Raises:
          TimeoutError: It took longer than ``timeout`` seconds.
          MisuseError: Called inside a trio run.
        """
        self._over.shutting_down().block(timeout)
        assert self._report is not None
        return self._report

    async def serve(
        self, *, task_status: trio.TaskStatus[ServerHandle] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until the stop, drain, clean up.

        Args:
          task_status: Started with the `ServerHandle` when bound and initialised; or, after a stop
            that came before, with one that is already over.

        Raises:
          MisuseError: Called a second time; or signals are hooked by another server.
          BindError: A listener could not be opened.
          ConfigError: The environment or a listener makes no sense.
          Exception: What an `init`, a lifespan, a service or an accept loop raised. Bare.

        Cancellation:
          Abrupt: handlers are cancelled, lifespans left under the cancellation, sockets closed.
          For grace there is the swansong.
        """
        hooks = self._config.signals
        if hooks is None:
            hooks = is_main_thread() and _is_main_task()
        if not hooks:
            await self.serve_without_signals(task_status, None)
            return
        with SignalLadder(self._swansong, lambda: self.is_over) as ladder:
            await self.serve_without_signals(task_status, ladder)

    async def serve_without_signals(
        self, task_status: trio.TaskStatus[ServerHandle], ladder: SignalLadder | None
    ) -> None:
        """Serve, under signals that somebody else hooks; see `serve`."""
        if self._is_used:
            raise MisuseError("a server serves once; make another one from its config")
        self._is_used = True
        if ladder is not None:
            ladder.attach()
        self._hold = hold(self._node, "a server until its clean-up is done")
        try:
            with _bare_exits():
                await self._serve(task_status)
        finally:
            self._end()

    def _end(self) -> None:
        """Close what is left and let go of whoever waits. Idempotent."""
        if self.is_over:
            return
        self._tasks.discard()
        for listener in self._listeners:
            listener.close()
        # Whoever looks at the node of a server that failed sees that it is over.
        self._node.shut_down()
        if self._hold is not None:
            self._hold.release()
        self._report = drain_report(self._node)
        self._over.shut_down()
        logger.info("%s: %s", self._name, self._report)

    # -- from start to ready -------------------------------------------------------------------

    async def _serve(self, task_status: trio.TaskStatus[ServerHandle]) -> None:
        config = self._config
        with attach_scope(self._node, counts=False):
            self._listeners = await open_listeners(config.binds(), nodelay=config.nodelay)
        for value in config.shared_state:
            self._shared.insert(value)
        info = Info(
            config=config,
            swansong=self._node,
            listeners=self.listeners,
            shared=self._shared,
            starter=self._tasks,
        )
        handlers = leaves(self._handler)
        for handler in handlers:
            if self._node.is_running and handler.overrides("init"):
                with attach_scope(self._node, counts=False), _naming(f"{handler.name}.init"):
                    await handler.init(info)
        lifespans = [each for each in handlers if each.overrides("lifespan")]
        await self._inside(lifespans, info, task_status)
        if not self._is_ready:
            # The stop came first: nothing was served.
            self._end()
            task_status.started(self.handle)
        elif self._failure is not None:
            raise self._failure

    async def _inside(
        self,
        lifespans: list[Handler],
        info: Info,
        task_status: trio.TaskStatus[ServerHandle],
    ) -> None:
        """Enter the lifespans, one around the other, and serve inside them."""
        if not self._node.is_running:
            return
        if not lifespans:
            await self._run(info, task_status)
            return
        handler, *rest = lifespans
        # Entered before the lifespan, which may keep a nursery open: a scope put around its exit
        # alone would corrupt the stack of scopes.
        with trio.CancelScope() as scope:
            self._clean_up.append((handler.name, scope))
            async with _Naming(handler.lifespan(info), f"{handler.name}.lifespan"):
                await self._inside(rest, info, task_status)
                self._begin_clean_up()
        if scope.cancelled_caught:
            logger.error(
                "%s did not clean up within %g s; cancelled",
                handler.name,
                self._config.cleanup_timeout,
            )
            record_cut(self._node, GuardReport(), reason=f"the clean-up of {handler.name} was cut")

    def _begin_clean_up(self) -> None:
        deadline = trio.current_time() + self._config.cleanup_timeout
        for _, scope in self._clean_up:
            # The first to be left starts the time of all.
            scope.deadline = min(scope.deadline, deadline)

    # -- from ready to the end -----------------------------------------------------------------

    async def _run(self, info: Info, task_status: trio.TaskStatus[ServerHandle]) -> None:
        config = self._config
        drain = Drain(
            self._node,
            self._tasks,
            name=self._name,
            delay=config.drain_delay,
            timeout=config.drain_timeout,
            report_interval=config.report_interval,
        )
        service = Service(
            self._handler,
            http=config.http,
            info=info,
            swansong=self._node,
            starter=self._tasks,
            keepalive_grace=config.keepalive_grace,
            on_exit=self._exit,
            on_idle=drain.on_idle,
        )
        self._is_ready = True
        task_status.started(self.handle)
        logger.info("listening on %s", self._name)
        with self._abort:
            async with trio.open_nursery() as services:
                services.start_soon(service.watchdog.run)
                services.start_soon(drain.report_progress)
                async with trio.open_nursery() as connections:
                    self._tasks.open(background=connections, services=services)
                    await self._accept(service, connections, drain)
                    service.begin_drain(trio.current_time())
                    await drain.wait(service)
                self._tasks.close()
                services.cancel_scope.cancel()

    async def _accept(self, service: Service, connections: trio.Nursery, drain: Drain) -> None:
        """Accept until the listeners close; what they had queued has been started by then."""
        admission = Admission(service, connections, self._config.connection_limit())
        async with trio.open_nursery() as accepting:
            for listener in self._listeners:
                accepting.start_soon(
                    self._watch, str(listener.facts), accept_loop, listener, admission.start
                )
            await drain.delay()
            for listener in self._listeners:
                for transport in listener.drain_and_close():
                    admission.start(transport)
            accepting.cancel_scope.cancel()
        for listener in self._listeners:
            await listener.aclose()

    async def _watch(self, name: str, fn: Callable[..., Awaitable[object]], *args: object) -> None:
        """Run one of the server's own tasks; if it fails, drain and end with its exception."""
        try:
            await fn(*args)
        except BaseException as error:
            cancelled, rest = split_cancelled(error)
            if rest is not None:
                rest.add_note(f"in {name}")
                logger.critical("%s failed: the server ends", name, exc_info=rest)
                if find_exit(rest) is not None:
                    self._exit(rest)
                self._failure = self._failure or rest
                self._node.shut_down()
            if cancelled is not None:
                raise cancelled from None

    def _exit(self, error: BaseException) -> None:
        """End at once: a handler wants the process to exit."""
        self._failure = error
        self._node.shut_down()
        self._abort.cancel(reason=f"{type(error).__name__} in a handler")

    def _contain(self, name: str, error: BaseException) -> BaseException | None:
        """Log what left background work; return what must leave its task."""
        cancelled, rest = split_cancelled(error)
        if rest is not None:
            final_word = find_exit(rest)
            if final_word is not None:
                self._exit(final_word)
            else:
                logger.error("background work %s failed", name, exc_info=rest)
        return cancelled

    @property
    def _name(self) -> str:
        return ", ".join(listener.name for listener in self.listeners)

    def __repr__(self) -> str:
        state = "running" if self.is_running else "over" if self.is_over else "not ready"
        return f"<Server {self._handler.name} {state}>"


@final
class _Naming:
    """Enters and leaves a lifespan; what it raises of its own gets a note with its name."""

    def __init__(self, lifespan: AbstractAsyncContextManager[object], name: str) -> None:
        self._lifespan = lifespan
        self._name = name

    async def __aenter__(self) -> None:
        with _naming(self._name):
            await self._lifespan.__aenter__()

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return await self._lifespan.__aexit__(exc_type, exc, traceback)
        except Exception as error:
            if error is not exc:
                error.add_note(f"in {self._name}")
            raise


@contextmanager
def _naming(name: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"in {name}")
        raise


@contextmanager
def _bare_exits() -> Iterator[None]:
    """Let KeyboardInterrupt and SystemExit leave bare, not in the groups of our nurseries."""
    try:
        yield
    except BaseExceptionGroup as group:
        final_word = find_exit(group)
        if final_word is None:
            raise
        raise final_word from None


def _is_main_task() -> bool:
    """Whether this is the task that ``trio.run`` was called with."""
    nursery = trio.lowlevel.current_task().parent_nursery
    root = trio.lowlevel.current_root_task()
    # Innermost of the root task's nurseries; those around it hold trio's system tasks.
    return root is not None and bool(root.child_nurseries) and nursery is root.child_nurseries[-1]
