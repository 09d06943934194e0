"""Servers that come and go in one process leave it as it was."""

from __future__ import annotations

import pytest

from tests.e2e._process import running

PROGRAM = """
import gc, socket, tracemalloc

logging.disable()
config = tt.config().with_address("127.0.0.1", 0).without_signals()
REQUEST = b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"

def ask(port):
    with socket.create_connection(("127.0.0.1", port)) as sock:
        sock.sendall(REQUEST)
        with sock.makefile("rb") as answer:
            assert answer.read().endswith(b"done")

async def serving(count):
    for _ in range(count):
        async with config.serving((tt.Lifespan(nothing), app)) as handle:
            async with await trio.open_tcp_stream("127.0.0.1", handle.port) as stream:
                await stream.send_all(REQUEST)
                answer = b"".join([data async for data in stream])
                assert answer.endswith(b"done")
        assert (await handle).is_clean

@asynccontextmanager
async def nothing(info):
    yield

def spawning(count):
    for _ in range(count):
        with config.spawn((tt.Lifespan(nothing), app)) as handle:
            ask(handle.port)
        assert handle.block().is_clean

def left():
    # The thread of a spawned server ends a moment after the server is over.
    while any(each.name.startswith("<Server ") for each in threading.enumerate()):
        time.sleep(0.01)
    for _ in range(3):
        gc.collect()
    memory, _ = tracemalloc.get_traced_memory()
    return sorted(os.listdir("/dev/fd")), threading.active_count(), memory
"""

SERVING = """
async def main():
    tracemalloc.start()
    await serving(20)                               # what is made once has been made now
    before = left()
    tasks = trio.lowlevel.current_statistics().tasks_living
    await serving(100)
    assert trio.lowlevel.current_statistics().tasks_living == tasks
    return before, left()
before, after = trio.run(main)
"""

SPAWNING = """
tracemalloc.start()
spawning(5)
before = left()
spawning(20)
after = left()
"""

SHOW = """
say("descriptors", before[0] == after[0], "threads", before[1] == after[1])
say("bytes", after[2] - before[2])
"""


@pytest.mark.parametrize(
    ("program", "cycles"),
    [pytest.param(SERVING, 100, id="serving"), pytest.param(SPAWNING, 20, id="spawn")],
)
def test_cn_14_and_sv_15_cycles_leave_nothing(program: str, cycles: int) -> None:
    with running(PROGRAM + program + SHOW) as process:
        assert process.end() == 0, process.output
    assert process.lines[-2] == "descriptors True threads True"
    # A server that is kept takes more than ten kilobytes. The interpreter's own caches go on
    # growing for some hundred cycles, by a hundred bytes in each.
    assert int(process.lines[-1].split()[1]) < 1000 * cycles
