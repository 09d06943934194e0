"""In the place of systemd: hears what a service sends, and stores descriptors for it."""

from __future__ import annotations

import json
import os
import queue
import socket
import threading
from typing import TYPE_CHECKING

from tests.e2e._command import PATIENCE, Process

if TYPE_CHECKING:
    from pathlib import Path

# What systemd does between fork and exec: descriptors from 3 on, the variables, and then the
# program in the same process.
_LAUNCH = """
import json, os, sys
fds = [os.dup(fd) for fd in json.loads(sys.argv[1])]
high = [os.dup2(fd, 100 + number) for number, fd in enumerate(fds)]
for number, fd in enumerate(high):
    os.dup2(fd, 3 + number, inheritable=True)
os.closerange(3 + len(high), 200)
os.environ |= {"LISTEN_FDS": str(len(high)), "LISTEN_PID": str(os.getpid())}
os.environ["LISTEN_FDNAMES"] = sys.argv[2]
os.execv(sys.executable, [sys.executable, *sys.argv[3:]])
"""


class Manager:
    """A service manager with a store, whose notify socket is in a folder."""

    def __init__(self, folder: Path) -> None:
        self.stored: list[tuple[str, int]] = []
        self.environ = {"NOTIFY_SOCKET": str(folder / "notify"), "FDSTORE": "8"}
        self.sent: list[str] = []
        self._said: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._sock.bind(self.environ["NOTIFY_SOCKET"])
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def _listen(self) -> None:
        while True:
            data, fds, _, _ = socket.recv_fds(self._sock, 4096, 16)
            fields = dict(line.split("=", 1) for line in data.decode().split("\n"))
            if "FDSTORE" in fields:
                self.stored += [(fields["FDNAME"], fd) for fd in fds]
            elif "FDSTOREREMOVE" in fields:
                for each in [each for each in self.stored if each[0] == fields["FDNAME"]]:
                    self.stored.remove(each)
                    os.close(each[1])
            first = next(iter(fields))
            self.sent.append(first)
            self._said.put(first)
            if first == "END":
                return

    def wait(self, name: str) -> None:
        """Wait for a message that begins with this name."""
        while self._said.get(timeout=PATIENCE) != name:
            pass

    @property
    def names(self) -> list[str]:
        """The names of the descriptors in the store."""
        return [name for name, _ in self.stored]

    def start(self, folder: Path, *arguments: str) -> Process:
        """Start the command line, with what is stored."""
        fds = [fd for _, fd in self.stored]
        command = ["-c", _LAUNCH, json.dumps(fds), ":".join(self.names)]
        return Process(
            [*command, "-m", "trillium_trio", "app:app", *arguments],
            folder,
            self.environ,
            patience=4 * PATIENCE,
            pass_fds=fds,
        )

    def close(self) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as last:
            last.sendto(b"END=1", self.environ["NOTIFY_SOCKET"])
        self._thread.join()
        self._sock.close()
        for _, fd in self.stored:
            os.close(fd)
