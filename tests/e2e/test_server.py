"""Servers in real processes, ended by real signals: SV-3 to SV-5, SV-9, SV-11 and SV-15."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from tests.e2e._process import Client, running, running_alone

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ALONE = 'tt.config().with_address("127.0.0.1", 0).run((tt.Lifespan(pool), app))\nsay("returned")'


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGQUIT])
def test_sv_5_the_first_signal_drains(number: int) -> None:
    with running(ALONE) as process:
        port = process.port()
        client = Client(port, "/slow")
        process.wait_for("in /slow")
        process.send_signal(number)
        client.assert_served_and_closed()
        assert process.end() == 0
        with pytest.raises(ConnectionRefusedError):
            Client(port)
    assert f"{signal.Signals(number).name}: draining" in process.output
    assert "GET /slow" in process.output
    assert "1 finished" in process.output
    assert process.lines[-1] == "returned"


def test_sv_5_the_second_signal_cuts_and_cleans_up() -> None:
    with running(ALONE) as process:
        client = Client(process.port(), "/hang")
        process.wait_for("in /hang")
        process.send_signal(signal.SIGTERM)
        process.wait_for("SIGTERM: draining")
        process.send_signal(signal.SIGINT)
        assert client.receive_all().startswith(b"HTTP/1.1 503 ")
        assert process.end() == 0
    assert "SIGINT: cutting" in process.output
    assert "pool closed" in process.lines
    assert "1 cut off (second signal, SIGINT)" in process.output
    assert process.lines[-1] == "returned"


@pytest.mark.parametrize("last", [signal.SIGTERM, signal.SIGINT])
def test_sv_5_the_third_signal_ends_a_blocked_loop(last: int) -> None:
    with running(ALONE) as process:
        client = Client(process.port(), "/block")
        process.wait_for("in /block")
        process.send_signal(signal.SIGTERM)
        process.wait_for("stopped")
        process.send_signal(signal.SIGTERM)
        process.wait_for("cut")
        process.send_signal(last)
        assert process.end() == -last
        assert client.receive_all() == b""
    assert "returned" not in process.lines


def test_sv_5_the_second_signal_counts_under_a_blocked_loop() -> None:
    program = """
async def busy(conn):
    if conn.path != "/busy":
        return await app(conn)
    say("in /busy")
    while conn.swansong.is_running:
        time.sleep(0.01)
    say("stopped")
    while signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        time.sleep(0.01)
    return conn.ok("done")
say(tt.config().with_address("127.0.0.1", 0).run((tt.Lifespan(pool), busy)))
"""
    with running(program) as process:
        port = process.port()
        hanging = Client(port, "/hang")
        process.wait_for("in /hang")
        blocking = Client(port, "/busy")
        process.wait_for("in /busy")
        process.send_signal(signal.SIGTERM)
        process.wait_for("stopped")
        process.send_signal(signal.SIGTERM)
        # It never waited, so nothing could cut it; the other one is, as soon as the loop is free.
        blocking.assert_served_and_closed()
        assert hanging.receive_all().startswith(b"HTTP/1.1 503 ")
        assert process.end() == 0
    assert "pool closed" in process.lines
    assert process.lines[-1].endswith("cut off (second signal, SIGTERM)")


def test_sv_5_a_wedged_handler_survives_two_signals_is_named_and_ends_at_the_third() -> None:
    program = """
async def wedge(conn):
    with trio.CancelScope(shield=True):
        say("in /wedge")
        await trio.sleep_forever()
config = tt.Config(cleanup_timeout=0.1, report_interval=0.3).with_address("127.0.0.1", 0)
config.run((tt.Lifespan(pool), wedge))
"""
    with running(program) as process:
        client = Client(process.port(), "/wedge")
        process.wait_for("in /wedge")
        process.send_signal(signal.SIGTERM)
        process.wait_for("SIGTERM: draining")
        process.send_signal(signal.SIGQUIT)
        process.wait_for("SIGQUIT: cutting")
        for _ in range(3):
            line = process.wait_for("is draining")
            assert "1 left, the oldest is GET /wedge, " in line
            assert line.endswith(" in wedge")
        process.send_signal(signal.SIGTERM)
        assert process.end() == -signal.SIGTERM
        assert client.receive_all() == b""
    assert "pool closed" not in process.lines


def test_sv_5_a_start_that_hangs_ends_at_the_second_signal() -> None:
    program = """
