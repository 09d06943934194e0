"""A rolling restart for real: HAProxy, two servers, POSTs that nobody may send twice.

.. code-block:: text

    clients (threads) ===== HAProxy =====> examples/rolling.py "blue"  --> one ledger
      one POST after        no retries,  `> examples/rolling.py "green" --> per process
      another, kept alive   checks /readyz

Each POST carries an id of its own. Lost is an id without a whole response of 200, doubled is one
that stands in the ledgers more than once.
"""

from __future__ import annotations

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from runpy import run_path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ROOT = Path(__file__).parents[2]
# Debian keeps it where only root's PATH leads.
HAPROXY = shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

SCRIPT = ROOT / "examples" / "deploy" / "roll.py"
script = run_path(str(SCRIPT))

RESTARTS = 6
CLIENTS = 6
CHECK_MILLISECONDS = 100
# Several times what HAProxy needs to notice (one check), for a loaded machine.
DRAIN_DELAY_SECONDS = 0.6
# So many that each server had several, for HAProxy sends to them in turn.
ENOUGH_ANSWERS = 50
PATIENCE_SECONDS = 20.0


@dataclass
class Load:
    """What the clients sent and what they saw."""

    answered: list[str] = field(default_factory=list)
    lost: dict[str, str] = field(default_factory=dict)
    is_over: threading.Event = field(default_factory=threading.Event)

    def client(self, name: str, port: int) -> None:
        """POST one id after another, over one connection for as long as it lasts."""
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
        count = 0
        while not self.is_over.is_set():
            count += 1
            each = f"{name}-{count}"
            try:
                # It reconnects by itself only after a response that closes; it never sends again.
                connection.request("POST", "/orders", each)
                response = connection.getresponse()
                body = response.read()
                if response.status == http.HTTPStatus.OK and body:
                    self.answered.append(each)
                else:
                    self.lost[each] = f"{response.status} {body!r}"
            except (OSError, http.client.HTTPException) as error:
                self.lost[each] = repr(error)
                connection.close()
        connection.close()

    def wait_for(self, count: int) -> None:
        """Wait until this many more were answered."""
        enough = len(self.answered) + count
        wait_until(lambda: len(self.answered) >= enough, f"{count} answers")


def wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what}: not in {PATIENCE_SECONDS:g} s"
        time.sleep(0.02)


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    with socket.socket() as sock:
        return sock.connect_ex(("127.0.0.1", port)) == 0


def listening() -> socket.socket:
    sock = socket.create_server(("127.0.0.1", 0))
    sock.set_inheritable(True)
    return sock


