"""Hand over a listening socket as systemd does.

Run as ``python -m benchmarks.drain.inherit FD COMMAND...``, the command with its full path. The
descriptor becomes number 3, and the variables name this very process, which ``exec`` keeps.
"""

from __future__ import annotations

import os
import sys

_FIRST_FD = 3  # sd_listen_fds(3)


def main(fd: int, command: list[str]) -> None:
    os.dup2(fd, _FIRST_FD, inheritable=True)
    os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()))
    os.execv(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
