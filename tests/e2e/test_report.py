"""The report of a drain in the documentation is what the command line logs."""

from __future__ import annotations

import re
import shlex
import signal
from pathlib import Path

from tests.e2e._process import Client, running_command

PAGE = Path(__file__).parents[2] / "docs" / "explanation" / "cancellation-and-drain.md"


def plain(log: str) -> str:
    """Leave out times and leading folders, as the page says, and what differs in each run."""
    log = re.sub(r"(?m)^\d{4}-\d\d-\d\d \S+ ", "", log)
    log = re.sub(r"\S*/(?=shop\.py:|trillium_trio/)", "", log)
    log = re.sub(r"(_http1\.py|127\.0\.0\.1):\d+", r"\1:N", log)
    return re.sub(r"\d+\.\d+( ?s)\b", r"N\1", log)


def test_sv_8_the_report_names_the_line_that_is_waited_in(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8").partition("## The report")[2]
    program = page.partition("```python\n")[2].partition("```")[0]
    command, _, log = page.partition("```console\n$ ")[2].partition("```")[0].partition("\n")
    (tmp_path / "shop.py").write_text(program, encoding="utf-8")
    name, *arguments = shlex.split(command)
    assert name == "trillium-trio"
    with running_command([*arguments, "--port", "0"], tmp_path) as process:
        port = process.port()
        clients = [Client(port, "/export") for _ in range(3)]
        report = ""
        while "3 outstanding guards" not in report:
            process.send_signal(signal.SIGUSR1)
            report = process.wait_for("outstanding guard")  # of one as well
        process.send_signal(signal.SIGTERM)
        process.wait_for("SIGTERM")
        # But for the line that it listens, all before this one was asked for by us.
        del process.lines[1:-1]
        for client in clients:
            assert client.receive_all().startswith(b"HTTP/1.1 503 ")
        assert process.end() == 1
    assert plain(process.output).splitlines() == plain(log).splitlines()
