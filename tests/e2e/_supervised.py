"""A supervisor with workers as processes, and clients that notice every loss."""

from __future__ import annotations

import http.client
import os
import re
import socket
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

from tests.e2e._command import PATIENCE, Process, request
from trillium_trio.supervisor import call

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Start = Callable[..., "Supervised"]

APPLICATION = """
import os, pathlib, sys, time
import trio
import trillium_trio as tt

VERSION = "%s"

def begin():
    sys.stderr.write("begun\\n")

async def numbers():
    for number in range(10 ** 9):
        yield number
        await trio.sleep(0.02)

async def events(conn):
    async for number in conn.swansong.interrupt(numbers()):
        yield str(number)
    yield "goodbye of " + VERSION

events = tt.handlers.EventStream(events)

async def app(conn):
    match conn.path:
        case "/slow":
            begin()
            while not pathlib.Path("release").exists():
                await trio.sleep(0.02)
        case "/events":
            return await events.run(conn)
        case "/block":
            begin()
            while True:
                time.sleep(0.01)
        case "/spin":
            begin()
            while True:
                pass
        case "/exit":
            os._exit(7)
        case "/pid":
            return conn.ok(str(os.getpid()))
        case "/environ":
            own = [name for name in os.environ if name.startswith("_TRILLIUM")]
            return conn.ok(f"{os.environ['GREETING']} {own}")
        case "/post":
            await conn.request_body.read()
            await trio.sleep(0.005)
        case "/upload":
            begin()
            return conn.ok(VERSION + " " + (await conn.request_body.read()).decode())
    return conn.ok(VERSION)
"""

# Says its process id, and is never ready.
NEVER_READY = """
sys.stderr.write(f"importing {os.getpid()}\\n")
time.sleep(3600)
"""


def save(folder: Path, version: str, more: str = "") -> None:
    (folder / "app.py.new").write_text(APPLICATION % version + more, encoding="utf-8")
    (folder / "app.py.new").replace(folder / "app.py")


def control(folder: Path, do: str, **more: object) -> dict[str, Any]:
    """Give a command as ``trillium-trio ctl`` does."""
    return call(str(folder / "ctl.sock"), {"do": do, **more}, timeout=PATIENCE)


def status(folder: Path) -> dict[str, Any]:
    state: dict[str, Any] = control(folder, "status")["state"]
    return state


def ask(port: int, target: str = "/") -> str:
    with closing(request(port, target)) as connection:
        return connection.getresponse().read().decode()


def wait_until(condition: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < give_up_at, what
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def is_gone(pid: int) -> bool:
    return not is_alive(pid)


class Supervised:
    """A supervisor whose workers are ready."""

    def __init__(self, folder: Path, *arguments: str, workers: int = 2, **environ: str) -> None:
        with closing(socket.create_server(("127.0.0.1", 0))) as free:
            self.port: int = free.getsockname()[1]
        self.workers: list[int] = []
        command = ["-m", "trillium_trio", "app:app", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--workers", str(workers), "--control", "ctl.sock", *arguments]
        # Many processes are started one after the other.
        self.process = Process(command, folder, environ, patience=4 * PATIENCE)
        for _ in range(workers):
            self.wait_ready()

    def wait_ready(self) -> int:
        found = re.search(r"worker (\d+) of", self.wait_line(" is ready"))
        assert found is not None
        self.workers.append(int(found[1]))
        return self.workers[-1]

    def wait_line(self, part: str) -> str:
        return self.process.wait_line(part)

    def wait_pid(self, part: str) -> int:
        """Wait for a line that ends with a process id."""
        return int(self.wait_line(part).split()[-1])

    @property
    def pid(self) -> int:
        return self.process.process.pid

    def signal(self, number: int) -> None:
        self.process.process.send_signal(number)

    def stop(self, status: int = 0) -> None:
        self.process.process.terminate()
        assert self.process.wait_status() == status, self.process.log


class Load:
    """Clients that POST over kept and over fresh connections; none may be lost or refused."""

    def __init__(self, port: int, *, clients: int = 3) -> None:
        self.port = port
        self.count = 0
        self.answers: set[str] = set()
        self.failures: list[str] = []
        self._is_over = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(is_kept,))
            for is_kept in [True] * clients + [False] * clients
        ]
        for each in self._threads:
            each.start()

    def _run(self, is_kept: bool) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        while not self._is_over.is_set():
            try:
                # Connects anew where the last response said that the connection closes.
                connection.request("POST", "/post", b"x")
                response = connection.getresponse()
                body = response.read().decode()
                if response.status != 200:
                    self.failures.append(f"{response.status} {body}")
                self.answers.add(body)
                self.count += 1
            except (OSError, http.client.HTTPException) as error:
                self.failures.append(f"{'kept' if is_kept else 'fresh'}: {error!r}")
                connection.close()
                time.sleep(0.05)
            if not is_kept:
                connection.close()
        connection.close()

    def more(self, count: int = 20) -> None:
        enough = self.count + count
        wait_until(lambda: self.count >= enough, "more answers")

    def end(self) -> list[str]:
        self._is_over.set()
        for each in self._threads:
            each.join()
        return self.failures
