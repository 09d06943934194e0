"""Too many connections, and too few descriptors, over real sockets."""

from __future__ import annotations

import errno
import os
import signal
import time
from typing import TYPE_CHECKING

import trio

import trillium_trio as tt
from tests.e2e._net import serving
from tests.e2e._process import Client, running
from tests.wire import Peer, request, settled

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

# The connections that may be open


# A request but for its empty line: not idle, and not in anybody's handler.
BEGUN = request()[:-2]


async def hello(conn: tt.Conn) -> tt.Conn:
    return conn.ok("hello")


async def test_sv_13_beyond_the_limit_503(caplog: pytest.LogCaptureFixture) -> None:
    calls: list[str] = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        calls.append(conn.path)
        return conn.ok("hello")

    async with serving(handler, config=tt.Config(max_connections=2)) as net:
        first, second = net.peer(), net.peer()
        for each in (first, second):
            await each.send(BEGUN)
        await settled()
        for _ in range(3):
            refused = net.peer()
            # What it sends stays unread, and yet no reset destroys the answer.
            response = await refused.get("/refused", method="PUT")
            assert (response.status, response.closes) == (503, True)
            assert response.headers["retry-after"] == "1"
            assert await refused.ends()
        await first.send(b"\r\n")
        assert (await first.response()).body == b"hello"
        await second.stream.aclose()
        await settled()
        assert (await net.peer().get("/third")).body == b"hello"
    assert calls == ["/", "/third"]
    assert caplog.text.count("2 connections are open: refusing") == 1


async def test_sv_13_refusals_are_bounded_in_number_and_time(mock_clock: MockClock) -> None:
    async with serving(hello, config=tt.Config(max_connections=1)) as net:
        kept = net.peer()
        await kept.send(BEGUN)
        await settled()
        flood = [net.peer() for _ in range(100)]
        await settled()
        answers = [await client.rest() for client in flood]
        assert sum(each.startswith(b"HTTP/1.1 503 ") for each in answers) == 64
        assert answers.count(b"") == 36
        # Those that were answered are waited for, so that they can read it: for a second.
        assert await net.peer().rest() == b""
        mock_clock.jump(1)
        await settled()
        assert (await net.peer().rest()).startswith(b"HTTP/1.1 503 ")
        await kept.send(b"\r\n")
        assert (await kept.response()).body == b"hello"


async def test_sv_13_one_with_tls_is_closed() -> None:
    async with serving(hello, tls=True, config=tt.Config(max_connections=1)) as net:
        served = await net.connect_tls()
        await served.send(BEGUN)
        await settled()
        refused = await net.connect_tls()
        assert isinstance(refused.stream, trio.SSLStream)
        assert await Peer(refused.stream.transport_stream).ends()
        await served.send(b"\r\n")
        assert (await served.response()).body == b"hello"


async def test_sv_13_what_waits_in_the_queue_at_the_stop_is_refused_too() -> None:
    async with serving(hello, config=tt.Config(max_connections=1)) as net:
        served = net.peer()
        await served.send(BEGUN)
        await settled()
        queued = [net.peer() for _ in range(3)]
        net.handle.shut_down()
        for client in queued:
            await client.send(request())
            assert (await client.response()).status == 503
        await served.send(b"\r\n")
        assert (await served.response()).closes


# Room for new connections


async def test_cn_28_a_flood_of_silent_connections_keeps_nobody_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    # However slow the machine is, those that are served stay recent.
    async with serving(hello, grace=60, config=tt.Config(max_connections=32)) as net:
        kept = await net.connect()
        assert (await kept.get()).body == b"hello"
        busy = net.peer()
        await busy.send(BEGUN)
        await settled()
        for _ in range(8):
            flood = [net.peer() for _ in range(50)]
            await settled()
            assert (await net.peer().get()).body == b"hello"
        # One that was served is not displaced by silent ones.
        assert (await kept.get()).body == b"hello"
        assert (await net.peer().get()).body == b"hello"
        # The last of the flood are still there, and could speak.
        assert (await flood[-1].get()).body == b"hello"
        await busy.send(b"\r\n")
        assert (await busy.response()).body == b"hello"
        counts = net.handle.connections
        assert counts.refused == 0
        assert counts.open <= 32
        assert 1 <= counts.idle < counts.open + 1
        assert counts.evicted == 2 + 8 * 51 + 1 - counts.open
    assert caplog.text.count("32 connections are open: closing idle ones") == 1
    assert "refusing" not in caplog.text