@asynccontextmanager
async def stuck(info):
    say("stuck")
    await trio.sleep_forever()
    yield
tt.config().with_address("127.0.0.1", 0).run((tt.Lifespan(pool), tt.Lifespan(stuck), app))
"""
    with running(program) as process:
        process.wait_for("stuck")
        process.send_signal(signal.SIGTERM)
        process.wait_for("SIGTERM: draining")
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0
    assert "pool closed" in process.lines


def test_sv_4_ignored_signals_stay_ignored() -> None:
    program = "signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + ALONE
    with running(program) as process:
        port = process.port()
        process.send_signal(signal.SIGINT)
        client = Client(port, "/slow")
        process.wait_for("in /slow")
        process.send_signal(signal.SIGTERM)
        client.assert_served_and_closed()
        assert process.end() == 0
    assert [line for line in process.lines if "SIGINT" in line] == ["INFO SIGINT stays ignored"]


BARE = """
import signal
import trillium_trio as tt
signal.signal(signal.SIGINT, signal.SIG_IGN)
async def hello(conn): return conn.ok("hello")
tt.config().with_address("127.0.0.1", 0)"""


def test_sv_19_run_says_where_it_listens_and_what_signals_do() -> None:
    with running_alone(BARE + ".run(hello)") as process:
        port = process.port()
        process.wait_for("SIGTERM, SIGQUIT: the first drains, the second cuts, the third kills")
        assert process.lines[0] == f"listening on http://127.0.0.1:{port}"
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0
    # The warning is the standard library's last resort: it has no handler, and says so plainly.
    assert process.lines[2:] == ["SIGTERM: draining; a second signal cuts what is in progress"]


def test_sv_19_without_signals_it_says_where_it_listens_alone() -> None:
    stopping = BARE + """.without_signals().run((tt.Init(stop), hello))"""
    stop = "async def stop(info): info.start_soon(finish, info)\n"
    finish = "async def finish(info): info.swansong.shut_down()\n"
    program = stopping.replace("tt.config()", stop + finish + "tt.config()")
    with running_alone(program) as process:
        process.port()
        assert process.end() == 0
    assert len(process.lines) == 1


def test_sv_19_where_logging_is_set_up_it_says_nothing() -> None:
    with running(ALONE) as process:
        process.port()
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0
    assert [line for line in process.lines if line.startswith("listening")] == []
    assert "the third kills" not in process.output


def test_sv_4_the_handlers_before_are_restored() -> None:
    program = """
signal.signal(signal.SIGTERM, lambda *_: say("mine"))
before = [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)]
tt.config().with_address("127.0.0.1", 0).run(app)
say(before == [signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)])
os.kill(os.getpid(), signal.SIGTERM)
"""
    with running(program) as process:
        process.port()
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0
    assert process.lines[-2:] == ["True", "mine"]


def test_sv_4_a_nested_server_leaves_signals_alone() -> None:
    program = """
async def main():
    async with trio.open_nursery() as nursery:
        await nursery.start(tt.config().with_address("127.0.0.1", 0).server(app).serve)
signal.signal(signal.SIGTERM, lambda *_: os._exit(7))
trio.run(main)
"""
    with running(program) as process:
        process.port()
        process.send_signal(signal.SIGTERM)
        assert process.end() == 7


def test_sv_4_a_spawned_server_hands_signals_on_when_it_is_over() -> None:
    program = """
signal.signal(signal.SIGTERM, lambda *_: say("mine"))
config = tt.config().with_address("127.0.0.1", 0)
handle = config.spawn(app)
try:
    config.spawn(app)
except tt.MisuseError as error:
    say("refused:", error)
sys.stdin.readline()
say("block", handle.block())
os.kill(os.getpid(), signal.SIGTERM)
with config.spawn(app) as second:
    say("second", second.is_running)
