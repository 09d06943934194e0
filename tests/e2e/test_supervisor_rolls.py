"""Rolls: workers are replaced, and clients that notice every loss see nothing of it."""

from __future__ import annotations

import gc
import http.client
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from tests.e2e._command import PATIENCE, request
from tests.e2e._supervised import (
    NEVER_READY,
    Load,
    ask,
    is_gone,
    save,
    wait_until,
)
from tests.e2e.test_proxies import NGINX, ended, haproxy, is_listening, needs_haproxy, needs_nginx
from trillium_trio.supervisor import ChildProcess, Supervisor, SupervisorConfig

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.e2e._supervised import Start, Supervised
    from trillium_trio.listeners import LoadPage


def test_su_5_rolls_lose_nothing(start: Start, tmp_path: Path) -> None:
    """Short requests; and a long one, a stream of events and an upload that are in flight."""
    supervised = start("--keepalive-grace", "5", "--pidfile", "pid", "--bind", "unix:app.sock")
    assert int((tmp_path / "pid").read_text()) == supervised.pid
    file = (tmp_path / "app.sock").stat()
    load = Load(supervised.port)
    upload = http.client.HTTPConnection("127.0.0.1", supervised.port, timeout=PATIENCE)
    with (
        closing(upload),
        closing(request(supervised.port, "/slow")) as slow,
        closing(request(supervised.port, "/events")) as stream,
    ):
        events = stream.getresponse()
        assert events.readline().startswith(b"data: ")
        upload.putrequest("POST", "/upload")
        upload.putheader("Content-Length", "6")
        upload.endheaders(b"abc")
        for _ in range(2):
            supervised.wait_line("begun")
        for version in ("v2", "v3"):
            load.more()
            save(tmp_path, version)
            supervised.signal(signal.SIGHUP)
            supervised.wait_line("rolled 2 workers")
        load.more()
        # Its last event has come, and the end of the body: else it would be an IncompleteRead.
        assert b"data: goodbye of v1\n" in events.read()
        upload.send(b"def")
        assert upload.getresponse().read() == b"v1 abcdef"
        (tmp_path / "release").touch()
        assert slow.getresponse().read() == b"v1"
    assert load.end() == []
    assert load.answers == {"v1", "v2", "v3"}
    # The old one accepts until it has heard of the drain.
    wait_until(lambda: ask(supervised.port) == "v3", "the new version")
    assert os.path.samestat(file, (tmp_path / "app.sock").stat())
    supervised.stop()
    assert not (tmp_path / "app.sock").exists()


NGINX_CONFIG = """
daemon off;
pid {folder}/nginx.pid;
error_log stderr error;
events {{}}
http {{
    access_log off;
    {paths}
    upstream app {{ server 127.0.0.1:{upstream}; keepalive 8; }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://app;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_next_upstream off;
        }}
    }}
}}
"""


@contextmanager
def nginx(folder: Path, upstream: int) -> Iterator[int]:
    """Run nginx in front of a port; yields its own."""
    assert NGINX is not None
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    names = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    paths = "".join(f"{name}_temp_path {folder}/{name};" for name in names)
    path = folder / "nginx.conf"
    path.write_text(
        NGINX_CONFIG.format(folder=folder, upstream=upstream, port=port, paths=paths), "ascii"
    )
    command = [NGINX, "-p", str(folder), "-e", "stderr", "-c", str(path)]
    with ended(subprocess.Popen([*command, "-g", "master_process off;"])):
        wait_until(lambda: is_listening(port), "nginx")
        yield port


def roll_behind(supervised: Supervised, folder: Path, port: int) -> None:
    load = Load(port, clients=2)
    load.more()
    save(folder, "v2")
    supervised.signal(signal.SIGHUP)
    supervised.wait_line("rolled 1 workers")
    load.more()
    assert load.end() == []
    assert load.answers == {"v1", "v2"}
    supervised.stop()


@needs_haproxy
def test_su_5_behind_haproxy_that_repeats_nothing(start: Start, tmp_path: Path) -> None:
    supervised = start(workers=1)
    section = f"listen a\n mode http\n retries 0\n BIND\n server s 127.0.0.1:{supervised.port}\n"
    with haproxy(tmp_path, section) as port:
        roll_behind(supervised, tmp_path, port)


@needs_nginx
def test_su_5_behind_nginx_that_repeats_nothing(start: Start, tmp_path: Path) -> None:
    supervised = start(workers=1)
    with nginx(tmp_path, supervised.port) as port:
        roll_behind(supervised, tmp_path, port)


