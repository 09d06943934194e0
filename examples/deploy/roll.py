"""Restart servers behind HAProxy, one after the other; the first failure ends it.

    python roll.py /run/haproxy/admin.sock "ssh {} systemctl restart shop" blue green

{} is the server's name in haproxy.cfg. The command returns when the new process is ready.
"""

from __future__ import annotations

import csv
import shlex
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE_SECONDS = 60.0


def servers(stats: str, backend: str = "app") -> dict[str, dict[str, str]]:
    """Ask HAProxy, at a path or HOST:PORT, for its servers."""
    host, _, port = stats.rpartition(":")
    is_path = stats.startswith("/")
    with socket.socket(socket.AF_UNIX if is_path else socket.AF_INET) as sock:
        sock.settimeout(PATIENCE_SECONDS)
        sock.connect(stats if is_path else (host, int(port)))
        sock.sendall(b"show stat\n")
        table = sock.makefile("r", encoding="ascii").read().removeprefix("# ")
    rows = [row for row in csv.DictReader(table.splitlines()) if row["pxname"] == backend]
    return {row["svname"]: row for row in rows if row["svname"] != "BACKEND"}


def wait(condition: Callable[[], bool], what: str) -> None:
    give_up_at = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if time.monotonic() > give_up_at:
            sys.exit(f"{what}: not in {PATIENCE_SECONDS:g} s")
        time.sleep(0.1)


def restart(stats: str, name: str, run: Callable[[str], object]) -> None:
    # Or nobody else would take the requests.
    wait(lambda: all(row["status"] == "UP" for row in servers(stats).values()), "all up")
    before = servers(stats)[name]["chkdown"]
    run(name)
    # It was down, and is up again: otherwise "up" might still be about the old process.
    wait(lambda: servers(stats)[name]["chkdown"] != before, f"{name} noticed as down")
    wait(lambda: servers(stats)[name]["status"] == "UP", f"{name} up again")


def run(name: str) -> None:
    subprocess.run(shlex.split(sys.argv[2].format(name)), check=True)  # noqa: S603


if __name__ == "__main__":
    for name in sys.argv[3:]:
        restart(sys.argv[1], name, run)
