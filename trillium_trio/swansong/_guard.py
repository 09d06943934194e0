"""Guards: committed work that a completion waits for."""

from __future__ import annotations

import threading
import warnings
import weakref
from abc import ABC, abstractmethod
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Generator,
    Iterable,
    Iterator,
)
from typing import TYPE_CHECKING, Any, Final, Generic, Self, TypeVar, final

import trio

from trillium_trio._log import text_of
from trillium_trio.exceptions import MisuseError

from ._claim import logger

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager, AbstractContextManager
    from types import TracebackType

    from ._claim import Claim

__all__ = ["Guard", "Guarded"]

T_co = TypeVar("T_co", covariant=True)
R = TypeVar("R")


@final
class Guard:
    """One piece of committed work. It counts from ``swansong.guard()`` until `release`.

    Use it as a context manager, or release it in a ``finally``. A guard that is garbage-collected
    unreleased is released then, with a `ResourceWarning` that names where it was taken.
    """

    __slots__ = ("__weakref__", "_claim")

    def __init__(self, claim: Claim) -> None:
        self._claim = claim

    @property
    def label(self) -> object:
        """The name of the work in reports. Any object: reports call its ``str()``."""
        return self._claim.label

    @label.setter
    def label(self, label: object) -> None:
        self._claim.label = label

    @property
    def site(self) -> str:
        """Where the guard was taken, ``"file:line"``. A clone has the site of its original."""
        return self._claim.site

    @property
    def age(self) -> float:
        """Seconds since the guard was taken."""
        return self._claim.age

    @property
    def is_released(self) -> bool:
        """Whether the guard was released."""
        return self._claim.is_released

    def adopt(self, task: trio.lowlevel.Task | None = None) -> Self:
        """Name the task that does the work, for reports and to detect a task waiting for itself.

        Args:
          task: The holder. Default: the current task; outside a trio run, the current thread.
        """
        name_holder(self._claim, task)
        return self

    def clone(self) -> Guard:
        """Take another guard, which counts on its own and inherits the site and the label."""
        claim = self._claim.copy()
        claim.take()
        return Guard(claim)

    def release(self) -> None:
        """Release the guard. Idempotent, and callable from anywhere."""
        claim = self._claim
        claim.release()

    def __enter__(self) -> Self:
        if self._claim.is_released:
            raise MisuseError(f"the guard taken at {self.site} is already released")
        if self._claim.holder is None:
            name_holder(self._claim)
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.release()

    def __del__(self) -> None:
        claim = self._claim
        if claim.is_released:
            return
        message = f"guard taken at {claim.site} was never released"
        claim.release()
        if not claim.node.tree.is_inside:
            warnings.warn(message, ResourceWarning, stacklevel=2)
        else:
            # This interrupted an operation that holds the lock. A warning calls foreign code, so
            # the interrupted frame gives it after it has released the lock.
            claim.node.tree.later(_warn_later, message)

    def __repr__(self) -> str:
        state = "released" if self.is_released else f"{self.age:.1f}s old"
        return f"<Guard {self.site}, {state}>"


def name_holder(claim: Claim, task: trio.lowlevel.Task | None = None) -> None:
    """Record the holder: the given task, else the current task, else the current thread."""
    holder: trio.lowlevel.Task | threading.Thread
    if task is not None:
        holder = task
    elif trio.lowlevel.in_trio_task():
        holder = trio.lowlevel.current_task()
    else:
        holder = threading.current_thread()
    claim.holder = weakref.ref(holder)


def _warn_later(message: str) -> None:
    try:
        warnings.warn(message, ResourceWarning, stacklevel=2)
    except Exception as error:
        # Warnings are configured as errors, or showing one failed. Do not raise into an unrelated
        # frame.
        logger.warning("%s", text_of(str, error))


_KINDS: Final = ("__await__", "__aiter__", "__iter__", "__enter__", "__aenter__")


def check_wrappable(wrapped: object) -> None:
    """Raise `TypeError` unless `Guarded` knows how to drive it."""
    if not any(hasattr(type(wrapped), name) for name in _KINDS):
        raise TypeError(f"expected an awaitable, iterator or context manager, not {wrapped!r}")


