"""Runs gunicorn's suite of ASGI compliance against our server, and compares with ``gunicorn.json``.

Run as ``python -m tests.interop.gunicorn_compliance [CHECKOUT]``, which takes ten seconds. Without
a checkout of gunicorn, the sdist of the recorded version is downloaded. The suite asks a server for
an application over HTTP and WebSocket; here that is our command line. Its containers, and what is
about nginx, proxies, TLS and HTTP/2 in front of it, are left out. Its applications sleep with
asyncio, so a copy of them imports anyio by that name. Fails if a test fails without a reason in
the file, or fewer pass.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.interop._suite import compare, fetch, install, load, run_pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["MODES", "main"]

MODES = ("command",)
FILES = [f"test_{each}_compliance.py" for each in ("http", "websocket", "streaming", "lifespan")]
OPTIONS = ["-p", "no:trio", "-o", "asyncio_mode=auto", "-p", "no:warnings", *FILES]
SELECTED = ["-k", "not nginx and not https and not proxy and not ssl"]
SERVICES = """

@pytest.fixture(scope="session")
def docker_services():
    return {"gunicorn_http": "%s"}
"""


def prepare(checkout: Path, folder: Path) -> None:
    """Copy the suite, and let its applications run on trio."""
    shutil.copytree(checkout / "tests" / "docker" / "asgi_compliance", folder, dirs_exist_ok=True)
    for path in (folder / "apps").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"^( *)import asyncio$", r"\1import anyio as asyncio", text, flags=re.M)
        path.write_text(text, encoding="utf-8")


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Serve the suite's application; return the URL."""
    command = [sys.executable, "-m", "trillium_trio", "apps.main_app:app", "--bind", "127.0.0.1:0"]
    server = subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        found = re.search(r"http://[\d.:]+", first := server.stderr.readline())
        if found is None:
            sys.exit(f"the server did not start: {first}")
        # A pipe that nobody reads fills, and stops the server in the middle of the suite.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield found[0]
    finally:
        server.terminate()
        server.wait()


def main() -> int:
    """Run the suite; 1 if something is worse than recorded."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", nargs="?", type=Path, help="a folder with gunicorn's sources")
    options = parser.parse_args()
    recorded = load("gunicorn")
    checkout = options.checkout or fetch("gunicorn", recorded["version"])
    path = [install("pytest-asyncio")]
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        prepare(checkout, folder)
        with serving(folder) as url:
            with (folder / "conftest.py").open("a", encoding="utf-8") as conftest:
                conftest.write(SERVICES % url)
            found = run_pytest(folder, [*OPTIONS, *SELECTED], path=path)
    print(f"{found['passed']} passed, {len(found['failed'])} failed")
    [mode] = MODES
    worse = compare(recorded, mode, found)
    print("\n".join(worse) or "nothing is worse than recorded")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
