"""A folder with an application, which is also the current directory."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION = """
import trillium_trio as tt

class folder:
    async def hello(conn): return conn.ok("hello")

hello = folder.hello
server = tt.config().with_port(0).with_drain_timeout(1).server(hello)
def make(): return server
async def make_later(): return server
def fails(): raise ZeroDivisionError("in the factory")
def plain(conn): return conn
number = 1
"""


@pytest.fixture(autouse=True)
def application(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "cli_app.py").write_text(APPLICATION, encoding="utf-8")
    (tmp_path / "cli_broken.py").write_text("import no_such_thing\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    # What loading adds is gone after the test.
    monkeypatch.setattr(sys, "path", sys.path.copy())
    for name in ("cli_app", "cli_broken"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    for name in ("HOST", "PORT", "LISTEN_FDS", "LISTEN_FD"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path
