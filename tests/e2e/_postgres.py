"""A PostgreSQL of a test's own: on a unix socket, in a temporary folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self, final

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

# Debian keeps each version in a folder of its own, which no PATH leads to.
_FOLDERS = [*sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")), reverse=True)]
POSTGRES = shutil.which("postgres", path=os.pathsep.join([*_FOLDERS, os.environ.get("PATH", "")]))

needs_postgres = pytest.mark.skipif(
    POSTGRES is None, reason="needs the server of PostgreSQL: apt-get install postgresql"
)

_TIMEOUT_SECONDS = 60.0
# What was committed is in the kernel, where it survives that the server is killed.
_SETTINGS = ("fsync=off", "full_page_writes=off", "listen_addresses=")


@final
class Postgres:
    """Starts and stops it, any number of times, with the same data, at the same URL.

    It refuses to be run by root, so then the user ``postgres`` runs it, to whom the folder belongs.

    Args:
      settings: Of the server, such as ``"max_connections=20"``.

    Attributes:
      url: Of the database that is there from the start.
    """

    def __init__(self, *settings: str) -> None:
        self._settings = [*_SETTINGS, *settings]
        # Not the folder of a test, in which another user cannot go.
        self._folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        self._user = "postgres" if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(self._folder, self._user, pwd.getpwnam(self._user).pw_gid)
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = count(1)
        self.url: str = self._url("postgres")

    def new_database(self) -> str:
        """Make an empty database; return its URL."""
        name = f"test{next(self._numbers)}"
        self._run("createdb", f"--host={self._folder}", "--username=postgres", name)
        return self._url(name)

    def query(self, sql: str, url: str | None = None) -> str:
        """Return what psql prints of a query: a line for each row, ``|`` between columns."""
        return self._run("psql", "--no-psqlrc", "-At", "-c", sql, url or self.url).strip()

    def start(self) -> None:
        """Start it, and wait until it accepts connections."""
        arguments = [each for setting in self._settings for each in ("-c", setting)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [
                    self._program("postgres"),
                    f"-D{self._folder}/data",
                    f"-k{self._folder}",
                    *arguments,
                ],
                user=self._user,
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + _TIMEOUT_SECONDS
        command = [
            self._program("pg_isready"),
            "-q",
            f"--host={self._folder}",
            "--username=postgres",
        ]
        while subprocess.run(command, check=False).returncode:
            assert self._process.poll() is None, self.log
            assert time.monotonic() < deadline, self.log
            time.sleep(0.02)

    def stop(self) -> None:
        """Kill all of it at once, as when its machine goes down. Idempotent."""
        if self._process is not None:
            # The first one's first, or it would start others.
            processes = self._processes()
            self._process.kill()
            self._process.wait()
            self._process = None
            for pid in processes[1:]:
                _signal(pid, signal.SIGKILL)
            # One that lives on would keep the data from the next start.
            deadline = time.monotonic() + _TIMEOUT_SECONDS
            while any(map(_is_alive, processes)):
                assert time.monotonic() < deadline, processes
                time.sleep(0.01)

    def shut_down(self) -> None:
        """Stop it as an administrator does: it ends its connections, with a word to each."""
        assert self._process is not None
        self._process.send_signal(signal.SIGINT)
        self._process.wait(_TIMEOUT_SECONDS)
        self._process = None

    def freeze(self) -> None:
        """Stop all its processes: connections stay open, and nothing is answered."""
        for pid in self._processes():
            _signal(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._processes():
            _signal(pid, signal.SIGCONT)

    @property
    def log(self) -> str:
        return (self._folder / "log").read_text(encoding="utf-8", errors="replace")

    def _url(self, database: str) -> str:
        return f"postgresql://postgres@/{database}?host={self._folder}"

    def _processes(self) -> list[int]:
        """Return the ids of the first process and of its children."""
        assert self._process is not None
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
        return [pid, *map(int, children.split())]

    def _program(self, name: str) -> str:
        assert POSTGRES is not None
        return str(Path(POSTGRES).resolve().parent / name)

    def _run(self, name: str, *arguments: str) -> str:
        command: Sequence[str] = [self._program(name), *arguments]
        done = subprocess.run(
            command,
            user=self._user,
            cwd=self._folder,
            check=False,
            capture_output=True,
            text=True,
            timeout=_TIMEOUT_SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def __enter__(self) -> Self:
        self._run(
            "initdb",
            *("--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"),
            f"--pgdata={self._folder}/data",
        )
        self.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()
        shutil.rmtree(self._folder)


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has ended meanwhile


def _is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"
