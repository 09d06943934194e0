"""Interrupts: waits and loops that end at the stop.

All are level-triggered: each step checks the latch first, and takes nothing once it is set. A step
in progress is cancelled; if it produces a value nevertheless, that value is delivered, and the next
step is the end.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Generator, Iterator
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar, final

import trio

from trillium_trio._log import add_note, text_of
from trillium_trio.exceptions import ShuttingDownError

from ._guard import Wrapper, close_async_generator
from ._node import Goal, Waiter
from ._tree import run_soon

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType

    from ._node import Node

__all__ = [
    "InterruptScope",
    "InterruptedAsyncIterator",
    "InterruptedIterator",
    "InterruptedReceiveStream",
]

T = TypeVar("T")

_REASON: Final = "the swansong is shutting down"

_HINT: Final = (
    "This async generator keeps a cancel scope or nursery open across a yield, so it cannot be "
    "interrupted step by step. Two forms work: put `with swansong.interrupt():` around the whole "
    "loop, or make the generator a channel with `trio.as_safe_channel`."
)


@final
class InterruptScope:
    """A context manager of a `trio.CancelScope` that the stop cancels. Used once.

    If it is entered after the stop, the scope is already cancelled. ``scope.cancelled_caught`` says
    afterwards whether the body was cut short.
    """

    __slots__ = ("_node", "_scope", "_waiter")

    def __init__(self, node: Node) -> None:
        self._node = node
        self._scope = trio.CancelScope()

    def __enter__(self) -> trio.CancelScope:
        token = trio.lowlevel.current_trio_token()
        cancel = partial(self._scope.cancel, _REASON)
        self._waiter = Waiter(self._node, Goal.STOP, partial(run_soon, token, cancel))
        self._waiter.start()
        if self._node.is_stopped:
            # Through the token, it would come after the body's first checkpoint.
            cancel()
        return self._scope.__enter__()

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        self._waiter.cancel()
        return self._scope.__exit__(exc_type, exc, traceback)


@final
class InterruptedAsyncIterator(Wrapper, AsyncIterator[T]):
    """The items of an async iterable, until the stop. An async generator is closed then.

    Attributes:
      was_interrupted: Whether the stop ended it.
    """

    __slots__ = ("_iterator", "_node", "was_interrupted")

    def __init__(self, node: Node, wrapped: AsyncIterable[T]) -> None:
        self._node = node
        self._iterator = aiter(wrapped)
        self.was_interrupted: bool = False

    async def __anext__(self) -> T:
        """Return the next item.

        Raises:
          StopAsyncIteration: At the end, or at the stop.
          RuntimeError: With a note, if this is an async generator that yields inside a cancel
            scope or nursery.

        Cancellation: as for the wrapped iterator.
        """
        if not self._node.is_stopped:
            try:
                with InterruptScope(self._node):
                    return await anext(self._iterator)
            except RuntimeError as error:
                if text_of(str, error).startswith("Cancel scope stack corrupted"):
                    add_note(error, _HINT)
                raise
        self.was_interrupted = True
        await close_async_generator(self._iterator)
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the wrapped iterator, if it is an async generator.

        Cancellation: as for the generator's clean-up.
        """
        await close_async_generator(self._iterator)


@final
class InterruptedIterator(Iterator[T]):
    """The items of an iterable, until the stop. A generator is closed then.

    A step in progress in another thread is not interrupted.

    Attributes:
      was_interrupted: Whether the stop ended it.
    """

    __slots__ = ("_iterator", "_node", "was_interrupted")

    def __init__(self, node: Node, wrapped: Iterable[T]) -> None:
        self._node = node
        self._iterator = iter(wrapped)
        self.was_interrupted: bool = False

    def __next__(self) -> T:
        if not self._node.is_stopped:
            return next(self._iterator)
        self.was_interrupted = True
        self.close()
        raise StopIteration

    def close(self) -> None:
        """Close the wrapped iterator, if it is a generator."""
        if isinstance(self._iterator, Generator):
            self._iterator.close()


@final
class InterruptedReceiveStream(trio.abc.ReceiveStream):
    """A stream that cannot be read after the stop. By default the stop never looks like EOF.

    Attributes:
      was_interrupted: Whether the stop refused or interrupted a read.
    """

    __slots__ = ("_eof", "_node", "_stream", "was_interrupted")

    def __init__(self, node: Node, stream: trio.abc.ReceiveStream, *, eof: bool) -> None:
        self._node = node
        self._stream = stream
        self._eof = eof
        self.was_interrupted: bool = False

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Read some bytes; empty at the end of input.

        Raises:
          ShuttingDownError: The stop came, and ``eof`` is False. This call has read nothing from
            the stream.

        Cancellation: as for the wrapped stream.
        """
        if not self._node.is_stopped:
            with InterruptScope(self._node):
                return await self._stream.receive_some(max_bytes)
        self.was_interrupted = True
        if self._eof:
            return b""
        raise ShuttingDownError("the stream was interrupted by the shutdown")

    async def aclose(self) -> None:
        """Close the wrapped stream.

        Cancellation: as for the wrapped stream.
        """
        await self._stream.aclose()