"""
    with running(program) as process:
        process.port()
        assert "without_signals()" in process.wait_for("refused")
        process.send_signal(signal.SIGTERM)
        process.write_line()
        assert process.end() == 0
    assert process.lines.index("mine") < process.lines.index("second True")
    assert "block drained in" in process.output


def test_sv_9_trio_run_returns_after_the_drain() -> None:
    program = """
server = tt.config().with_address("127.0.0.1", 0).server(app)
trio.run(server.serve)
say("returned", server.handle.block().finished)
"""
    with running(program) as process:
        client = Client(process.port(), "/slow")
        process.wait_for("in /slow")
        process.send_signal(signal.SIGTERM)
        client.assert_served_and_closed()
        assert process.end() == 0
    assert process.lines[-1] == "returned 1"


def test_sv_11_one_signal_drains_all_servers() -> None:
    program = """
swansong = tt.Swansong()
config = tt.config().with_address("127.0.0.1", 0).with_swansong(swansong)
config.without_signals().spawn(app)
config.run(app)
say("complete", swansong.block().finished)
"""
    with running(program) as process:
        ports = process.port(), process.port()
        clients = [Client(port, "/slow") for port in ports]
        for _ in clients:
            process.wait_for("in /slow")
        process.send_signal(signal.SIGTERM)
        for client in clients:
            client.assert_served_and_closed()
        assert process.end() == 0
    assert "complete 2" in process.lines


def test_sv_12_a_keyboard_interrupt_of_a_handler_leaves_run_bare() -> None:
    program = """
async def interrupt(conn):
    raise KeyboardInterrupt
try:
    tt.config().with_address("127.0.0.1", 0).run((tt.Lifespan(pool), interrupt))
except KeyboardInterrupt:
    say("interrupted")
"""
    with running(program) as process:
        client = Client(process.port())
        assert process.end() == 0
        assert client.receive_all() == b""
    assert process.lines[-1] == "interrupted"
    assert "pool closed" in process.lines


def test_sv_15_at_exit_a_spawned_server_is_drained() -> None:
    program = 'tt.config().with_address("127.0.0.1", 0).spawn(app); sys.stdin.readline()'
    with running(program) as process:
        client = Client(process.port(), "/slow")
        process.wait_for("in /slow")
        process.write_line()
        client.assert_served_and_closed()
        assert process.end() == 0
    assert "1 finished" in process.output


def test_sv_15_at_exit_a_drain_has_an_end() -> None:
    program = """
tt.config().with_address("127.0.0.1", 0).with_drain_timeout(0.2).spawn((tt.Lifespan(pool), app))
sys.stdin.readline()
"""
    with running(program) as process:
        client = Client(process.port(), "/hang")
        process.wait_for("in /hang")
        process.write_line()
        assert client.receive_all().startswith(b"HTTP/1.1 503 ")
        assert process.end() == 0
    assert "pool closed" in process.lines


# The programs of the documentation, as they are written there.

HELLO = """
async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("done")
"""

SEVERAL = """
swansong = tt.Swansong()

async def to_https(conn): return conn.redirect("https://example.com")
async def app(conn):      return conn.ok("the app")

tt.config().with_port(0).with_swansong(swansong).without_signals().spawn(to_https)
tt.config().with_port(0).with_swansong(swansong).run(app)      # one Ctrl-C drains both
"""

DRIVEN = """
handle = tt.config().without_signals().spawn(hello)     # a background thread; returns once bound
sys.stdin.readline()
say(handle.shut_down().block())                         # drain, park this thread until it is done
"""

NESTED = """
async def main():
    async with trio.open_nursery() as nursery:                # nested in a parent nursery
        handle = await nursery.start(tt.config().with_port(0).server(hello).serve)
        say(handle.url)
        report = await handle.shut_down(timeout=10)           # DrainReport
    async with tt.config().with_port(0).serving(hello) as handle:   # drains on exit
        say(handle.url)
    say(report.is_clean, await handle)
