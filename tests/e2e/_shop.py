"""The shop of ``examples/``, as it is put into production: processes that follow one another.

.. code-block:: text

    Sockets     client ==========> two listening sockets, which each process inherits
    Balanced    client => HAProxy => two ports, one of them with a process
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from contextlib import ExitStack
from functools import partial
from typing import TYPE_CHECKING, Protocol, Self, final

from tests.e2e.test_rolling_restart import (
    PATIENCE_SECONDS,
    free_port,
    haproxy,
    is_listening,
    listening,
    servers_up,
    wait_until,
)
from tests.meta._tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

__all__ = ["Balanced", "Restarts", "Service", "Sockets", "make_certificate"]

EXAMPLES = ROOT / "examples"
# Several times the interval at which HAProxy checks, in these tests.
DRAIN_DELAY_SECONDS = 0.6


def make_certificate(folder: Path) -> None:
    """Make ``shop.crt`` and ``shop.key``, as chapter 16 says."""
    subject = ("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1")
    files = ("-keyout", str(folder / "shop.key"), "-out", str(folder / "shop.crt"))
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", *subject, *files],
        check=True,
        capture_output=True,
    )


class Service(Protocol):
    """The shop, at one URL, whichever process serves it.

    Attributes:
      url: Where it is, without a slash at its end.
    """

    url: str

    def restart(self) -> None:
        """Start a successor, then stop the one that serves; wait until it has ended well."""

    def kill(self) -> None:
        """Kill the one that serves, and start another."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...


@final
class Process:
    """One process of the shop; its log is a file."""

    def __init__(
        self,
        arguments: Sequence[str],
        log: Path,
        environment: Mapping[str, str],
        descriptors: Sequence[int] = (),
    ) -> None:
        self.log: Path = log
        with log.open("wb") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", *arguments],
                cwd=log.parent,
                env={**os.environ, "PYTHONPATH": f"{EXAMPLES}{os.pathsep}{ROOT}", **environment},
                pass_fds=descriptors,
                stdout=file,
                stderr=file,
            )

    def says(self, text: str) -> bool:
        """Whether its log has this."""
        assert self._process.poll() is None, self.text
        return text in self.text

    @property
    def text(self) -> str:
        return self.log.read_text("utf-8")

    def stop(self) -> None:
        """Send it SIGTERM; wait until it has drained, with nothing cut."""
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait(PATIENCE_SECONDS) == 0, self.text
        assert "Traceback" not in self.text, self.text

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@final
class Sockets:
    """``python -m shop`` on sockets that outlive each process, with HTTPS and its redirect."""

    def __init__(self, folder: Path, database: str) -> None:
        self._folder = folder
        self._stack = ExitStack()
        self._sockets = [self._stack.enter_context(listening()) for _ in range(3)]
        https, http, admin = (each.fileno() for each in self._sockets)
        port = self._sockets[0].getsockname()[1]
        self.url: str = f"https://localhost:{port}"
        self.plain_url: str = f"http://localhost:{self._sockets[1].getsockname()[1]}"
        self._environment = {
            "DATABASE_URL": database,
            "HTTPS": f"fd:{https}",
            "HTTPS_PORT": str(port),
            "HTTP": f"fd:{http}",
            "ADMIN": f"fd:{admin}",
        }
        self._count = 0

    def __enter__(self) -> Self:
        make_certificate(self._folder)
        self._process = self._start()
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._stack.close()

    def _start(self) -> Process:
        self._count += 1
        process = Process(
            ["shop"],
            self._folder / f"shop{self._count}.log",
            self._environment,
            [each.fileno() for each in self._sockets],
        )
        try:
            # The last of the three servers is ready.
            wait_until(lambda: process.text.count("listening on") == 3, "the shop is ready")
        except BaseException:
            process.kill()
            raise
        return process

    def restart(self) -> None:
        """See `Service`."""
        previous, self._process = self._process, self._start()
        previous.stop()

    def kill(self) -> None:
        """See `Service`."""
        self._process.kill()
        self._process = self._start()


@final
class Balanced:
    """``trillium-trio shop.app:app`` behind HAProxy, with the configuration of the examples."""

    def __init__(self, folder: Path, database: str) -> None:
        self._folder = folder
        self._database = database
        self._stack = ExitStack()
        self._ports = {"blue": free_port(), "green": free_port()}
        self._name = "blue"
        self._count = 0

    def __enter__(self) -> Self:
        port, self._stats_port = self._stack.enter_context(haproxy(**self._ports))
        self.url = f"http://localhost:{port}"
        self._process = self._start()
        # Until it has checked, HAProxy takes both to be up.
        wait_until(lambda: servers_up(self._stats_port) == {self._name}, "one server up")
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._stack.close()

    def _start(self) -> Process:
        self._count += 1
        port = self._ports[self._name]
        options = ("--bind", f"127.0.0.1:{port}", "--drain-delay", str(DRAIN_DELAY_SECONDS))
        process = Process(
            ["trillium_trio", "shop.app:app", *options],
            self._folder / f"shop{self._count}.log",
            {"DATABASE_URL": self._database},
        )
        try:
            wait_until(partial(is_listening, port), "the shop is listening")
        except BaseException:
            process.kill()
            raise
        return process

    def restart(self) -> None:
        """See `Service`."""
        previous = self._process
        before = self._name
        self._name = "green" if before == "blue" else "blue"
        self._process = self._start()
        wait_until(lambda: len(servers_up(self._stats_port)) == 2, "both up")
        previous.stop()
        wait_until(lambda: servers_up(self._stats_port) == {self._name}, f"{before} is down")

    def kill(self) -> None:
        """See `Service`."""
        self._process.kill()
        self._process = self._start()
        wait_until(lambda: servers_up(self._stats_port) == {self._name}, "up again")


@final
class Restarts:
    """Does something with a service, so many times, in a thread.

    Attributes:
      count: How often it was done so far.
    """

    def __init__(self, act: object, times: int) -> None:
        assert callable(act)
        self.count: int = 0
        self._error: BaseException | None = None

        def run() -> None:
            try:
                for _ in range(times):
                    act()
                    self.count += 1
            except BaseException as error:
                self._error = error

        self._thread = threading.Thread(target=run)

    @property
    def are_over(self) -> bool:
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error
