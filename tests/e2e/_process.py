"""A server in another process, told what to do by signals and by its standard input."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Generous: on a loaded machine nothing of this takes a fraction of it.
TIMEOUT = 30

PRELUDE = """
import logging, os, signal, sys, threading, time
from contextlib import asynccontextmanager
import trio
import trillium_trio as tt
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(levelname)s %(message)s")

def say(*words):
    # In one piece, because several threads speak.
    sys.stdout.write(" ".join(map(str, words)) + "\\n")
    sys.stdout.flush()

async def app(conn):
    if conn.path == "/slow":                        # ends itself soon after the stop
        say("in /slow")
        await conn.swansong.shutting_down()
        await trio.sleep(0.2)
    if conn.path == "/hang":
        say("in /hang")
        await trio.sleep_forever()
    if conn.path == "/block":
        say("in /block")
        while conn.swansong.is_running:             # and never gives the loop a turn
            time.sleep(0.01)
        say("stopped")
        while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
            time.sleep(0.01)
        say("cut")
        time.sleep(3600)
    return conn.ok("done")

@asynccontextmanager
async def pool(info):
    yield
    say("pool closed")
"""


class Process:
    """A Python program whose output is read line by line."""

    def __init__(
        self, arguments: list[str], environ: dict[str, str], folder: Path | None = None
    ) -> None:
        # Nothing of the machine's own settings, whatever the tests themselves are started with.
        clean = {k: v for k, v in os.environ.items() if k not in {"HOST", "PORT", "LISTEN_FDS"}}
        self._process = subprocess.Popen(
            [sys.executable, "-W", "error", *arguments],
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=clean | environ,
        )
        self.lines: list[str] = []
        # Ends a wait for a line that never comes.
        self._timer = threading.Timer(TIMEOUT, self._process.kill)
        self._timer.start()

    def wait_for(self, text: str) -> str:
        """Read lines until one has this text in it."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.lines.append(line.rstrip())
            if text in line:
                return self.lines[-1]
        raise AssertionError(f"no {text!r} in {self.lines}")

    def port(self) -> int:
        """Wait until a server listens; return its port."""
        found = re.search(r"//\S*:(\d+)\b", self.wait_for("listening on"))
        assert found, self.lines
        return int(found[1])

    def send_signal(self, number: int) -> None:
        self._process.send_signal(number)

    def write_line(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def end(self) -> int:
        """Wait for its end; return the exit status. The rest of its output is in `lines`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        # Not communicate(): it would pass over what has been read ahead of the last line.
        self.lines += [line.rstrip() for line in self._process.stdout]
        return self._process.wait()

    @property
    def output(self) -> str:
        return "\n".join(self.lines)

    def kill(self) -> None:
        self._timer.cancel()
        self._timer.join()
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@contextmanager
def running(program: str, **environ: str) -> Iterator[Process]:
    """Run a program; it is killed if the block leaves it running."""
    with _ended(Process(["-c", PRELUDE + program], environ)) as process:
        yield process


@contextmanager
def running_alone(program: str) -> Iterator[Process]:
    """Run a program without the prelude, which sets up logging; see `running`."""
    with _ended(Process(["-c", program], {})) as process:
        yield process


@contextmanager
def running_command(arguments: list[str], folder: Path) -> Iterator[Process]:
    """Run the command line in a folder; it is killed if the block leaves it running."""
    with _ended(Process(["-m", "trillium_trio", *arguments], {}, folder)) as process:
        yield process


@contextmanager
def _ended(process: Process) -> Iterator[Process]:
    try:
        yield process
    finally:
        process.kill()


class Client:
    """A client with one request under way."""

    def __init__(self, port: int | str, target: str = "/") -> None:
        if isinstance(port, str):
            self._socket = socket.socket(socket.AF_UNIX)
            self._socket.connect(port)
        else:
            self._socket = socket.create_connection(("127.0.0.1", port), timeout=TIMEOUT)
        self._socket.settimeout(TIMEOUT)
        self._socket.sendall(f"GET {target} HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, end: bytes) -> bytes:
        """Read until there is this end, or the server closes; the connection stays open."""
        received = b""
        while not received.endswith(end) and (data := self._socket.recv(65_536)):
            received += data
        return received

    def close(self) -> None:
        self._socket.close()

    def receive_all(self) -> bytes:
        """Read until the server closes or resets, then close."""
        received = b""
        with self._socket:
            try:
                while data := self._socket.recv(65_536):
                    received += data
            except ConnectionResetError:
                pass
        return received

    def assert_served(self) -> bytes:
        """Hold the response to be whole; return it."""
        response = self.receive_all()
        assert response.startswith(b"HTTP/1.1 200 "), response
        assert response.endswith(b"done"), response
        return response

    def assert_served_and_closed(self) -> None:
        """Hold the response to be whole, and to have begun after the stop."""
        response = self.assert_served()
        assert b"\r\nconnection: close\r\n" in response.lower(), response
