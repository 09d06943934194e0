"""A supervisor with what is around it: signals, the control socket, the service manager."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger
from ..exceptions import BindError, ConfigError
from ..listeners import bound_to_grant, shared_specs
from ..server import Notifier, SignalLadder, serving
from ._ctl import ControlServer
from ._handover import Predecessor, Successor
from ._reaper import reap
from ._signals import received_signals
from ._source import SupervisorSource
from ._store import Store
from ._supervisor import Supervisor

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from ..server import Server
    from ._admin import AdminSettings
    from ._crew import Launch
    from ._process import ChildProcess
    from ._settings import SupervisorConfig

__all__ = ["Surroundings", "run_supervisor"]

logger = SafeLogger("trillium_trio.supervisor")


@final
class Surroundings:
    """What a supervisor has to do with.

    Args:
      launch: Starts a worker.
      launch_successor: Starts a new supervisor.
      on_ready: Called when it is ready; may raise.
      control_path: Where commands are taken; None: nowhere.
      predecessor: The descriptor of the socket to the supervisor to take over from, or None.
      notify_address: Of the service manager, or None.
      watchdog: The seconds of silence after which the service manager ends this process, or None.
      admin: Where the admin page is; None: nowhere.
      store_room: How many descriptors the service manager stores.
      stored: Sockets that it has stored, by name.
    """

    def __init__(
        self,
        *,
        launch: Launch,
        launch_successor: Callable[[], ChildProcess],
        on_ready: Callable[[], object],
        control_path: str | None,
        predecessor: int | None,
        notify_address: str | None,
        watchdog: float | None,
        admin: AdminSettings | None = None,
        store_room: int = 0,
        stored: Mapping[str, Sequence[socket.socket]] | None = None,
    ) -> None:
        self.launch = launch
        self.launch_successor = launch_successor
        self.on_ready = on_ready
        # Absolute, because the working directory may change.
        self.control_path = None if control_path is None else str(Path(control_path).absolute())
        self.predecessor = None if predecessor is None else Predecessor(predecessor)
        self.notifier = Notifier(notify_address)
        self.watchdog = watchdog
        self.admin = admin
        self.store_room = store_room
        self.stored = stored or {}


def run_supervisor(config: SupervisorConfig, around: Surroundings) -> int:
    """Run workers until a signal; return the exit status.

    Raises:
      BindError: The control socket, or one of the admin page, cannot be opened.
      ConfigError: Others could reach the admin page.
      OSError: The predecessor's sockets cannot be taken over.
      EOFError: The predecessor is gone.
      Exception: What `on_ready` raised.
    """
    running = _Running(config, around)
    supervisor = running.supervisor
    is_over = False
    ladder = SignalLadder(
        supervisor.swansong,
        lambda: is_over,
        lambda: "",
        at_last=supervisor.crew.kill_all,
    )

    async def run() -> None:
        ladder.attach()
        await running.run()

    with ladder:
        try:
            trio.run(run)
        finally:
            is_over = True
            supervisor.crew.close()
    if running.failure is not None:
        raise running.failure
    return supervisor.status


@final
class _Running:
    """One run of a supervisor."""

    def __init__(self, config: SupervisorConfig, around: Surroundings) -> None:
        self.supervisor = Supervisor(
            around.launch,
            config,
            is_final=around.predecessor is not None,
            upgrade=self._upgrade,
        )
        self.failure: Exception | None = None
        # All is over, or another supervisor has taken over; and from when this one is asked.
        self._over = trio.Event()
        self._may_show = trio.Event()
        self._around = around
        self._crew = self.supervisor.crew
        self._successor = Successor(
            self._crew,
            around.launch_successor,
            around.notifier.main_process,
            lambda: self.supervisor.agenda.workers,
        )
        self._store = Store(self._crew, around.notifier, around.store_room)
        self._crew.sockets.on_change = self._update_store
        self.supervisor.on_ready = self._when_ready
        self.supervisor.on_roll = self._when_rolling

    async def run(self) -> None:
        around = self._around
        if around.predecessor is not None:
            self._crew.is_sharing = True
            self.supervisor.begin_with(around.predecessor.take_over(self._crew))
        self._store.restore(around.stored)
        try:
            control, admin = await self._open_own()
        except (BindError, ConfigError) as error:
            self.failure = error
            return
        async with trio.open_nursery() as showing, trio.open_nursery() as nursery:
            if admin is not None:
                showing.start_soon(self._show, admin)
            if around.predecessor is None:
                self._may_show.set()
            reaps = os.getpid() == 1
            with received_signals(reaps=reaps) as signals:
                nursery.start_soon(self._receive, signals)
                nursery.start_soon(self._notify_stop)
                nursery.start_soon(self._feed_watchdog)
                if around.predecessor is not None:
                    nursery.start_soon(self._follow, around.predecessor)
                if control is not None:
                    nursery.start_soon(self._control, control)
                await self.supervisor.run()
                self._successor.say_goodbye()
                self._over.set()
                if not self._may_show.is_set():  # a successor that has failed
                    showing.cancel_scope.cancel()
                # The answers that are on their way.
                await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()

    async def _open_own(self) -> tuple[ControlServer | None, Server | None]:
        """Open the sockets that are no worker's: they stay open to the end.

        Raises:
          BindError: One cannot be opened.
          ConfigError: The admin page cannot be served so.

        Cancellation:
          Those that are open stay so.
        """
        around, crew = self._around, self._crew
        control = admin = None
        if around.control_path is not None:
            spec: list[str | int | None] = ["unix", around.control_path, 0o600]
            crew.own_specs.append(spec)
            (opened,) = await crew.sockets.open([spec])
            control = ControlServer(self.supervisor, opened.sock)
        if around.admin is not None:
            specs = shared_specs(around.admin.binds)
            crew.own_specs += specs
            grant = [each.duplicate() for each in await crew.sockets.open(specs)]
            binds = bound_to_grant(around.admin.binds, grant)
            admin = around.admin.server(SupervisorSource(self.supervisor), binds)
        return control, admin

    async def _show(self, admin: Server) -> None:
        """Serve the admin page until all is over, or another supervisor does."""
        await self._may_show.wait()
        try:
            async with serving(admin):
                await self._over.wait()
        except Exception as error:  # what is shown goes on
            logger.exception("the admin page has failed")
            if not self.supervisor.ready.is_set():
                self.failure = error
                self.supervisor.swansong.shut_down()

    async def _follow(self, predecessor: Predecessor) -> None:
        self._store.take_over()
        await predecessor.follow(self._crew)
        # Not before: the service manager listens to its main process.
        self._update_store()

    def _update_store(self) -> None:
        before = self._around.predecessor
        is_main = before is None or before.is_gone
        if is_main and self.supervisor.ready.is_set() and self.supervisor.swansong.is_running:
            self._store.update()

    async def _control(self, control: ControlServer) -> None:
        await self.supervisor.ready.wait()
        await control.run(is_over=self._over)

    async def _receive(self, signals: AsyncIterator[str]) -> None:
        async for name in signals:
            match name:
                case "report":
                    logger.warning("%s", await self.supervisor.report())
                case "reap":
                    # After those who wait for processes of ours.
                    await trio.lowlevel.checkpoint()
                    own = {each.pid for each in self._crew.workers}
                    if reaped := reap(own):
                        logger.debug("reaped %s", reaped)
                case _:
                    logger.info("%s: asked for by a signal", name)
                    if self.supervisor.ask(name) is None and name == "less":
                        logger.warning("there is only one worker")

    async def _upgrade(self) -> str:
        if os.getpid() == 1:
            return "the first process of a container cannot be replaced: start a new container"
        before = self._around.predecessor
        if before is not None and not before.is_gone:
            return "the previous supervisor has not drained yet"
        failure = await self._successor.hand_over()
        if failure:
            # Once more: the other one may have been ready, and have put its process id in the file.
            with contextlib.suppress(Exception):
                self._around.on_ready()
        else:
            self._over.set()
        return failure

    def _when_ready(self) -> None:
        try:
            self._around.on_ready()
        except Exception as error:  # raised when all is over
            self.failure = error
            self.supervisor.swansong.shut_down()
            return
        self._may_show.set()
        if self._around.predecessor is not None:
            self._crew.is_sharing = False
            self._around.predecessor.report_ready()
            # The previous version may have had others.
            self._crew.keep_sockets()
        self._update_store()
        self._around.notifier.ready(f"{self.supervisor.config.workers} workers")

    def _when_rolling(self, begins: bool) -> None:
        if begins:
            self._around.notifier.reloading()
        else:
            self._around.notifier.ready(f"{len(self.supervisor.serving)} workers")

    async def _notify_stop(self) -> None:
        await self.supervisor.swansong.shutting_down()
        if not self._crew.is_sharing:
            self._around.notifier.stopping()

    async def _feed_watchdog(self) -> None:
        if self._around.watchdog is None:
            return
        while True:
            # A supervisor without workers is no service.
            if self.supervisor.serving or not self.supervisor.swansong.is_running:
                self._around.notifier.alive()
            await trio.sleep(self._around.watchdog / 3)