@contextmanager
def ended(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def haproxy(blue: int, green: int) -> Iterator[tuple[int, int]]:
    """Run the example's configuration; yields the port to send to and the port to ask.

    HAProxy inherits its own listening sockets, so that nobody can take their ports first.
    """
    assert HAPROXY is not None
    with listening() as front, listening() as stats:
        environ = {
            "BIND": f"fd@{front.fileno()}",
            "STATS": f"fd@{stats.fileno()}",
            "BLUE": f"127.0.0.1:{blue}",
            "GREEN": f"127.0.0.1:{green}",
            "INTERVAL": f"{CHECK_MILLISECONDS}ms",
        }
        process = subprocess.Popen(
            [HAPROXY, "-db", "-q", "-f", str(ROOT / "examples" / "deploy" / "haproxy.cfg")],
            env=environ,
            pass_fds=(front.fileno(), stats.fileno()),
        )
        ports = front.getsockname()[1], stats.getsockname()[1]
    with ended(process):
        yield ports


def servers_up(stats_port: int) -> set[str]:
    """Ask HAProxy which servers it uses."""
    rows = script["servers"](f"127.0.0.1:{stats_port}")
    return {name for name, row in rows.items() if row["status"] == "UP"}


def start(port: int, ledger: Path, drain_delay: float) -> subprocess.Popen[bytes]:
    environ = {
        "PYTHONPATH": str(ROOT),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "LEDGER": str(ledger),
        "TRILLIUM_DRAIN_DELAY": str(drain_delay),
    }
    return subprocess.Popen([sys.executable, str(ROOT / "examples" / "rolling.py")], env=environ)


def roll(folder: Path, *, restarts: int, drain_delay: float) -> tuple[Load, list[Path]]:
    """Restart two servers in turn under load; returns what clients saw, and all ledgers."""
    load = Load()
    ledgers: list[Path] = []
    ports = {"blue": free_port(), "green": free_port()}
    with ExitStack() as stack:
        front_port, stats_port = stack.enter_context(haproxy(**ports))

        def begin(name: str) -> subprocess.Popen[bytes]:
            ledgers.append(folder / f"{name}-{len(ledgers)}")
            ledgers[-1].touch()
            process = start(ports[name], ledgers[-1], drain_delay)
            return stack.enter_context(ended(process))

        def restart(name: str) -> None:
            servers[name].send_signal(signal.SIGTERM)
            assert servers[name].wait(PATIENCE_SECONDS) == 0
            servers[name] = begin(name)

        servers = {name: begin(name) for name in ports}
        # HAProxy takes servers to be up until it has checked them, so it is not the one to ask.
        for name, port in ports.items():
            wait_until(partial(is_listening, port), f"{name} listening")
        wait_until(lambda: servers_up(stats_port) == set(ports), "both servers up")
        # Left before the servers are ended, so that after a failure clients do not wait for them.
        pool = stack.enter_context(ThreadPoolExecutor(CLIENTS))
        stack.callback(load.is_over.set)
        clients = [pool.submit(load.client, f"client{n}", front_port) for n in range(CLIENTS)]
        for _, name in zip(range(restarts), [*ports] * restarts, strict=False):
            load.wait_for(ENOUGH_ANSWERS)
            script["restart"](f"127.0.0.1:{stats_port}", name, restart)
        load.wait_for(ENOUGH_ANSWERS)
        load.is_over.set()
        for client in clients:
            client.result(PATIENCE_SECONDS)
        for server in servers.values():
            server.send_signal(signal.SIGTERM)
        assert [server.wait(PATIENCE_SECONDS) for server in servers.values()] == [0, 0]
    return load, ledgers


@pytest.mark.skipif(HAPROXY is None, reason="needs haproxy, a package of that name on most systems")
def test_sv_6_a_rolling_restart_behind_haproxy_loses_no_post_and_doubles_none(
    tmp_path: Path,
) -> None:
    load, ledgers = roll(tmp_path, restarts=RESTARTS, drain_delay=DRAIN_DELAY_SECONDS)

    written = [ledger.read_text("ascii").split() for ledger in ledgers]
    counts = Counter(each for ids in written for each in ids)
    assert load.lost == {}
    assert {each: count for each, count in counts.items() if count > 1} == {}
    assert counts.keys() == set(load.answered)
    # Each process had its share, or the restarts were none that anybody could notice.
    assert len(written) == RESTARTS + 2
    assert all(written)


@pytest.mark.skipif(HAPROXY is None, reason="needs haproxy, a package of that name on most systems")
def test_sv_6_a_restart_that_fails_ends_the_roll(tmp_path: Path) -> None:
    ports = {"blue": free_port(), "green": free_port()}
    restarted = tmp_path / "restarted"
    command = f'{sys.executable} -c \'open("{restarted}", "a").write("{{}}"); 1/0\''
    with ExitStack() as stack:
        _, stats_port = stack.enter_context(haproxy(**ports))
        for name, port in ports.items():
            ledger = tmp_path / name
            ledger.touch()
            stack.enter_context(ended(start(port, ledger, 0.0)))
            wait_until(partial(is_listening, port), f"{name} listening")
        found = subprocess.run(
            [sys.executable, str(SCRIPT), f"127.0.0.1:{stats_port}", command, *ports],
            capture_output=True,
            text=True,
            check=False,
        )
        assert found.returncode != 0
        assert restarted.read_text() == "blue", found.stderr
        assert servers_up(stats_port) == set(ports)
