"""A folder with an application, which is also the current directory."""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

APPLICATION = """
from contextlib import asynccontextmanager
import trillium_trio as tt

class folder:
    async def hello(conn): return conn.ok("hello")

hello = folder.hello
server = tt.config().with_port(0).with_drain_timeout(1).server(hello)
def make(): return server
async def make_later(): return server
def fails(): raise ZeroDivisionError("in the factory")
def plain(conn): return conn
def with_default(handler=hello): return handler
number = 1
config = tt.config().with_port(0)

class Prepared(tt.Handler):
    async def init(self, info): print("init")
    @asynccontextmanager
    async def lifespan(self, info):
        print("entered")
        yield
        print("exited")

prepared = Prepared()
async def fail(info): raise RuntimeError("cannot be prepared")
unprepared = tt.Init(fail)
"""


@pytest.fixture(autouse=True)
def logging_of_its_own(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let the command set up the log: pytest's handlers are gone until the end of the test."""
    root = logging.getLogger()
    level = root.level
    monkeypatch.setattr(root, "handlers", [])
    yield
    root.setLevel(level)


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
