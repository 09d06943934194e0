"""Commands over a unix socket: a JSON object as a line, and one back."""

from __future__ import annotations

import json
import socket
from functools import partial
from typing import TYPE_CHECKING, Final, final

import trio

from .._log import SafeLogger

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._supervisor import Supervisor

__all__ = ["ControlServer", "call"]

logger = SafeLogger("trillium_trio.supervisor")

_MAX_LINE_BYTES: Final = 4096
_MAX_CONNECTIONS: Final = 16
_ASK_SECONDS: Final = 10.0
_ACCEPT_SECONDS: Final = 0.1


@final
class ControlServer:
    """Answers requests such as ``{"do": "scale", "number": 3}``.

    Args:
      supervisor: What is asked.
      sock: Listens; only those may connect who may open its file.
    """

    def __init__(self, supervisor: Supervisor, sock: socket.socket) -> None:
        self._supervisor = supervisor
        self._sock = sock
        self._room = trio.CapacityLimiter(_MAX_CONNECTIONS)

    async def run(self, *, is_over: trio.Event) -> None:
        """Accept until another supervisor does.

        Args:
          is_over: Set then.

        Cancellation:
          Ends all connections.
        """
        async with trio.open_nursery() as nursery, trio.open_nursery() as accepting:
            accepting.start_soon(self._accept, nursery)
            await is_over.wait()
            accepting.cancel_scope.cancel()

    async def _accept(self, nursery: trio.Nursery) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._sock)
            try:
                sock, _ = self._sock.accept()
            except BlockingIOError:
                continue
            except OSError as error:
                logger.warning("cannot accept on the control socket: %s", error)
                await trio.sleep(_ACCEPT_SECONDS)
                continue
            stream = trio.SocketStream(trio.socket.from_stdlib_socket(sock))
            nursery.start_soon(self._answer, stream)

    async def _answer(self, stream: trio.SocketStream) -> None:
        async with stream, self._room:
            try:
                with trio.move_on_after(_ASK_SECONDS) as limit:
                    line = await _line_of(stream)
                if limit.cancelled_caught:
                    return
                # As long as it takes: each worker has its own time limits.
                answer = await self._do(line)
                with trio.move_on_after(_ASK_SECONDS):
                    await stream.send_all(json.dumps(answer, default=str).encode() + b"\n")
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass  # Nobody waits for the answer.

    async def _do(self, line: bytes) -> Mapping[str, object]:
        supervisor = self._supervisor
        try:
            match json.loads(line):
                case {"do": "status"}:
                    return {"ok": True, "state": supervisor.state()}
                case {"do": "report"}:
                    return {"ok": True, "text": await supervisor.report()}
                case {"do": str(name), **more}:
                    number = more.get("number")
                    ticket = supervisor.ask(name, number if isinstance(number, int) else None)
                    logger.info("%s: asked for by the control socket", name)
                    if ticket is None:
                        return {"ok": True}
                    await ticket.done.wait()
                    return {"ok": not ticket.failure, "text": ticket.failure}
        except ValueError as error:
            return {"ok": False, "text": str(error)}
        return {"ok": False, "text": "no command"}


async def _line_of(stream: trio.SocketStream) -> bytes:
    line = b""
    while not line.endswith(b"\n") and len(line) < _MAX_LINE_BYTES:
        data = await stream.receive_some()
        if not data:
            break
        line += data
    return line


def call(path: str, request: Mapping[str, object], *, timeout: float | None) -> dict[str, object]:
    """Ask a supervisor; block until it has answered.

    Args:
      path: Of the socket.
      request: What is asked for.
      timeout: In seconds; None: as long as it takes.

    Raises:
      OSError: Nobody listens there, or it took too long.
      ValueError: The answer is none: the supervisor has ended.
    """
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(timeout)
        sock.connect(path)
        sock.sendall(json.dumps(request).encode() + b"\n")
        answer = json.loads(b"".join(iter(partial(sock.recv, 65_536), b"")))
    return answer if isinstance(answer, dict) else {}