trio.run(main)
"""


def test_program_run() -> None:
    with running(HELLO + "tt.config().run(hello)", HOST="127.0.0.1", PORT="0") as process:
        client = Client(process.port())
        process.send_signal(signal.SIGINT)
        client.assert_served()
        assert process.end() == 0


def test_program_several_servers() -> None:
    with running(SEVERAL) as process:
        ports = process.port(), process.port()
        clients = [Client(port) for port in ports]
        process.send_signal(signal.SIGINT)
        redirected, served = (client.receive_all() for client in clients)
        assert b"\r\nlocation: https://example.com\r\n" in redirected.lower()
        assert served.endswith(b"the app")
        assert process.end() == 0


def test_program_drive_it_yourself() -> None:
    with running(HELLO + DRIVEN, HOST="127.0.0.1", PORT="0") as process:
        client = Client(process.port())
        process.write_line()
        client.assert_served()
        assert process.end() == 0
    assert [line for line in process.lines if line.startswith("drained in ")]


def test_program_nested() -> None:
    with running(HELLO + NESTED) as process:
        assert process.end() == 0
    assert len([line for line in process.lines if line.startswith("http://")]) == 2
    assert process.lines[-1].startswith("True drained in ")


# In this process: threads, and addresses that are taken.


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("done")


def server_threads() -> list[threading.Thread]:
    """Those of spawned servers; trio keeps workers of its own for a while."""
    return [each for each in threading.enumerate() if each.name.startswith("<Server ")]


@pytest.fixture(autouse=True)
def _no_server_of_another_test() -> None:
    # `serve()` being over, its thread has still to end.
    for thread in server_threads():
        thread.join(10)
    assert server_threads() == []


@pytest.fixture
def local() -> tt.Config:
    return tt.config().with_address("127.0.0.1", 0).without_signals()


@pytest.fixture
def taken() -> Iterator[tt.Config]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        yield tt.config().with_address("127.0.0.1", sock.getsockname()[1]).without_signals()


async def start_taken(config: tt.Config) -> None:
    async with trio.open_nursery() as nursery:
        try:
            await nursery.start(config.server(hello).serve)
        except BaseException as error:
            caught = error
    raise caught


async def serve_taken(config: tt.Config) -> None:
    async with config.serving(hello):
        raise AssertionError


@pytest.mark.parametrize("how", ["run", "spawn", "serve", "start", "serving"])
def test_sv_3_an_address_that_is_taken(how: str, taken: tt.Config, tmp_path: Path) -> None:
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    path = tmp_path / "socket"
    config = tt.config().without_signals().bind_unix(str(path)).bind_tcp(f"127.0.0.1:{taken.port}")
    with pytest.raises(tt.BindError, match=f"127.0.0.1:{taken.port}") as refused:
        match how:
            case "run":
                config.run(hello)
            case "spawn":
                config.spawn(hello)
            case "serve":
                trio.run(config.server(hello).serve)
            case "start":
                trio.run(start_taken, config)
            case _:
                trio.run(serve_taken, config)
    assert refused.value.errno == errno.EADDRINUSE
    assert not path.exists()
    assert len(os.listdir("/dev/fd")) == before
    assert server_threads() == []


def test_sv_15_spawn_returns_when_ready(local: tt.Config) -> None:
    with local.spawn(hello) as handle:
        client = Client(handle.port)
        assert handle.url == f"http://127.0.0.1:{handle.port}"
        with pytest.raises(TimeoutError):
            handle.block(timeout=0)
        (thread,) = server_threads()
        assert thread.daemon
        handle.shut_down()
        client.assert_served()
    thread.join()
    assert not handle.is_running
    assert handle.block().is_clean
    assert server_threads() == []


def test_sv_18_run_does_not_stop_an_asyncio_loop(local: tt.Config) -> None:
    async def main() -> tt.DrainReport:
        with pytest.raises(tt.MisuseError, match=r"use spawn\(\)"):
            local.run(hello)
        with local.spawn(hello) as handle:
            assert handle.is_running
        handle = await asyncio.to_thread(local.spawn, hello)
        handle.shut_down()
        return await asyncio.to_thread(handle.block)

    assert asyncio.run(main()).is_clean
    # The loop is over: nothing is in the way.
    swansong = tt.Swansong()
    swansong.shut_down()
    assert local.with_swansong(swansong).run(hello).is_clean


def test_sv_18_nothing_here_imports_asyncio() -> None:
    program = "import sys, trillium_trio; assert 'asyncio' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_sv_15_leaving_the_block_with_an_exception_cancels(local: tt.Config) -> None:
    in_handler = threading.Event()

    async def hang(conn: tt.Conn) -> tt.Conn:
        in_handler.set()
        await trio.sleep_forever()
        raise AssertionError

    with pytest.raises(ValueError, match="body"), local.spawn(hang) as handle:
        client = Client(handle.port)
        in_handler.wait()
        raise ValueError("body")
    assert client.receive_all().startswith(b"HTTP/1.1 503 ")
    assert handle.block().cancelled.guard_count == 1


def test_sv_15_spawn_raises_the_original(local: tt.Config) -> None:
    error = ValueError("no database")

    async def init(info: tt.Info) -> None:
        raise error

    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(ValueError, match="no database") as raised:
        local.with_signals().spawn(tt.Init(init))
    assert raised.value is error
    assert signal.getsignal(signal.SIGTERM) is before


def test_sv_15_spawn_after_the_stop(local: tt.Config) -> None:
    swansong = tt.Swansong()
    swansong.shut_down()
    handle = local.with_swansong(swansong).spawn(hello)
    assert not handle.is_running
    assert handle.block().is_clean


async def test_sv_15_spawn_is_refused_in_a_trio_run(local: tt.Config) -> None:
    with pytest.raises(tt.MisuseError, match=r"nursery\.start\(server\.serve\)"):
        local.spawn(hello)


def test_sv_15_a_failure_after_the_start_is_logged(
    local: tt.Config, caplog: pytest.LogCaptureFixture
) -> None:
    fail = threading.Event()

    async def service() -> None:
        await trio.to_thread.run_sync(fail.wait)
        raise ValueError("lost the queue")

    async def init(info: tt.Info) -> None:
        info.start_service(service)

    handle = local.spawn((tt.Init(init), hello))
    (thread,) = server_threads()
    fail.set()
    handle.block()
    thread.join()
    assert "has failed" in caplog.text
    assert "lost the queue" in caplog.text


async def test_sv_6_a_unix_socket_file_goes_when_the_listener_closes(tmp_path: Path) -> None:
    path = tmp_path / "socket"

    async def slow(conn: tt.Conn) -> tt.Conn:
        await conn.swansong.shutting_down()
        while path.exists():
            await trio.lowlevel.checkpoint()
        return conn.ok("done")

    config = tt.config().bind_unix(str(path))
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(config.server(slow).serve)
        assert handle.url.startswith("unix:")
        client = Client(str(path), "/slow")
        while not handle.swansong.guard_count:
            await trio.lowlevel.checkpoint()
        handle.shut_down()
        # The successor binds while the predecessor still serves, and keeps its file.
        await trio.to_thread.run_sync(client.assert_served_and_closed)
        successor = await nursery.start(config.server(hello).serve)
        await handle
        assert path.exists()
        await successor.shut_down()
        assert not path.exists()


async def test_sv_6_what_is_queued_at_the_stop_is_served(local: tt.Config) -> None:
    """The backlog holds connections that no task has accepted when the stop comes."""
    async with trio.open_nursery() as nursery:
        handle = await nursery.start(local.server(hello).serve)
        clients = [Client(handle.port) for _ in range(20)]
        handle.shut_down()
        for client in clients:
            await trio.to_thread.run_sync(client.assert_served_and_closed)
        assert (await handle).finished == 20


async def test_sv_10_abrupt_ends_leave_no_socket(local: tt.Config, tmp_path: Path) -> None:
    gc.collect()
    before = len(os.listdir("/dev/fd"))
    path = tmp_path / "socket"
    config = local.bind_unix(str(path)).bind_tcp("127.0.0.1:0")

    async def hang(conn: tt.Conn) -> tt.Conn:
        await trio.sleep_forever()
        raise AssertionError

    async with trio.open_nursery() as nursery:
        handle = await nursery.start(config.server(hang).serve)
        client = Client(handle.port)
        while not handle.swansong.guard_count:
            await trio.lowlevel.checkpoint()
        assert path.exists()
        nursery.cancel_scope.cancel()
    assert not path.exists()
    assert client.receive_all() == b""
    assert len(os.listdir("/dev/fd")) == before