async def test_cn_28_a_request_that_has_arrived_is_served(mock_clock: MockClock) -> None:
    async with serving(hello, config=tt.Config(max_connections=4)) as net:
        old = [await net.connect() for _ in range(4)]
        # In one turn of the server's loop: the newcomers and the requests of the others.
        new = [net.open() for _ in range(4)]
        for sock in new:
            sock.send(request())
        for client in old:
            assert isinstance(client.stream, trio.SocketStream)
            fileno = client.stream.socket.fileno()
            os.write(fileno, request())
        for client in old:
            assert (await client.response()).body == b"hello"
        assert net.handle.connections.open <= 4


async def test_cn_28_with_tls_an_idle_one_makes_room_and_a_handshake_does_not() -> None:
    async with serving(hello, tls=True, grace=0, config=tt.Config(max_connections=2)) as net:
        idle, shaking = await net.connect_tls(), await net.connect_tls()
        assert (await idle.get()).body == b"hello"
        assert (await (await net.connect_tls()).get()).body == b"hello"
        assert await idle.ends()
        assert (await shaking.get()).body == b"hello"
        assert net.handle.connections.evicted == 1


# The descriptors that there are

SHORT = """
import resource

@asynccontextmanager
async def short(info):
    # Bound, and about to accept: from now on there is room for five more.
    free = os.dup(0)
    os.close(free)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free + 5, free + 5))
    yield

async def hold(conn):
    say("in", conn.path)
    await conn.swansong.shutting_down()
    await trio.sleep(0.5)           # the listener closes before a descriptor is free
    return conn.ok("done")

async def quick(conn):
    return conn.ok("done")

config = tt.Config(max_connections=100).with_address("127.0.0.1", 0)
say(config.run((tt.Lifespan(short), hold if "HOLD" in os.environ else quick)))
"""
WAITS = f"cannot accept: [Errno {errno.EMFILE}] Too many open files; waiting"
GIVES_UP = f"connections left in the queue: [Errno {errno.EMFILE}] Too many open files"


def test_sv_14_a_server_outlives_the_want_of_descriptors() -> None:
    with running(SHORT) as process:
        port = process.port()
        # Each keeps its connection, and so its descriptor, when it has been answered.
        clients = [Client(port) for _ in range(12)]
        process.wait_for(WAITS)
        time.sleep(0.35)  # for it to try again, three times
        for client in clients[:5]:
            assert client.receive(b"done").startswith(b"HTTP/1.1 200 ")
        for client in clients[:5]:
            client.close()
        process.wait_for("accepting again")
        assert process.output.count(WAITS) == 1
        for client in clients[5:10]:
            assert client.receive(b"done").startswith(b"HTTP/1.1 200 ")
        for client in clients[5:10]:
            client.close()
        for client in clients[10:]:
            assert client.receive(b"done").startswith(b"HTTP/1.1 200 ")
        process.send_signal(signal.SIGTERM)
        for client in clients[10:]:
            client.close()
        assert process.end() == 0
    # Once per episode, of which there is one whenever all that is free has been taken.
    assert process.output.count(WAITS) == process.output.count("accepting again")


def test_sv_14_a_drain_without_descriptors_answers_what_it_has() -> None:
    with running(SHORT, HOLD="1") as process:
        port = process.port()
        clients = [Client(port, f"/{n}") for n in range(12)]
        process.wait_for(WAITS)
        for n in range(5):
            if f"in /{n}" not in process.lines:
                process.wait_for(f"in /{n}")
        process.send_signal(signal.SIGTERM)
        for client in clients[:5]:
            client.assert_served_and_closed()
        # There was no way to accept the others. They learn of it at once, and not by a timeout.
        for client in clients[5:]:
            assert client.receive_all() == b""
        assert process.end() == 0
    assert process.output.count(GIVES_UP) == 1
    assert "5 finished" in process.lines[-1]
