"""The admin page and the metrics of several workers, through the real command line."""

from __future__ import annotations

import base64
import http.client
import json
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.e2e._browser import browser, needs_chromium
from tests.e2e._command import PATIENCE, Process, clean_environment, request
from tests.e2e._supervised import Supervised, save, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from playwright.sync_api import Page

TOKEN = "correct-horse-battery"
REQUESTS = 50
# Requests wait in their order, until so many may go.
SLOW = """
async def app(conn):
    while int(pathlib.Path("released").read_text()) <= int(conn.path.rpartition("/")[2]):
        await trio.sleep(0.05)
    return conn.ok("done")
"""


@pytest.fixture
def closed_at_end() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def free_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as free:
        port: int = free.getsockname()[1]
    return port


def ask(port: int, path: str, *, method: str = "GET", token: str = TOKEN) -> tuple[int, str]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)) as connection:
        secret = base64.b64encode(f"anybody:{token}".encode()).decode()
        connection.request(method, path, headers={"authorization": f"Basic {secret}"})
        response = connection.getresponse()
        return response.status, response.read().decode()


def status(port: int) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ask(port, "/status")[1])
    return found


def rows(page: Page) -> list[dict[str, str]]:
    """Read the table of workers."""
    found: list[dict[str, str]] = page.evaluate(
        """() => {
        const [head, ...rows] = [...document.querySelectorAll('#workers tr')].map(
            row => [...row.children].map(cell => cell.textContent));
        return rows.map(row => Object.fromEntries(row.map((cell, at) => [head[at], cell])));
        }"""
    )
    return found


def reported(folder: Path) -> dict[int, int]:
    """Ask for the report; return how many guards each worker has by its process id."""
    command = [sys.executable, "-m", "trillium_trio", "ctl", "--control", "ctl.sock", "report"]
    text = subprocess.run(
        command,
        cwd=folder,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    ).stdout
    found = re.findall(r"worker (\d+) of slot \d+: (\d+|no) outstanding guard", text)
    return {int(pid): 0 if count == "no" else int(count) for pid, count in found}


def in_progress(page: Page) -> dict[int, int]:
    return {
        int(row["pid"]): int(row["in progress"]) for row in rows(page) if row["in progress"] != "0"
    }


class Slow:
    """Requests that wait for the file of the test."""

    def __init__(self, port: int, *, first: int) -> None:
        self.answers: list[bytes] = []
        self.threads = [
            threading.Thread(target=self._run, args=(port, number), daemon=True)
            for number in range(first, first + REQUESTS)
        ]
        for each in self.threads:
            each.start()

    def _run(self, port: int, number: int) -> None:
        with closing(request(port, f"/slow/{number}")) as connection:
            self.answers.append(connection.getresponse().read())

    def end(self) -> list[bytes]:
        for each in self.threads:
            each.join()
        return self.answers


