"""The server programs that are compared, each with the command that starts it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import final

from tests.unit.transport._tls import PEM

__all__ = [
    "OURS",
    "OURS_ASGI",
    "OURS_FASTAPI",
    "OURS_FILES",
    "OURS_ROUTED",
    "OURS_SITE",
    "OURS_TLS",
    "REFERENCE",
    "REFERENCE_TLS",
    "SERVERS",
    "Server",
    "installed",
    "server_named",
]

OURS = "trillium-trio"
OURS_ASGI = "trillium-trio, ASGI"
OURS_FASTAPI = "fastapi on trillium-trio"
OURS_FILES = "trillium-trio, files"
OURS_ROUTED = "trillium-trio, three handlers"
OURS_SITE = "trillium-trio, sessions and compression"
OURS_TLS = "trillium-trio, HTTPS"
REFERENCE = "uvicorn httptools+uvloop"
REFERENCE_TLS = "uvicorn httptools+uvloop, HTTPS"


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A server program.

    Attributes:
      name: What tables call it.
      arguments: Of the interpreter; ``{port}`` stands for the port on the loopback interface.
      packages: The distributions it needs, whose versions belong to its figures.
      is_tls: Whether it speaks HTTPS.
    """

    name: str
    arguments: tuple[str, ...]
    packages: tuple[str, ...]
    is_tls: bool = False

    def command(self, port: int) -> list[str]:
        """Return the command that serves on ``port``."""
        return [sys.executable, *(each.format(port=port) for each in self.arguments)]

    def missing(self) -> list[str]:
        """Name the distributions that are not installed."""
        return [each for each in self.packages if not _is_installed(each)]


def _is_installed(package: str) -> bool:
    try:
        version(package)
    except PackageNotFoundError:
        return False
    return True


def _uvicorn(app: str, http: str, loop: str) -> tuple[str, ...]:
    # 75 s, as others have: its own 5 s would close connections in the middle of the idle case.
    quiet = ("--no-access-log", "--log-level", "warning", "--timeout-keep-alive", "75")
    return ("-m", "uvicorn", app, "--port", "{port}", "--http", http, "--loop", loop, *quiet)


_ASGI = "benchmarks.load.asgi_app:app"
_HYPERCORN = ("-m", "hypercorn", _ASGI, "-k", "trio", "-w", "1", "-b", "127.0.0.1:{port}")
_GRANIAN = ("-m", "granian", _ASGI, "--interface", "asgi", "--port", "{port}", "--workers", "1")

SERVERS = (
    Server(
        name=OURS,
        arguments=("-m", "benchmarks.load.trillium_server", "{port}"),
        packages=("trillium-trio",),
    ),
    Server(
        name=OURS_ASGI,
        arguments=("-m", "benchmarks.load.trillium_asgi", "{port}"),
        packages=("trillium-trio",),
    ),
    Server(
        name=OURS_FILES,
        arguments=("-m", "benchmarks.load.trillium_files", "{port}"),
        packages=("trillium-trio",),
    ),
    Server(
        name="starlette on uvicorn, files",
        arguments=_uvicorn("benchmarks.load.starlette_files:app", "httptools", "uvloop"),
        packages=("starlette", "uvicorn", "httptools", "uvloop"),
    ),
    Server(
        name=OURS_FASTAPI,
        arguments=(
            *("-m", "trillium_trio", "benchmarks.load.fastapi_app:app"),
            *("--host", "127.0.0.1", "--port", "{port}", "--log-level", "warning"),
        ),
        packages=("fastapi", "trillium-trio"),
    ),
    Server(
        name="fastapi on uvicorn",
        arguments=_uvicorn("benchmarks.load.fastapi_app:app", "httptools", "uvloop"),
        packages=("fastapi", "uvicorn", "httptools", "uvloop"),
    ),
    Server(
        name="fastapi on uvicorn, two middlewares",
        arguments=_uvicorn("benchmarks.load.fastapi_app:routed", "httptools", "uvloop"),
        packages=("fastapi", "uvicorn", "httptools", "uvloop"),
    ),
    Server(
        name=OURS_SITE,
        arguments=("-m", "benchmarks.load.trillium_site", "{port}"),
        packages=("itsdangerous", "trillium-trio"),
    ),
    Server(
        name="starlette on uvicorn, sessions and compression",
        arguments=_uvicorn("benchmarks.load.starlette_site:app", "httptools", "uvloop"),
        packages=("itsdangerous", "starlette", "uvicorn", "httptools", "uvloop"),
    ),
    Server(
        name=OURS_ROUTED,
        arguments=("-m", "benchmarks.load.trillium_app", "{port}"),
        packages=("trillium-trio",),
    ),
    Server(
        name=OURS_TLS,
        arguments=("-m", "benchmarks.load.trillium_server", "{port}", "tls"),
        packages=("trillium-trio",),
        is_tls=True,
    ),
    Server(
        name=REFERENCE_TLS,
        # One file for both.
        arguments=(
            *_uvicorn(_ASGI, "httptools", "uvloop"),
            *("--ssl-certfile", str(PEM), "--ssl-keyfile", str(PEM)),
        ),
        packages=("uvicorn", "httptools", "uvloop"),
        is_tls=True,
    ),
    Server(
        name=REFERENCE,
        arguments=_uvicorn(_ASGI, "httptools", "uvloop"),
        packages=("uvicorn", "httptools", "uvloop"),
    ),
    Server(
        name="uvicorn h11+asyncio",
        arguments=_uvicorn(_ASGI, "h11", "asyncio"),
        packages=("uvicorn", "h11"),
    ),
    Server(
        name="hypercorn trio",
        arguments=(*_HYPERCORN, "--keep-alive", "75", "--log-level", "warning"),
        packages=("hypercorn", "trio"),
    ),
    Server(
        name="granian asgi",
        arguments=(*_GRANIAN, "--http", "1", "--log-level", "warning"),
        packages=("granian",),
    ),
    Server(
        name="aiohttp",
        arguments=("-m", "benchmarks.load.aiohttp_server", "{port}"),
        packages=("aiohttp",),
    ),
    Server(
        name="floor: trio",
        arguments=("-m", "benchmarks.load.floor", "{port}", "--loop", "trio"),
        packages=("trio",),
    ),
    Server(
        name="floor: uvloop",
        arguments=("-m", "benchmarks.load.floor", "{port}", "--loop", "uvloop"),
        packages=("uvloop",),
    ),
    Server(
        name="starlette on uvicorn",
        arguments=_uvicorn("benchmarks.load.starlette_app:app", "httptools", "uvloop"),
        packages=("starlette", "uvicorn", "httptools", "uvloop"),
    ),
)


def server_named(name: str) -> Server:
    """Return the server of this name."""
    return next(each for each in SERVERS if each.name == name)


def installed(names: tuple[str, ...]) -> list[Server]:
    """Return those of the named servers that can run here; say which are left out."""
    found = []
    for server in map(server_named, names):
        missing = server.missing()
        if missing:
            print(f"left out: {server.name} (not installed: {', '.join(missing)})", file=sys.stderr)
        else:
            found.append(server)
    return found
