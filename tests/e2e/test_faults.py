"""A kernel that fails: a real server, attached to by strace, which makes its calls return errors.

Which calls those are, ``strace -c`` shows. In memory, and at every step, the same is in
tests/hardening/test_faults.py.
"""

from __future__ import annotations

import shutil
import signal
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.e2e._net import reset
from tests.e2e._net import serving as serving_net
from tests.e2e._process import TIMEOUT, Client, running
from tests.wire import settled

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import trillium_trio as tt

STRACE = shutil.which("strace")

PROGRAM = """
async def serve(conn):
    if conn.path == "/file":
        return conn.ok(tt.Body.from_path(os.environ["FILE"]))
    return await app(conn)

say("pid", os.getpid())
tt.config().with_address("127.0.0.1", 0).with_drain_timeout(5).run(serve)
"""


@contextmanager
def injected(pid: int, fault: str) -> Iterator[None]:
    """Let the first such calls of each thread of a process fail, from now to the end of the block.

    Skips the test where strace is missing or may not do that.
    """
    if STRACE is None:
        pytest.skip("strace is not installed")
    call = fault.partition(":")[0]
    arguments = [
        STRACE,
        "-f",
        "-e",
        f"trace={call}",
        "-e",
        f"inject={fault}:when=1",
        "-p",
        f"{pid}",
    ]
    tracer = subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True)
    timer = threading.Timer(TIMEOUT, tracer.kill)
    timer.start()
    try:
        assert tracer.stderr is not None
        line = tracer.stderr.readline()
        if "attached" not in line:
            pytest.skip(f"strace may not attach to a process here: {line.strip()}")
        yield
        # It lets go of the process, which runs on.
        tracer.send_signal(signal.SIGINT)
        assert "(INJECTED)" in tracer.stderr.read()
    finally:
        timer.cancel()
        timer.join()
        tracer.kill()
        tracer.wait()
        assert tracer.stderr is not None
        tracer.stderr.close()


@pytest.mark.parametrize(
    ("fault", "path", "is_served", "line"),
    [
        ("accept4:error=EMFILE:when=1", "/", True, "Too many open files; waiting"),
        ("accept4:error=ENOMEM:when=1", "/", True, "Cannot allocate memory; waiting"),
        ("accept4:error=ENOBUFS:when=1", "/", True, "No buffer space available; waiting"),
        ("accept4:error=ECONNABORTED:when=1", "/", True, ""),
        ("recvfrom:error=ECONNRESET:when=1", "/", False, ""),
        ("recvfrom:error=EIO:when=1", "/", False, "idle: OSError: [Errno 5] Input/output error"),
        ("sendfile:error=EIO:when=1", "/file", False, "GET /file: OSError: [Errno 5]"),
    ],
)
def test_a_call_that_fails(
    fault: str, path: str, is_served: bool, line: str, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"x" * 100_000 + b"done")
    with running(PROGRAM, FILE=str(file)) as process:
        pid = int(process.wait_for("pid").split()[1])
        port = process.port()
        before = Client(port)
        assert before.receive(b"done").startswith(b"HTTP/1.1 200 ")
        with injected(pid, fault):
            struck = Client(port, path)
            if is_served:
                assert struck.receive(b"done").startswith(b"HTTP/1.1 200 ")
                struck.close()
            else:
                # Nothing, or a head without its body: in no case what looks whole.
                assert not struck.receive_all().endswith(b"done")
        after = Client(port, "/file")
        assert after.receive(b"done").startswith(b"HTTP/1.1 200 ")
        for client in (before, after):
            client.close()
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0
    assert line in process.output
    # A peer that is gone, and want of descriptors or memory, are nobody's bug.
    assert ("Traceback" in process.output) == ("OSError" in line)


@pytest.mark.parametrize("id_", ["CVE-2022-31015-waitress", "CVE-2024-49769-waitress"])
async def test_a_peer_that_is_gone_before_it_is_accepted(id_: str) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(f"{conn.peer_ip}")

    async with serving_net(handler) as net:
        for _ in range(20):
            # Connected by the kernel, reset in its queue: nobody has run in between.
            client = net.peer()
            await reset(client)
        await settled()
        honest = await net.connect()
        assert (await honest.get()).body == b"127.0.0.1"
        assert net.guards == 0