def test_su_6_a_broken_version_loses_nothing(start: Start, tmp_path: Path) -> None:
    logging = tmp_path / "log.json"
    logging.write_text('{"version": 1, "disable_existing_loggers": false}', encoding="utf-8")
    supervised = start(
        *("--keepalive-grace", "5", "--start-timeout", "10", "--roll", "100%"),
        *("--log-config", "log.json"),
    )
    load = Load(supervised.port)
    for more in ("def\n", "def fail(info):\n    1 / 0\napp = (tt.Init(fail), app)\n"):
        save(tmp_path, "v2", more)
        supervised.signal(signal.SIGHUP)
        supervised.wait_line("0 of 2 workers are new")
        load.more()
    save(tmp_path, "v3")
    # Nor are a configuration of the log that is none, and a want of descriptors.
    logging.write_text("{", encoding="utf-8")
    supervised.signal(signal.SIGHUP)
    supervised.wait_line("0 of 2 workers are new")
    load.more()
    logging.write_text('{"version": 1}', encoding="utf-8")
    pid = supervised.pid
    before = resource.prlimit(pid, resource.RLIMIT_NOFILE, (3, 4096))
    supervised.signal(signal.SIGHUP)
    supervised.wait_line("0 of 2 workers are new")
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (min(4096, before[0]), 4096))
    load.more()
    assert load.end() == []
    assert load.answers == {"v1"}
    supervised.signal(signal.SIGHUP)
    supervised.wait_line("rolled 2 workers")
    # The old one accepts until it has heard of the drain.
    wait_until(lambda: ask(supervised.port) == "v3", "the new version")
    supervised.stop()


def test_su_9_new_workers_that_are_killed_two_rolls_and_the_stop(
    start: Start, tmp_path: Path
) -> None:
    supervised = start()
    save(tmp_path, "v2", NEVER_READY)
    supervised.signal(signal.SIGHUP)
    os.kill(supervised.wait_pid("importing "), signal.SIGKILL)
    supervised.wait_line("killed by SIGKILL; 0 of 2 workers are new")
    assert ask(supervised.port) == "v1"
    # Two at once: the second one is for the newer code.
    supervised.signal(signal.SIGHUP)
    pid = supervised.wait_pid("importing ")
    save(tmp_path, "v3")
    supervised.signal(signal.SIGHUP)
    supervised.wait_line("roll: asked for by a signal")
    os.kill(pid, signal.SIGKILL)
    supervised.wait_line("killed by SIGKILL; 0 of 2 workers are new")
    supervised.wait_line("rolled 2 workers")
    wait_until(lambda: ask(supervised.port) == "v3", "the new version")
    # The stop does not wait for one that is not ready.
    save(tmp_path, "v4", NEVER_READY)
    supervised.signal(signal.SIGHUP)
    pid = supervised.wait_pid("importing ")
    supervised.stop()
    assert is_gone(pid)


# -- a hundred ---------------------------------------------------------------------------------

# A worker of the least that one says: it starts twenty times as fast as one of ours.
WORKER = """
import json, os, socket

sock = socket.socket(fileno=int(os.environ["CONTROL"]))

def say(kind, **fields):
    sock.sendall(json.dumps({"kind": kind, **fields}).encode() + b"\\n")

say("hello", pid=os.getpid(), version=1)
say("listen", specs=[["tcp", "127.0.0.1", 0]])
answer, fds = b"", []
while not answer.endswith(b"\\n"):
    data, more, _, _ = socket.recv_fds(sock, 4096, 8)
    answer, fds = answer + data, fds + more
assert len(fds) == 1
say("ready", drain=1.0, cleanup=1.0)
say("stats", figures={"totals": {"requests": 1}})
while (data := sock.recv(4096)) and b'"drain"' not in data:
    pass
say("drained", clean=True)
"""


def launch(_: LoadPage, __: int, ___: int) -> ChildProcess:
    command = [sys.executable, "-I", "-S", "-c", WORKER]
    return ChildProcess(command, lambda fd: {"CONTROL": str(fd)})


def children() -> set[int]:
    paths = Path("/proc/self/task").glob("*/children")
    return {int(each) for path in paths for each in path.read_text().split()}


def own_objects() -> int:
    """Count the objects of a supervisor. Not all: trio forgets deadlines a thousand at a time."""
    gc.collect()
    own = ("trillium_trio.supervisor", "trillium_trio.listeners", "subprocess", "socket")
    return sum(str(type(each).__module__).startswith(own) for each in gc.get_objects())


async def test_su_5_a_hundred_rolls_leave_nothing_behind() -> None:
    """Descriptors, processes and objects of the supervisor, which is this process."""
    # A child that is not ours to wait for, such as one of a shell that has executed the supervisor.
    stranger = subprocess.Popen([shutil.which("sh") or "sh", "-c", "exit 3"])
    supervisor = Supervisor(launch, SupervisorConfig())
    seen: list[tuple[int, int, int]] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(supervisor.run)
        await supervisor.ready.wait()
        for number in range(1, 101):
            ticket = supervisor.ask("roll")
            assert ticket is not None
            await ticket.done.wait()
            assert ticket.failure == ""
            if number in {20, 100}:
                with trio.fail_after(PATIENCE):
                    while len(supervisor.crew.workers) > 1:
                        await trio.sleep(0.01)
                seen.append((len(os.listdir("/proc/self/fd")), len(children()), own_objects()))
        assert supervisor.crew.generation == 100
        supervisor.swansong.shut_down()
    supervisor.crew.close()
    assert supervisor.status == 0
    assert stranger.wait() == 3
    assert seen[0] == seen[1]
