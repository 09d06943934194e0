"""A server, from bind to the end of clean-up."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, TypeVar, cast, final

import trio

from .._log import SafeLogger, add_note, kind_of
from ..conn import (
    ConnectionCounts,
    Info,
    Readiness,
    as_handler,
    handler_name,
    walk_handlers,
)
from ..driver import Service, find_exit, split_cancelled
from ..exceptions import MisuseError
from ..http import TypeMap
from ..listeners import accept_loop, open_listeners
from ..swansong import GuardReport, Swansong, attach_scope, drain_report, hold, record_cut
from ._admission import Admission
from ._drain import Drain, DrainProgress
from ._environment import notify_socket
from ._handle import ServerHandle
from ._lifespans import Lifespans, naming
from ._notify import Notifier
from ._settings import Settings
from ._signals import SignalLadder, is_main_thread
from ._tasks import Tasks

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from ..conn import Handler, HandlerLike
    from ..driver import Served
    from ..listeners import BoundListener
    from ..swansong import DrainReport, Hold, ShutdownCompletion
    from ..transport import Listener

__all__ = ["Server"]

T = TypeVar("T")

logger = SafeLogger("trillium_trio.server")


@final
class Server:
    """Serves a handler, once.

    Creating one has no side effect. `serve` runs in any nursery, or alone under ``trio.run``.

    .. code-block:: text

        serve
        `- attendants nursery    the drain's reports; forwards a cancel() during the start
           `- lifespans              each in a scope, whose deadline is set when clean-up begins
              `- services nursery        watchdog, poller, services
                 `- connections nursery     connections, background work: never cancelled as a whole
                    `- accept nursery          one accept loop per listener

    Each closes before the one around it: first the accept loops end, then the connections, then
    the services, then lifespans exit. A failure of any of them is kept, and raised when all are
    closed: not in a group, and never into a lifespan that did not raise it.

    Args:
      handler: What to serve; see `as_handler`.
      config: The settings, usually a `trillium_trio.Config`. Default: those of ``Config()``.

    Attributes:
      has_drain_delay: Whether the drain begins with `drain_delay`. Set it to False before the stop
        if a successor accepts from the same sockets already: then nobody has to notice the stop.
      is_notifying: Whether the service manager is told when it is ready and when it stops. Set it
        to False before it serves if it is not the service itself, but a page about it.

    Raises:
      TypeError: ``handler`` is not a handler.
    """

    def __init__(self, handler: HandlerLike, config: Settings | None = None) -> None:
        if config is None:
            config = Settings()
        self._config = config
        self._handler = as_handler(handler)
        self._swansong = Swansong() if config.swansong is None else config.swansong
        # The server's own node: it can drain alone, and handlers see it.
        self._node = self._swansong.child(name=repr(self._handler))
        # Stopped when serve() is over: what the handle waits for.
        self._over = Swansong()
        self._shared = TypeMap()
        self._listeners: list[BoundListener] = []
        self._is_used = False
        self._is_ready = False
        self._failure: BaseException | None = None
        self._abort = trio.CancelScope()
        self._lifespans = Lifespans(
            self._node, cleanup_timeout=config.cleanup_timeout, keep=self._keep
        )
        self._tasks = Tasks(self._node, contain=self._contain, watch=self._watch)
        self._admission: Admission | None = None
        self._drain: Drain | None = None
        self.has_drain_delay: bool = True
        self.is_notifying: bool = True
        self._holds: tuple[Hold, ...] = ()
        self._report: DrainReport | None = None

    @property
    def swansong(self) -> Swansong:
        """The configured swansong, or this server's own by default."""
        return self._swansong

    @property
    def config(self) -> Settings:
        """The settings."""
        return self._config

    @property
    def handler(self) -> Handler:
        """What it serves."""
        return self._handler

    @property
    def handle(self) -> ServerHandle:
        """A handle, available before serving."""
        return ServerHandle(self)

    @property
    def listeners(self) -> tuple[Listener, ...]:
        """The bound listeners; empty before `serve` has bound them."""
        return tuple(listener.facts for listener in self._listeners)

    @property
    def connections(self) -> ConnectionCounts:
        """How many connections there are, and how many were accepted, evicted or refused."""
        queues = [n for each in self._listeners if (n := each.queued()) is not None]
        queued = sum(queues) if queues else None
        if self._admission is None:
            return ConnectionCounts(queued=queued)
        return replace(self._admission.counts, queued=queued)

    @property
    def drain(self) -> DrainProgress | None:
        """How far the drain is; None before the stop, or if nothing was served."""
        if self._report is not None:
            return DrainProgress(phase="over", remaining=None, waits_for=None, report=self._report)
        if self._node.is_running or self._drain is None:
            return None
        return self._drain.progress

    @property
    def is_running(self) -> bool:
        """Whether it is ready and `serve` is not over."""
        return self._is_ready and not self.is_over

    @property
    def is_over(self) -> bool:
        """Whether `serve` has ended."""
        return not self._over.is_running

    def shut_down(self, *, timeout: float | None = None) -> ShutdownCompletion:
        """Stop this server and all that share its swansong; see `Swansong.shut_down`."""
        return self._swansong.shut_down(timeout=timeout)

    def stop(self) -> None:
        """Stop this server alone."""
        self._node.shut_down()

    def stop_at_once(self, reason: str) -> None:
        """Stop this server alone, and cut all work in progress."""
        self._node.cancel(reason)

    def shared_state(self, type_: type[T]) -> T | None:
        """Return the shared value of exactly this type, or None."""
        return self._shared.get(type_)

    async def wait(self) -> DrainReport:
        """Wait, in any trio run, until `serve` is over.

        Raises:
          MisuseError: Called by a handler, or another task that `serve` itself waits for.

        Cancellation:
          Ends the wait.
        """
        await self._over
        assert self._report is not None
        return self._report

    def block(self, timeout: float | None = None) -> DrainReport:
        """Block this thread until `serve` is over.

        Raises:
          TimeoutError: It took longer than ``timeout`` seconds.
          MisuseError: Called inside a trio run, or by a thread that `serve` waits for.
        """
        self._over.block(timeout)
        assert self._report is not None
        return self._report

    async def serve(
        self, *, task_status: trio.TaskStatus[ServerHandle] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Serve until the stop, drain, clean up.

        Args:
          task_status: Started with the `ServerHandle` when bound and initialised; or, if the stop
            came before, with one that is already over.

        Raises:
          MisuseError: Called a second time; or signals are hooked by another server.
          BindError: A listener could not be opened.
          ConfigError: The environment or a listener is invalid.
          Exception: What an `init`, a lifespan, a service or an accept loop raised, not in a group.

        Cancellation:
          Abrupt: handlers are cancelled, lifespans exit under the cancellation, sockets close.
          For a graceful shutdown use the swansong.
        """
        hooks = self._config.signals
        if hooks is None:
            hooks = is_main_thread() and _is_main_task()
        if not hooks:
            await self.serve_without_signals(task_status, None)
            return
        with SignalLadder(self._swansong, lambda: self.is_over, lambda: self.connections) as ladder:
            await self.serve_without_signals(task_status, ladder)

    async def serve_without_signals(
        self, task_status: trio.TaskStatus[ServerHandle], ladder: SignalLadder | None
    ) -> None:
        """Serve without hooking signals: the caller has, or nobody does; see `serve`.

        Cancellation:
          Abrupt, as for `serve`.
        """
        if self._is_used:
            raise MisuseError("a server serves once; make another one from its config")
        self._is_used = True
        if ladder is not None:
            ladder.attach()
        self._holds = (
            hold(self._node, "a server until its clean-up is done"),
            hold(self._over, "a server until it is over"),
        )
        try:
            with _ungrouped():
                await self._serve(task_status)
        except trio.Cancelled:
            self._node.shut_down()
            record_cut(self._node, GuardReport(), reason="serve() was cancelled")
            raise
        finally:
            # Immediate, but still asynchronous for listeners that the application created.
            with trio.CancelScope(shield=True):
                for listener in self._listeners:
                    await listener.aclose()
            self._end()
        if not self._is_ready:
            # The stop came first: nothing was served.
            task_status.started(self.handle)

    def _end(self) -> None:
        """Release the holds, make the report, and wake those who wait for the end."""
        self._tasks.discard()
        # The node of a server that failed must be stopped as well.
        self._node.shut_down()
        for each in self._holds:
            each.release()
        self._report = drain_report(self._node)
        if self._is_ready:
            logger.info("%s: %s", self._name, self._report)
        self._over.shut_down()

    # -- from start to ready -------------------------------------------------------------------

    async def _serve(self, task_status: trio.TaskStatus[ServerHandle]) -> None:
        config = self._config
        with attach_scope(self._node, counts=False):
            self._listeners = await open_listeners(config.binds(), nodelay=config.nodelay)
        for value in config.shared_state:
            self._shared.insert(value)
        if self._shared.get(Readiness) is None:
            self._shared.insert(Readiness())
        info = Info(
            config=config,
            swansong=self._node,
            listeners=self.listeners,
            shared=self._shared,
            starter=self._tasks,
            counts=lambda: self.connections,
        )
        handlers = list(walk_handlers(self._handler))
        for handler in handlers:
            if self._node.is_running and handler.overrides("init"):
                with attach_scope(self._node, counts=False), naming(handler, "init"):
                    await handler.init(info)
        notifier = Notifier(notify_socket() if self.is_notifying else None)
        self._drain = drain = Drain(
            self._node,
            name=self._name,
            delay=lambda: config.drain_delay if self.has_drain_delay else 0.0,
            timeout=config.drain_timeout,
            spread=config.drain_spread,
            report_interval=config.report_interval,
            describe=self._describe_wait,
            notifier=notifier,
            linger=config.cleanup_timeout,
        )
        async with trio.open_nursery() as attendants:
            attendants.start_soon(self._lifespans.cancel_entry)
            attendants.start_soon(drain.report_progress)
            await self._lifespans.run_inside(
                [each for each in handlers if each.overrides("lifespan")],
                info,
                partial(self._run, info, drain, notifier, task_status),
            )
            attendants.cancel_scope.cancel()
        if self._failure is not None:
            raise self._failure

    def _describe_wait(self) -> str | None:
        if services := self._tasks.stragglers:
            return ", ".join(services)
        lifespan = self._lifespans.current
        return None if lifespan is None else f"the lifespan of {lifespan}"

    def _keep(self, error: BaseException) -> None:
        """Record the first failure, which `serve` raises in the end; only log any other."""
        if self._failure is None:
            self._failure = error
            self._node.shut_down()
        else:
            logger.error("%s also failed", self._name, exc_info=error)

    # -- from ready to the end -----------------------------------------------------------------

    async def _run(
        self,
        info: Info,
        drain: Drain,
        notifier: Notifier,
        task_status: trio.TaskStatus[ServerHandle],
    ) -> None:
        config = self._config
        # Of this process, if others accept from the same sockets.
        share = next((each.share for each in self._listeners if each.share is not None), None)
        service = Service(
            self._handler,
            info=info,
            keepalive_grace=config.keepalive_grace,
            on_exit=self._exit,
            on_idle=drain.on_idle,
            connections=None if share is None else cast("set[Served]", share.connections),
        )
        self._is_ready = True
        if share is not None:
            share.open()
        for each in self.listeners:
            logger.info("listening on %s", each)
        task_status.started(self.handle)
        notifier.ready(f"listening on {self._name}")
        with _ungrouped(), self._abort:
            async with trio.open_nursery() as services:
                services.start_soon(service.watchdog.run)
                services.start_soon(service.poller.run)
                async with trio.open_nursery() as connections:
                    self._tasks.open(background=connections, services=services)
                    await self._accept(service, connections, drain)
                    service.begin_drain(trio.current_time())
                    await drain.wait(service, self._tasks)
                self._tasks.close()
                services.cancel_scope.cancel()

    async def _accept(self, service: Service, connections: trio.Nursery, drain: Drain) -> None:
        """Accept until the listeners close, and start the connections that they had queued."""
        limit = self._config.connection_limit()
        self._admission = admission = Admission(service, connections, limit)
        async with trio.open_nursery() as accepting:
            for listener in self._listeners:
                accepting.start_soon(
                    self._watch, str(listener.facts), accept_loop, listener, admission.start
                )
            await drain.delay()
            for listener in self._listeners:
                for transport in listener.drain_and_close():
                    admission.start(transport)
            await admission.settle()
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
                add_note(rest, f"in {name}")
                exit_error = find_exit(rest)
                if exit_error is not None:
                    self._exit(exit_error)
                else:
                    logger.critical("%s failed: the server ends", name, exc_info=rest)
                    self._keep(rest)
            if cancelled is not None:
                raise cancelled from None

    def _exit(self, error: BaseException) -> None:
        """End at once: a handler wants the process to exit."""
        reason = f"{kind_of(error)} in a handler"
        self._failure = error
        self._node.shut_down()
        record_cut(self._node, self._node.guard_report(stacks=True), reason=reason)
        self._abort.cancel(reason=reason)

    def _contain(self, name: str, error: BaseException) -> BaseException | None:
        """Log an exception of background work; return the cancellation that its task must raise."""
        cancelled, rest = split_cancelled(error)
        if rest is not None:
            exit_error = find_exit(rest)
            if exit_error is not None:
                self._exit(exit_error)
            else:
                logger.error("background work %s failed", name, exc_info=rest)
        return cancelled

    @property
    def _name(self) -> str:
        return ", ".join(listener.name for listener in self.listeners)

    def __repr__(self) -> str:
        state = "running" if self.is_running else "over" if self.is_over else "not ready"
        return f"<Server {handler_name(self._handler)} {state}>"


@contextmanager
def _ungrouped() -> Iterator[None]:
    """Unwrap an exception group of our nurseries: raise its exit exception, or else Cancelled."""
    try:
        yield
    except BaseExceptionGroup as group:
        exit_error = find_exit(group)
        if exit_error is not None:
            raise exit_error from None
        cancelled, rest = split_cancelled(group)
        if cancelled is None or rest is not None:
            raise
        raise cancelled from None


def _is_main_task() -> bool:
    """Whether this is the task that ``trio.run`` was called with."""
    nursery = trio.lowlevel.current_task().parent_nursery
    root = trio.lowlevel.current_root_task()
    # The innermost of the root task's nurseries; those around it hold trio's system tasks.
    return root is not None and bool(root.child_nurseries) and nursery is root.child_nurseries[-1]
