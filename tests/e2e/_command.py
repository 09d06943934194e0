"""The command line as a process, whose log is read line by line."""

from __future__ import annotations

import http.client
import os
import re
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PATIENCE = 30


class Process:
    """A running command line, whose log has been read up to the line that says ready."""

    def __init__(
        self,
        command: list[str],
        folder: Path,
        environ: dict[str, str] | None = None,
        *,
        patience: float = PATIENCE,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.log = ""
        self.process = subprocess.Popen(
            [sys.executable, *command],
            cwd=folder,
            env=clean_environment() | (environ or {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=pass_fds,
            process_group=0,
        )
        # Ends a wait for a line, or for the end, that never comes.
        self.timer = threading.Timer(patience, self._kill_all)
        self.timer.start()

    def wait_line(self, part: str) -> str:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.log += line
            if part in line:
                return line
        pytest.fail(f"no line with {part!r} in:\n{self.log}")

    def wait_port(self) -> int:
        found = re.search(r"http://[^,\s]*:(\d+)", self.wait_line("listening on"))
        assert found is not None
        return int(found[1])

    def wait_status(self) -> int:
        assert self.process.stderr is not None
        # Not communicate(): it would pass over what has been read ahead of the last line.
        self.log += self.process.stderr.read()
        return self.process.wait()

    def kill(self) -> None:
        self.timer.cancel()
        self.timer.join()
        self._kill_all()
        self.process.communicate()

    def _kill_all(self) -> None:
        """Kill what it has started as well: all that writes to its log."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)


def clean_environment() -> dict[str, str]:
    """Return the environment without what would change a server."""
    names = {"HOST", "PORT", "LISTEN_FDS", "NO_COLOR"}
    return {
        name: value
        for name, value in os.environ.items()
        if name not in names and not name.startswith("TRILLIUM_")
    }


def request(port: int, target: str = "/") -> http.client.HTTPConnection:
    connection = http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
    connection.request("GET", target)
    return connection
