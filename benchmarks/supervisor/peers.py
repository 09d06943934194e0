"""The servers that are compared, the command that starts each, and what it can do under load."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from benchmarks.servers import OURS, Server

__all__ = ["PEERS", "Peer", "present"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A server with workers.

    Attributes:
      server: Its name and packages; ``{port}``, ``{workers}`` and ``{folder}`` in its arguments
        stand for what they say.
      upgrade: How its parent is replaced. ``self``: USR2, and it does the rest; ``by hand``: USR2,
        and TERM to the old one once the new one serves. None: it cannot be.
      has_pidfile: Whether the folder's file ``pid`` names the parent.
    """

    server: Server
    upgrade: Literal["self", "by hand"] | None = None
    has_pidfile: bool = False

    @property
    def name(self) -> str:
        """What tables call it."""
        return self.server.name

    @property
    def is_ours(self) -> bool:
        """Whether it has to hold what we promise."""
        return self.name == OURS

    def command(self, *, port: int, workers: int, folder: Path) -> list[str]:
        """Return the command that starts it."""
        values = {"port": port, "workers": workers, "folder": folder}
        return [sys.executable, *(each.format(**values) for each in self.server.arguments)]


# 75 s, as others have: the 5 s of some would close connections that are meant to be kept.
_KEEP_ALIVE = "75"
# Its script, because an upgrade executes the same arguments again, and -m names a file by then.
_GUNICORN = str(Path(sys.executable).with_name("gunicorn"))


def _gunicorn(name: str, kind: str, *packages: str) -> Peer:
    options = ("-w", "{workers}", "-b", "127.0.0.1:{port}", "--pid", "{folder}/pid")
    return Peer(
        server=Server(
            name=name,
            arguments=(_GUNICORN, "app:app", "-k", kind, *options, "--keep-alive", _KEEP_ALIVE),
            packages=("gunicorn", *packages),
        ),
        upgrade="by hand",
        has_pidfile=True,
    )


PEERS = (
    Peer(
        server=Server(
            name=OURS,
            arguments=(
                *("-m", "trillium_trio", "app:app", "--bind", "127.0.0.1:{port}"),
                *("--workers", "{workers}", "--control", "{folder}/control"),
                *("--pidfile", "{folder}/pid"),
            ),
            packages=("trillium-trio",),
        ),
        upgrade="self",
        has_pidfile=True,
    ),
    _gunicorn(
        "gunicorn, uvicorn's worker",
        "uvicorn_worker.UvicornWorker",
        *("uvicorn-worker", "uvicorn", "httptools", "uvloop"),
    ),
    _gunicorn("gunicorn, its asgi worker", "asgi", "uvloop"),
    Peer(
        server=Server(
            name="uvicorn",
            arguments=(
                *("-m", "uvicorn", "app:app", "--workers", "{workers}", "--port", "{port}"),
                *("--no-access-log", "--timeout-keep-alive", _KEEP_ALIVE),
            ),
            packages=("uvicorn", "httptools", "uvloop"),
        )
    ),
    Peer(
        server=Server(
            name="granian",
            arguments=(
                *("-m", "granian", "app:app", "--interface", "asgi", "--http", "1"),
                # A worker that dies ends all without it.
                *("--workers", "{workers}", "--port", "{port}", "--respawn-failed-workers"),
            ),
            packages=("granian",),
        )
    ),
    Peer(
        server=Server(
            name="hypercorn",
            arguments=(
                *("-m", "hypercorn", "app:app", "-w", "{workers}", "-b", "127.0.0.1:{port}"),
                *("--keep-alive", _KEEP_ALIVE),
            ),
            packages=("hypercorn",),
        )
    ),
)


def present(names: list[str] | None) -> list[Peer]:
    """Return those that can run here, of the named ones or of all; say which are left out."""
    found = []
    for peer in PEERS:
        if names is not None and peer.name not in names:
            continue
        if missing := peer.server.missing():
            print(f"left out: {peer.name} (not installed: {', '.join(missing)})", file=sys.stderr)
        else:
            found.append(peer)
    return found
