"""The first chapter of the tutorial: its program prints what the page shows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e._process import TIMEOUT, Client
from tests.meta._snippets import snippets

PAGE = Path(__file__).parents[2] / "docs" / "tutorial" / "1-hello.md"


def test_the_first_server_prints_what_the_page_shows(tmp_path: Path) -> None:
    page = PAGE.read_text(encoding="utf-8")
    program = next(snippets(page)).source
    shown = page.partition("```console\n$ python hello.py\n")[2].partition("```")[0]
    (tmp_path / "hello.py").write_text(program, encoding="utf-8")
    with subprocess.Popen(
        [sys.executable, "hello.py"],
        cwd=tmp_path,
        env={**os.environ, "HOST": "127.0.0.1", "PORT": "0"},
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stderr is not None
            printed = "".join(process.stderr.readline() for _ in shown.splitlines())
            [port] = re.findall(r":(\d+)$", printed, re.MULTILINE)
            assert printed.replace(port, "8080") == shown
            client = Client(int(port))
            process.send_signal(signal.SIGINT)
            assert client.receive_all().endswith(b"\r\n\r\nhello\n")
            assert process.wait(TIMEOUT) == 0
        finally:
            process.kill()