@needs_chromium
def test_su_21_the_page_through_a_roll_and_a_drain(
    tmp_path: Path, closed_at_end: ExitStack
) -> None:
    """What it shows is what the report says: with 50 slow requests, in a roll and in a drain."""
    save(tmp_path, "v1", SLOW)

    def release(count: int) -> None:
        (tmp_path / "new").write_text(str(count))
        (tmp_path / "new").replace(tmp_path / "released")

    release(0)
    admin = free_port()
    supervised = Supervised(
        tmp_path,
        *("--admin", f"127.0.0.1:{admin}", "--drain-timeout", "100"),
        TRILLIUM_ADMIN_TOKEN=TOKEN,
    )
    closed_at_end.callback(supervised.process.kill)
    first = Slow(supervised.port, first=0)
    chromium = closed_at_end.enter_context(browser())
    page = chromium.new_page(http_credentials={"username": "anybody", "password": TOKEN})
    page.set_default_timeout(PATIENCE * 1000)
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("dialog", lambda dialog: dialog.accept())
    page.goto(f"http://127.0.0.1:{admin}/")

    def shows(condition: str) -> None:
        # Not wait_for_function(): the page forbids what that does.
        give_up_at = time.monotonic() + PATIENCE
        while not page.evaluate(condition):
            assert time.monotonic() < give_up_at, (condition, rows(page))
            page.wait_for_timeout(50)

    def sum_of(column: int) -> str:
        cells = f"document.querySelectorAll('#workers td:nth-child({column})')"
        return f"[...{cells}].reduce((sum, cell) => sum + Number(cell.textContent), 0)"

    def with_text(part: str) -> str:
        found = "[...document.querySelectorAll('#workers tr')]"
        return f"{found}.filter(row => row.textContent.includes('{part}')).length"

    shows(f"{sum_of(7)} === {REQUESTS}")
    assert in_progress(page) == {pid: n for pid, n in reported(tmp_path).items() if n}
    assert page.locator("#tree .guard").count() == len(in_progress(page))
    assert page.locator("#draining").is_hidden()

    page.click("#do-roll")
    shows(f"{with_text('draining')} === 2 && {with_text('ready')} === 2")
    assert page.locator("#state").inner_text() == "running"
    assert in_progress(page) == {pid: n for pid, n in reported(tmp_path).items() if n}
    left = [re.search(r"0 finished, (\d+) left, cut in \d", row["state"]) for row in rows(page)]
    assert sum(int(found[1]) for found in left if found) == REQUESTS
    release(REQUESTS)
    assert first.end() == [b"done"] * REQUESTS
    shows(f"{with_text('draining')} === 0")
    shows("document.querySelectorAll('#ended .card').length === 2")
    finished = [
        re.search(r"exit status 0; its drain took .* s, (\d+) finished", each)
        for each in page.locator("#ended .card").all_inner_texts()
    ]
    assert sum(int(found[1]) for found in finished if found) == REQUESTS

    second = Slow(supervised.port, first=REQUESTS)
    shows(f"{sum_of(7)} === {REQUESTS}")
    page.click("#do-drain")
    shows("document.querySelector('#state').textContent === 'shutting down'")

    def progress(finished: int, left: int) -> None:
        texts = "[...document.querySelectorAll('#figures dd')].map(each => each.textContent)"
        shows(f"{texts}.slice(0, 2).join() === '{finished},{left}'")

    progress(0, REQUESTS)
    assert in_progress(page) == {pid: n for pid, n in reported(tmp_path).items() if n}
    release(REQUESTS + 20)
    progress(20, 30)
    assert sum(reported(tmp_path).values()) == 30
    for width in (400, 1200):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    release(2 * REQUESTS)
    shows("document.querySelector('#state').textContent === 'complete'")
    progress(50, 0)
    assert second.end() == [b"done"] * REQUESTS
    assert supervised.process.wait_status() == 0
    assert complaints == []


def test_su_22_metrics_of_all_never_fall(tmp_path: Path, closed_at_end: ExitStack) -> None:
    """Through a roll, a kill and an upgrade; the page stays where it is."""
    save(tmp_path, "v1")
    admin = free_port()
    supervised = Supervised(
        tmp_path, "--admin", f"127.0.0.1:{admin}", "--metrics", "--admin-token", TOKEN
    )
    closed_at_end.callback(supervised.process.kill)

    def counted() -> int:
        text = ask(admin, "/metrics")[1]
        found = re.findall(r"^http_server_request_duration_seconds_count\{.*\} (\d+)", text, re.M)
        return sum(map(int, found))

    def send(count: int) -> None:
        for _ in range(count):
            with closing(request(supervised.port)) as connection:
                assert connection.getresponse().status == 200

    assert ask(admin, "/metrics", token="x" * 16)[0] == 401
    assert ask(admin, "/readyz", token="x" * 16) == (200, "ok\n")
    send(10)
    wait_until(lambda: counted() == 10, "the first ten")
    assert ask(admin, "/roll", method="POST") == (200, '{"done": "roll"}\n')
    wait_until(lambda: len(status(admin)["ended"]) == 2, "the end of the old ones")
    send(10)
    wait_until(lambda: counted() == 20, "the requests of both generations")

    killed = status(admin)["workers"][0]["pid"]
    subprocess.run(["kill", "-9", str(killed)], check=True)
    wait_until(lambda: status(admin)["restarts"] == 1, "the restart")
    assert counted() == 20
    assert [each["how"] for each in status(admin)["ended"] if each["pid"] == killed] == [
        "killed by SIGKILL"
    ]

    stages = ["ready", "ready"]
    wait_until(
        lambda: [each["stage"] for each in status(admin)["workers"]] == stages, "its replacement"
    )
    before = status(admin)["pid"]
    # A successor that fails ends by itself: it has nothing to show.
    save(tmp_path, "v2", "1 / 0\n")
    supervised.signal(signal.SIGUSR2)
    supervised.wait_line("upgrade: exit status 3")
    assert status(admin)["pid"] == before
    save(tmp_path, "v3")
    supervised.signal(signal.SIGUSR2)
    wait_until(lambda: status(admin)["pid"] != before, "the successor")
    supervised.wait_line("the previous supervisor is gone")
    assert counted() == 20
    assert "trillium_worker_restarts_total 1" in ask(admin, "/metrics")[1]
    assert ask(admin, "/drain", method="POST")[0] == 200
    supervised.process.wait_status()


