"""What the thread of a request asks of its connection, done in the loop.

.. code-block:: text

    thread    Receive -> waits ...... piece      Begin, Piece 1 -> produces 2 -> waits . Piece 2
                 |                      |            |                            |
    task      request body -> wire -> answer      conn.send_now: head, piece 1 -> answer, piece 2

The thread puts commands into the inbox of a task, which exists only if there are any. Each command
but `Begin` and `End` has one answer. The thread waits for the answer to its last command before it
gives the next: so it produces one piece while another is sent, and no more.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from queue import SimpleQueue
from typing import TYPE_CHECKING, TypeAlias, final

import trio

from ..exceptions import ClientDisconnected, HttpError
from ..http import Body
from ._errors import ConnectionLost

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ..conn import Conn
    from ._head import Head

__all__ = ["Bridge"]


@final
@dataclass(frozen=True, slots=True)
class Receive:
    """Receive a piece of the request's body; it is the answer."""


@final
@dataclass(frozen=True, slots=True)
class Begin:
    """Begin a response whose body comes in pieces."""

    head: Head


@final
@dataclass(frozen=True, slots=True)
class Whole:
    """Send a response."""

    head: Head
    body: Body


@final
@dataclass(frozen=True, slots=True)
class Piece:
    """Send a piece of the response."""

    data: bytes


@final
@dataclass(frozen=True, slots=True)
class End:
    """Nothing follows, or the application has raised."""

    error: Exception | None


Command: TypeAlias = Receive | Begin | Whole | Piece | End


@final
class Bridge:
    """Between the thread of a request and its connection.

    The conn is the loop's alone, and the thread's methods are the thread's alone.

    Args:
      conn: The request.
      nursery: Where the thread's commands are carried out.

    Attributes:
      has_begun: The response has begun, or has been sent.
      has_lost: It could not be sent, or is not to be.
      refused: What the client gets if its body could not be read.
      is_cut_short: The client left before the end of its request.
      failure: What was raised after the response, or instead of it.
    """

    __slots__ = (
        "_answers",
        "_arrived",
        "_conn",
        "_inbox",
        "_is_closed",
        "_is_owed",
        "_is_served",
        "_nursery",
        "_token",
        "failure",
        "has_begun",
        "has_lost",
        "is_cut_short",
        "refused",
    )

    def __init__(self, conn: Conn, nursery: trio.Nursery) -> None:
        self.has_begun = False
        self.has_lost = False
        self.refused: HttpError | None = None
        self.is_cut_short = False
        self.failure: Exception | None = None
        self._conn = conn
        self._nursery = nursery
        self._token = trio.lowlevel.current_trio_token()
        self._inbox: deque[Command] = deque()
        self._arrived = trio.Event()
        self._is_served = False
        self._is_closed = False
        # None: it could not be done, and nothing will be from now on.
        self._answers: SimpleQueue[bytes | None] = SimpleQueue()
        # The thread's: whether its last command has not been answered yet.
        self._is_owed = False

    # -- the thread ----------------------------------------------------------------------------

    def receive(self) -> bytes:
        """Wait for a piece of the request's body; nothing at its end.

        Raises:
          ConnectionLost: It cannot be read on.
        """
        self._ask(Receive())
        return self._settle()

    def begin(self, head: Head) -> None:
        """Begin a response whose body comes in pieces.

        Raises:
          ConnectionLost: An earlier command failed.
        """
        self._settle()
        self._tell(Begin(head))

    def send(self, piece: bytes) -> None:
        """Send a piece, when the one before has been sent. Not empty.

        Raises:
          ConnectionLost: The one before could not be sent.
        """
        self._ask(Piece(piece))

    def send_whole(self, head: Head, body: Body) -> None:
        """Send a response.

        Raises:
          ConnectionLost: An earlier command failed.
        """
        self._ask(Whole(head, body))

    def end(self, error: Exception | None = None) -> None:
        """End the response; with an exception, so that the client notices."""
        try:
            self._tell(End(error))
        except ConnectionLost:
            pass  # it has ended

    def wait_sent(self) -> None:
        """Wait until what was given has been sent.

        Raises:
          ConnectionLost: It could not.
        """
        self._settle()

    def _ask(self, command: Command) -> None:
        self._settle()
        self._tell(command)
        self._is_owed = True

    def _tell(self, command: Command) -> None:
        try:
            self._token.run_sync_soon(self._arrive, command)
        except trio.RunFinishedError:
            raise ConnectionLost("the server has ended") from None

    def _settle(self) -> bytes:
        if not self._is_owed:
            return b""
        self._is_owed = False
        answer = self._answers.get()
        if answer is None:
            raise ConnectionLost("the client has disconnected, or its request was refused or cut")
        return answer

    # -- the loop ------------------------------------------------------------------------------

    def close(self) -> None:
        """Fail what the thread waits for, and whatever it asks from now on."""
        self._is_closed = True
        self._answers.put(None)

    def finish(self) -> None:
        """End the task when it has done what the thread has asked: the thread is over.

        A thread to which the application has passed ``wsgi.input`` gets nothing from now on.
        """
        self._is_closed = True
        if self._is_served:
            self._inbox.append(End(None))
            self._arrived.set()

    def _arrive(self, command: Command) -> None:
        if self._is_closed or (self.has_lost and not isinstance(command, End)):
            self._answers.put(None)
            return
        self._inbox.append(command)
        self._arrived.set()
        if not self._is_served:
            self._is_served = True
            self._nursery.start_soon(self._serve)

    async def _next(self) -> Command:
        while not self._inbox:
            self._arrived = trio.Event()
            await self._arrived.wait()
        return self._inbox.popleft()

    async def _serve(self) -> None:
        """Carry out commands until the thread is over: ``close()`` may read on after the response.

        Cancellation:
          The response is incomplete.
        """
        while self._inbox or not self._is_closed:
            match await self._next():
                case Receive():
                    await self._receive()
                case Begin(head):
                    await self._respond(head, Body.streaming(self._pieces(), head.length))
                case Whole(head, body):
                    await self._respond(head, body)
                    self._answers.put(None if self.has_lost else b"")
                case Piece():
                    # That of a response that has ended; `has_lost` was answered.
                    if not self.has_lost:
                        self._answers.put(b"")
                case End(error):
                    if error is not None and not self.has_lost:
                        self.failure = error

    async def _respond(self, head: Head, body: Body) -> None:
        if self.refused is not None or self.is_cut_short:
            self._lose()
            return
        self.has_begun = True
        head.apply(self._conn)
        self._conn.with_body(body)
        try:
            await self._conn.send_now()
        except ClientDisconnected:
            self._lose()  # logged
        except Exception as error:  # for the handler to raise
            self.failure = error
            self._lose()

    async def _pieces(self) -> AsyncIterator[bytes]:
        while True:
            match await self._next():
                case Receive():
                    await self._receive()
                case Piece(data):
                    yield data
                    self._answers.put(b"")
                case End(error):
                    if error is not None:
                        raise error
                    return
                case command:
                    raise AssertionError(f"{command} inside a response")

    async def _receive(self) -> None:
        body = self._conn.request_body
        piece: bytes | None = None
        try:
            piece = b"" if body.is_complete else await anext(aiter(body), b"")
        except HttpError as error:
            # The application is told no more than that nothing comes; we answer.
            self.refused = error
        except ClientDisconnected:
            self.is_cut_short = True
        self._answers.put(piece)

    def _lose(self) -> None:
        self.has_lost = True
        self._answers.put(None)

    def __repr__(self) -> str:
        return f"<Bridge {self._conn!r}>"
