"""slowhttptest, the attackers' own tool, against a server with short timeouts.

Each mode runs for a few seconds with more connections than anybody honest would open, while a
client asks one thing after another. Nothing that it asks may stay unanswered.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import threading
from typing import Self, final

import pytest

from tests.e2e._process import TIMEOUT, Client, running

SLOWHTTPTEST = shutil.which("slowhttptest")

CONNECTIONS = 80
SECONDS = 4

pytestmark = pytest.mark.skipif(
    SLOWHTTPTEST is None,
    reason="needs slowhttptest, a package of that name on most systems",
)

# Whoever asks for /large is told more than the sockets of both sides hold; whoever uploads is read
# to the end. The last line says what is left when all is over.
PROGRAM = """
logging.getLogger("trillium_trio").setLevel(logging.DEBUG)

async def attacked(conn):
    if conn.path == "/large":
        return conn.ok(bytes(8 * 1024 * 1024))
    await conn.request_body.read()
    return conn.ok("done")

http = tt.HttpConfig(
    head_timeout=1, body_timeout=1, write_timeout=1, idle_timeout=1, linger_timeout=0.5
)
config = tt.config().with_address("127.0.0.1", 0).with_http(http)
before = sorted(os.listdir("/dev/fd"))
report = config.with_drain_timeout(10).run(attacked)
say("clean", report.is_clean, "descriptors", before == sorted(os.listdir("/dev/fd")))
"""


@final
class Honest:
    """A client that asks again and again while a block runs; each time on a connection of its own.

    Attributes:
      answered: How often it was answered.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._failure: BaseException | None = None
        self.answered = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._is_over.set()
        self._thread.join(TIMEOUT)
        assert not self._thread.is_alive()
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            while not self._is_over.wait(0.02):
                client = Client(self._port)
                response = client.receive(b"done")
                client.close()
                assert response.startswith(b"HTTP/1.1 200 "), response
                self.answered += 1
        except BaseException as error:  # raised in the test's own thread
            self._failure = error


def attack(port: int, *mode: str, path: str = "/") -> str:
    """Run slowhttptest to its end; return what it says at last."""
    assert SLOWHTTPTEST is not None
    done = subprocess.run(
        [
            *(SLOWHTTPTEST, *mode, "-u", f"http://127.0.0.1:{port}{path}"),
            *("-c", str(CONNECTIONS), "-r", "200", "-l", str(SECONDS), "-p", "2"),
        ],
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,  # its status tells nothing
    )
    said = re.sub(r"\x1b\[[\d;]*m", "", done.stdout)
    assert "service available:   YES" in said, said
    assert "service available:   NO" not in said, said
    return said


@pytest.mark.parametrize(
    ("mode", "path", "ended"),
    [
        pytest.param(("-H", "-i", "1"), "/", ": 408 ", id="slow-heads"),
        pytest.param(("-B", "-i", "1", "-s", "8192"), "/", ": 408 ", id="slow-bodies"),
        pytest.param(("-X", "-n", "1", "-z", "5"), "/large", ": Stalled: ", id="slow-reading"),
        pytest.param(("-R", "-a", "1", "-b", "1000"), "/large", None, id="ranges"),
    ],
)
def test_an_honest_client_is_served_under_attack(
    mode: tuple[str, ...], path: str, ended: str | None
) -> None:
    with running(PROGRAM) as process:
        port = process.port()
        with Honest(port) as honest:
            attack(port, *mode, path=path)
        assert honest.answered > 0
        process.send_signal(signal.SIGTERM)
        assert process.end() == 0, process.output
    assert process.lines[-1] == "clean True descriptors True"
    if ended is not None:
        # Each by its timeout, but for the few that the tool still had open when its time was over.
        assert process.output.count(ended) > CONNECTIONS // 2, process.output
