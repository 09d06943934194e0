"""Handlers that fail in one place of all in which a handler can."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trillium_trio as tt

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


PLACES = [
    *("run", "before_send", "first piece", "second piece", "aclose"),
    *("after_send", "has_upgrade", "upgrade"),
]


class Odd(BaseException):
    """No Exception, as those of frameworks that want to pass through are."""


class Broken(tt.Handler):
    """Raises an error in one place, when it is asked for a path other than ``/sound``.

    Args:
      where: One of `PLACES`.
      error: What to raise.
    """

    def __init__(self, where: str, error: BaseException) -> None:
        self._where, self._error = where, error

    def fail(self, where: str) -> None:
        if where == self._where:
            raise self._error

    async def run(self, conn: tt.Conn) -> tt.Conn:
        if conn.path == "/sound":
            return conn.ok("sound")
        self.fail("run")
        conn.after_send(self._after)
        if self._where in ("has_upgrade", "upgrade"):
            return conn.upgrade()
        return conn.ok(_Pieces(self))

    async def before_send(self, conn: tt.Conn) -> tt.Conn:
        if conn.path != "/sound":
            self.fail("before_send")
        return conn

    async def _after(self, conn: tt.Conn) -> None:
        self.fail("after_send")

    def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
        self.fail("has_upgrade")
        return True

    async def upgrade(self, upgrade: tt.Upgrade) -> None:
        self.fail("upgrade")


class _Pieces:
    """A body of two pieces."""

    def __init__(self, handler: Broken) -> None:
        self._handler = handler
        self._names = ["second piece", "first piece"]

    def __aiter__(self) -> _Pieces:
        return self

    async def __anext__(self) -> bytes:
        if not self._names:
            raise StopAsyncIteration
        self._handler.fail(self._names[-1])
        return self._names.pop().encode()

    async def aclose(self) -> None:
        self._handler.fail("aclose")


class BrokenEnds(tt.Handler):
    """Raises an error at its start ("init", "entering") or at its end ("leaving").

    Its end it brings about itself.
    """

    def __init__(self, where: str, error: BaseException) -> None:
        self._where, self._error = where, error

    async def init(self, info: tt.Info) -> None:
        if self._where == "init":
            raise self._error

    @asynccontextmanager
    async def lifespan(self, info: tt.Info) -> AsyncIterator[None]:
        if self._where == "entering":
            raise self._error
        info.swansong.shut_down()
        yield
        raise self._error

    async def run(self, conn: tt.Conn) -> tt.Conn:
        return conn
