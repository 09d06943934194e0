"""Streams that stall, dribble or break at one chosen operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, TypeAlias, final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["BreakingStream", "DribblingStream", "Operation", "StallingStream"]

Operation: TypeAlias = Literal["any", "receive", "send", "eof"]
"""What is counted: ``receive_some``, ``send_all``, ``send_eof``, or all three."""


class _Wrapper(trio.abc.HalfCloseableStream):
    """Forwards every operation to another stream, after calling `_before`.

    Args:
      stream: Closed with this one. If it cannot be half-closed, neither can this one: `send_eof`
        then does nothing.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await self._before("send")
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        await self._before("receive")
        return await self._stream.receive_some(max_bytes)

    async def send_eof(self) -> None:
        await self._before("eof")
        if isinstance(self._stream, trio.abc.HalfCloseableStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        await self._stream.aclose()

    def abort(self) -> None:
        """Abort the wrapped stream, if it has ``abort``."""
        abort: Callable[[], None] | None = getattr(self._stream, "abort", None)
        if abort is not None:
            abort()

    async def _before(self, operation: Operation) -> None:
        """The wrapper's fault: raising prevents the operation, waiting delays it."""


class _Countdown:
    """Counts operations of one kind down to the chosen one; due from then on."""

    def __init__(self, at: int, on: Operation) -> None:
        if at < 1:
            raise ValueError(f"operations are counted from 1, not {at}")
        self._left = at
        self._on = on

    def is_due(self, operation: Operation) -> bool:
        if self._on not in ("any", operation):
            return False
        self._left -= 1
        return self._left <= 0


@final
class StallingStream(_Wrapper):
    """A stream that stalls from one operation on: a peer that has stopped.

    On the server's side a stalled ``"send"`` is a client that does not read, a stalled
    ``"receive"`` one that does not send.

    Args:
      stream: Closed with this one.
      at: The operation that stalls first, from 1; later ones of its kind stall as well.
      on: Which operations count and stall.
    """

    def __init__(self, stream: trio.abc.Stream, *, at: int = 1, on: Operation = "any") -> None:
        super().__init__(stream)
        self._countdown = _Countdown(at, on)
        self._stalled = trio.Event()
        self._resumed = trio.Event()

    async def wait_stalled(self) -> None:
        """Wait until an operation stalls.

        Cancellation:
          Ends the wait.
        """
        await self._stalled.wait()

    def resume(self) -> None:
        """Let the stalled operations continue, and stall no others."""
        self._resumed.set()

    async def _before(self, operation: Operation) -> None:
        if self._countdown.is_due(operation):
            self._stalled.set()
            await self._resumed.wait()

    def __repr__(self) -> str:
        is_stalled = self._stalled.is_set() and not self._resumed.is_set()
        return f"<StallingStream {'stalled' if is_stalled else 'flowing'} {self._stream!r}>"


@final
class BreakingStream(_Wrapper):
    """A stream that breaks at one operation, and stays broken: a peer or network that fails.

    Args:
      stream: Closed with this one.
      at: The operation that fails first, from 1; later ones of its kind fail as well.
      on: Which operations count and fail.
      error: What they raise. Default: a `trio.BrokenResourceError`.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        *,
        at: int = 1,
        on: Operation = "any",
        error: BaseException | None = None,
    ) -> None:
        super().__init__(stream)
        self._countdown = _Countdown(at, on)
        self._error = error

    async def _before(self, operation: Operation) -> None:
        if self._countdown.is_due(operation):
            await trio.lowlevel.checkpoint()
            raise self._error or trio.BrokenResourceError(f"broken on purpose: {operation}")

    def __repr__(self) -> str:
        return f"<BreakingStream {self._stream!r}>"


@final
class DribblingStream(_Wrapper):
    """A stream that sends and receives in small steps: a slow peer or network.

    Args:
      stream: Closed with this one.
      step: Bytes per step.
      interval: Seconds before each step.
    """

    def __init__(self, stream: trio.abc.Stream, *, step: int = 1, interval: float = 0.0) -> None:
        super().__init__(stream)
        if step < 1:
            raise ValueError(f"a step is at least one byte, not {step}")
        self._step = step
        self._interval = interval

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send the data step by step.

        Cancellation:
          Some steps may have been sent.
        """
        for start in range(0, len(data), self._step):
            await super().send_all(data[start : start + self._step])

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive at most one step.

        Cancellation:
          Nothing is lost.
        """
        return await super().receive_some(min(max_bytes or self._step, self._step))

    async def _before(self, operation: Operation) -> None:
        # Before receiving, not after it: a cancelled wait must not lose bytes.
        await trio.sleep(self._interval)

    def __repr__(self) -> str:
        return f"<DribblingStream {self._step} bytes / {self._interval:g} s {self._stream!r}>"