class Wrapper(ABC):
    """The base of our wrappers of async iterators."""

    __slots__ = ()

    @abstractmethod
    async def aclose(self) -> None:
        """Close the wrapped object.

        Cancellation: as for the wrapped object.
        """


async def close_async_generator(iterator: object) -> None:
    """Close an async generator or a wrapper of one; leave anything else to its owner.

    A channel, for example, may still hold items for another reader.
    """
    if isinstance(iterator, (AsyncGenerator, Wrapper)):
        await iterator.aclose()


@final
class Guarded(Wrapper, Generic[T_co]):
    """An awaitable, iterator or context manager that carries its own guard; used as if unwrapped.

    The guard counts from ``swansong.guarded()`` until the work is over: the awaitable finishes, the
    iterator ends or raises, or the context manager exits. The task that drives it is its holder.

    Attributes:
      guard: The guard.
      wrapped: The wrapped object.
    """

    __slots__ = ("_async_iterator", "_iterator", "guard", "wrapped")

    def __init__(self, wrapped: T_co, guard: Guard) -> None:
        self.guard: Guard = guard
        self._async_iterator: AsyncIterator[Any] | None = None  # of whatever T_co yields
        self._iterator: Iterator[Any] | None = None  # likewise
        self.wrapped: T_co = wrapped

    def release(self) -> None:
        """Release the guard early. Idempotent."""
        self.guard.release()

    def __await__(self: Guarded[Awaitable[R]]) -> Generator[Any, Any, R]:
        # `yield from` passes on what the wrapped awaitable yields to its event loop.
        with self.guard:
            return (yield from self.wrapped.__await__())

    def __aiter__(self: Guarded[AsyncIterable[R]]) -> Guarded[AsyncIterable[R]]:
        return self

    async def __anext__(self: Guarded[AsyncIterable[R]]) -> R:
        if self._async_iterator is None:
            self._async_iterator = aiter(self.wrapped)
        self.guard.adopt()
        try:
            value: R = await anext(self._async_iterator)
        except BaseException:
            self.guard.release()
            raise
        return value

    async def aclose(self) -> None:
        """Close the wrapped object if it is an async generator, then release the guard.

        Cancellation: the guard is released regardless.
        """
        try:
            await close_async_generator(self._async_iterator or self.wrapped)
        finally:
            self.guard.release()

    def __iter__(self: Guarded[Iterable[R]]) -> Guarded[Iterable[R]]:
        return self

    def __next__(self: Guarded[Iterable[R]]) -> R:
        if self._iterator is None:
            self._iterator = iter(self.wrapped)
        self.guard.adopt()
        try:
            value: R = next(self._iterator)
        except BaseException:
            self.guard.release()
            raise
        return value

    def close(self) -> None:
        """Close the wrapped object if it is a generator, then release the guard."""
        try:
            if isinstance(self.wrapped, Generator):
                self.wrapped.close()
        finally:
            self.guard.release()

    def __enter__(self: Guarded[AbstractContextManager[R, Any]]) -> R:
        self.guard.adopt()
        try:
            return self.wrapped.__enter__()
        except BaseException:
            self.guard.release()
            raise

    def __exit__(
        self: Guarded[AbstractContextManager[Any, bool | None]],
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return self.wrapped.__exit__(exc_type, exc, traceback)
        finally:
            self.guard.release()

    async def __aenter__(self: Guarded[AbstractAsyncContextManager[R, Any]]) -> R:
        self.guard.adopt()
        try:
            return await self.wrapped.__aenter__()
        except BaseException:
            self.guard.release()
            raise

    async def __aexit__(
        self: Guarded[AbstractAsyncContextManager[Any, bool | None]],
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool | None:
        try:
            return await self.wrapped.__aexit__(exc_type, exc, traceback)
        finally:
            self.guard.release()

    def __del__(self) -> None:
        # Leaving a loop early is fine. Never having started it is a mistake: the guard then warns.
        if self._async_iterator is not None or self._iterator is not None:
            self.guard.release()

    def __repr__(self) -> str:
        return f"<Guarded {self.wrapped!r} by {self.guard!r}>"