def test_su_21_it_answers_to_the_end(tmp_path: Path, closed_at_end: ExitStack) -> None:
    """On a unix socket, whose file is there while the workers drain; the control socket's too."""
    save(tmp_path, "v1")
    supervised = Supervised(tmp_path, "--admin", "unix:admin.sock")
    closed_at_end.callback(supervised.process.kill)
    with closing(request(supervised.port, "/slow")) as slow:
        supervised.wait_line("begun")
        supervised.signal(signal.SIGTERM)

        def state() -> str:
            with socket.socket(socket.AF_UNIX) as sock:
                sock.connect(str(tmp_path / "admin.sock"))
                sock.sendall(b"GET /status HTTP/1.0\r\n\r\n")
                answer = b"".join(iter(lambda: sock.recv(65_536), b""))
            found: dict[str, Any] = json.loads(answer.partition(b"\r\n\r\n")[2])
            return str(found["state"])

        assert (tmp_path / "admin.sock").stat().st_mode & 0o777 == 0o600
        wait_until(lambda: state() == "shutting down", "the stop")
        assert sum(reported(tmp_path).values()) == 1
        (tmp_path / "release").touch()
        assert slow.getresponse().read() == b"v1"
    assert supervised.process.wait_status() == 0
    assert not (tmp_path / "admin.sock").exists()
    assert not (tmp_path / "ctl.sock").exists()


# -- one process -------------------------------------------------------------------------------


def one_process(folder: Path, *arguments: str) -> Process:
    command = ["-m", "trillium_trio", "app:app", "--bind", "127.0.0.1:0", *arguments]
    return Process(command, folder)


def test_cl_23_beside_one_process(tmp_path: Path, closed_at_end: ExitStack) -> None:
    save(tmp_path, "v1")
    admin = free_port()
    process = one_process(tmp_path, "--admin", f"127.0.0.1:{admin}", "--admin-host", "shop.test")
    closed_at_end.callback(process.kill)
    process.wait_line(f"listening on http://127.0.0.1:{admin}")
    port = process.wait_port()
    with closing(request(port, "/slow")) as slow:
        process.wait_line("begun")
        process.process.terminate()
        wait_until(lambda: status(admin)["state"] == "shutting down", "the stop")
        found = status(admin)
        assert (found["pid"], found["drain"]["left"]) == (process.process.pid, 1)
        # Every user of this machine reaches a port of loopback.
        assert (found["actions"], found["has_stacks"]) == ([], False)
        assert ask(admin, "/readyz?verbose") == (503, "draining\n")
        (tmp_path / "release").touch()
        assert slow.getresponse().read() == b"v1"
    assert process.wait_status() == 0


def test_cl_24_metrics_of_one_process(tmp_path: Path, closed_at_end: ExitStack) -> None:
    save(tmp_path, "v1")
    admin = free_port()
    process = one_process(tmp_path, "--admin", f"127.0.0.1:{admin}", "--metrics")
    closed_at_end.callback(process.kill)
    process.wait_line("listening on")
    with closing(request(process.wait_port())) as connection:
        assert connection.getresponse().read() == b"v1"
    wait_until(
        lambda: "http_server_request_duration_seconds_count" in ask(admin, "/metrics")[1],
        "the request",
    )


@pytest.mark.parametrize(
    ("arguments", "expected", "complaint"),
    [
        (["--admin-token", TOKEN], 2, "--admin-token needs --admin"),
        (["--metrics"], 2, "--metrics needs --admin"),
        (["--admin", "nowhere"], 2, "cannot listen on 'nowhere'"),
        (["--admin", "127.0.0.1:0", "--reload"], 2, "--reload has no admin page"),
        (["--admin", "127.0.0.1:0", "--admin-token", "short"], 3, "at least 16 characters"),
        (["--admin", "0.0.0.0:0"], 3, "can be reached from other machines"),
        (["--admin", "0.0.0.0:0", "--workers", "2"], 3, "can be reached from other machines"),
        (["--admin", "unix:none/x", "--workers", "2"], 3, "none/x"),
    ],
)
def test_cl_23_what_does_not_fit(
    tmp_path: Path, arguments: list[str], expected: int, complaint: str
) -> None:
    save(tmp_path, "v1")
    done = subprocess.run(
        [sys.executable, "-m", "trillium_trio", "app:app", "--bind", "127.0.0.1:0", *arguments],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, complaint in done.stderr) == (expected, True), done.stderr
