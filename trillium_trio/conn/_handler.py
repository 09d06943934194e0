"""Handlers: anything that takes a conn and returns it."""

from __future__ import annotations

import inspect
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias, Union, cast, final

from .._log import SafeLogger, callable_name, kind_of, text_of
from ..http import Status

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator

    from ._conn import Conn
    from ._info import Info
    from ._sent import Sent
    from ._upgrade import Upgrade

__all__ = [
    "Handler",
    "HandlerLike",
    "Init",
    "Lifespan",
    "Sequence",
    "State",
    "as_handler",
    "check_awaitable",
    "check_returned",
    "handler_name",
    "leaves",
    "run_handler",
    "walk_handlers",
]

logger = SafeLogger("trillium_trio.conn")

HandlerLike: TypeAlias = Union[
    "Handler",
    "Callable[[Conn], Awaitable[Conn]]",
    str,
    bytes,
    Status,
    "tuple[HandlerLike, ...]",
    "list[HandlerLike]",
    None,
]
"""What `as_handler` takes: a handler, or a value that it converts to one."""


class Handler:
    """The base class of handlers; override what you need.

    Its hooks are called in this order: `init` and `lifespan` once before the server is ready, then
    for each request `run` and `before_send`, for each upgrade `has_upgrade` and `upgrade`, and
    `after_send` when the request is over.

    Attributes:
      takes_connect: Whether it takes CONNECT requests, which ask for a tunnel. Read once, when
        serving begins. Default: False; if no handler takes them, they are answered 501.
    """

    takes_connect: bool = False

    def __init_subclass__(cls, **kwargs: Any) -> None:  # Any: for other bases
        super().__init_subclass__(**kwargs)
        if inspect.iscoroutinefunction(cls.after_send):
            raise TypeError(f"{cls.__name__}.after_send is called without await: write 'def'")

    @property
    def inner(self) -> tuple[Handler, ...]:
        """The handlers that this one runs: the server calls their `init` and `lifespan` as well."""
        return ()

    async def init(self, info: Info) -> None:
        """Prepare, once, before the server is ready. An exception ends ``serve()``.

        Cancellation:
          By ``cancel()`` or the deadline of a stop during the start: nothing is served.
        """

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Hold resources: entered before the server is ready, exited after the drain."""
        yield

    async def run(self, conn: Conn) -> Conn:
        """Handle one request.

        Cancellation:
          At the deadline of a drain. The client gets a 503, or the response if this returns
          nevertheless.
        """
        return conn

    async def before_send(self, conn: Conn) -> Conn:
        """Modify the response before it is sent; called in reverse order, halted or not.

        Cancellation:
          As for `run`.
        """
        return conn

    def has_upgrade(self, upgrade: Upgrade) -> bool:
        """Return whether this handler takes the upgraded transport; the first that does gets it."""
        return False

    async def upgrade(self, upgrade: Upgrade) -> None:
        """Serve the upgraded transport, which is closed afterwards.

        Cancellation:
          At the deadline of a drain. The transport is closed.
        """

    def after_send(self, conn: Conn, sent: Sent) -> None:
        """Observe a request that is over, such as for a log or a metric.

        Called for each request, in reverse order, halted or not, directly before its guard is
        released. Everything waits for it: it is not async, and should take microseconds. An
        exception is logged.

        Args:
          conn: The request, and the response as the handlers have left it.
          sent: What was sent of it, and how it ended.
        """

    @property
    def name(self) -> str:
        """This handler's name in logs."""
        return type(self).__name__

    def overrides(self, hook: str) -> bool:
        """Whether it overrides a hook; a hook that it does not override costs requests nothing."""
        return hook in vars(self) or getattr(type(self), hook) is not getattr(Handler, hook)

    def __repr__(self) -> str:
        return f"<{handler_name(self)}>"


@final
class _Function(Handler):
    """A callable as a handler."""

    def __init__(self, fn: Callable[[Conn], Awaitable[Conn]]) -> None:
        # An instance attribute, so that a request needs no frame besides the function's.
        self.run = fn  # type: ignore[method-assign, assignment]  # any awaitable works

    @property
    def name(self) -> str:
        return callable_name(self.run)


@final
class _Answer(Handler):
    """A constant body: answers everything with it."""

    def __init__(self, body: str | bytes) -> None:
        self._body = body

    async def run(self, conn: Conn) -> Conn:
        return conn.ok(self._body)


@final
class _SetStatus(Handler):
    """A constant status; does not halt."""

    def __init__(self, status: Status) -> None:
        self._status = status

    async def run(self, conn: Conn) -> Conn:
        return conn.with_status(self._status)


@final
class Init(Handler):
    """Runs an async function once before the server is ready.

    Args:
      fn: Called with the `Info`; its result is ignored.
    """

    def __init__(self, fn: Callable[[Info], Awaitable[object]]) -> None:
        self._fn = fn

    async def init(self, info: Info) -> None:
        """Call the function.

        Cancellation:
          The function's.
        """
        await self._fn(info)

    @property
    def name(self) -> str:
        """Init and the function's name."""
        return f"Init({callable_name(self._fn)})"


@final
class Lifespan(Handler):
    """Holds a resource while the server serves.

    Args:
      fn: Called with the `Info`, returns an async context manager, such as a function under
        `contextlib.asynccontextmanager`. It is entered before the server is ready, and exits when
        the last request has ended, within ``cleanup_timeout``.
    """

    def __init__(self, fn: Callable[[Info], AbstractAsyncContextManager[object]]) -> None:
        self._fn = fn

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Enter and exit the context manager."""
        async with self._fn(info):
            yield

    @property
    def name(self) -> str:
        """Lifespan and the function's name."""
        return f"Lifespan({callable_name(self._fn)})"


@final
class State(Handler):
    """Gives every conn the same value; ``conn.state(type(value))`` returns it."""

    def __init__(self, value: object) -> None:
        self._value = value

    async def run(self, conn: Conn) -> Conn:
        """Insert the value.

        Cancellation:
          None: it does not wait.
        """
        return conn.with_state(self._value)

    @property
    def name(self) -> str:
        """State and the value's type."""
        return f"State({kind_of(self._value)})"


@final
class Sequence(Handler):
    """Runs handlers in order until one halts, then ``before_send`` and ``after_send`` in reverse.

    Nested sequences are flattened.
    """

    def __init__(self, handlers: Iterable[Handler]) -> None:
        self.handlers: tuple[Handler, ...] = tuple(
            leaf for handler in handlers for leaf in leaves(handler)
        )
        self._running = [each for each in self.handlers if each.overrides("run")]
        self._finishing = [
            each for each in reversed(self.handlers) if each.overrides("before_send")
        ]
        self._observing = [each for each in reversed(self.handlers) if each.overrides("after_send")]

    async def run(self, conn: Conn) -> Conn:
        """Run each handler until one halts.

        Cancellation:
          That of the running handler; those after it do not run.
        """
        for handler in self._running:
            # As `run_handler` does, which would be a coroutine more for each of them.
            result = handler.run(conn)
            try:
                returned = await result
            except TypeError as error:
                check_awaitable(handler, result, error)
                raise
            if returned is not conn:
                check_returned(handler, conn, returned)
            if conn.is_halted:
                break
        return conn

    async def before_send(self, conn: Conn) -> Conn:
        """Run each handler's ``before_send`` in reverse.

        Cancellation:
          That of the running hook; those of the handlers before it do not run.
        """
        for handler in self._finishing:
            returned = await handler.before_send(conn)
            if returned is not conn:
                check_returned(handler, conn, returned)
        return conn

    def after_send(self, conn: Conn, sent: Sent) -> None:
        """Run each handler's ``after_send`` in reverse; an exception of one is logged."""
        for handler in self._observing:
            try:
                handler.after_send(conn, sent)
            except Exception as error:
                logger.error(
                    "%s: %s: %s.after_send raised",
                    *(conn.transport.peer, conn.head, handler_name(handler)),
                    exc_info=error,
                )

    def has_upgrade(self, upgrade: Upgrade) -> bool:
        """Whether any handler takes the upgrade."""
        return any(handler.has_upgrade(upgrade) for handler in self.handlers)

    async def upgrade(self, upgrade: Upgrade) -> None:
        """Give the upgrade to the first handler that takes it.

        Cancellation:
          That of the handler.
        """
        for handler in self.handlers:
            if handler.has_upgrade(upgrade):
                await handler.upgrade(upgrade)
                return

    @property
    def name(self) -> str:
        """The names of the handlers."""
        return f"({', '.join(handler_name(each) for each in self.handlers)})"


def as_handler(value: HandlerLike) -> Handler:
    """Convert a value to a handler.

    Raises:
      TypeError: It is not a handler. For a plain sync function, the message names the fix.
    """
    match value:
        case Handler():
            return value
        case str() | bytes():
            return _Answer(value)
        case Status():
            return _SetStatus(value)
        case None:
            return Sequence(())
        case tuple() | list():
            return Sequence(as_handler(each) for each in value)
    if isinstance(value, type) and issubclass(value, Handler):
        raise TypeError(
            f"{value.__name__} is a class; a handler is an instance: {value.__name__}()"
        )
    if not callable(value):
        raise TypeError(f"{value!r} is not a handler: it cannot be called with a conn")
    if (
        inspect.isfunction(value)
        and not inspect.iscoroutinefunction(value)
        and value.__name__ != "<lambda>"
        and not hasattr(value, "__wrapped__")
    ):
        raise TypeError(
            f"{callable_name(value)} is a plain function; write 'async def', or wrap it as "
            f"sync_handler({value.__name__}) to run it in a worker thread"
        )
    return _Function(cast("Callable[[Conn], Awaitable[Conn]]", value))


def handler_name(handler: Handler) -> str:
    """Return a handler's name in logs. Never raises, even if its `Handler.name` does."""
    return text_of(getattr, handler, "name")


def leaves(handler: Handler) -> tuple[Handler, ...]:
    """Return the handlers of a sequence, or the handler alone."""
    return handler.handlers if isinstance(handler, Sequence) else (handler,)


def walk_handlers(handler: Handler) -> Iterator[Handler]:
    """Yield the leaves of a handler, each followed by those that it runs, at any depth.

    An object that occurs several times is yielded once.
    """
    seen: set[int] = set()
    todo = [handler]
    while todo:
        each = todo.pop()
        if isinstance(each, Sequence):
            todo += reversed(each.handlers)
        elif id(each) not in seen:
            seen.add(id(each))
            yield each
            todo += reversed(each.inner)


async def run_handler(handler: Handler, conn: Conn) -> Conn:
    """Run one handler and check that it returns the conn.

    Raises:
      TypeError: Its result was not awaitable, or not the conn.

    Cancellation:
      The handler's.
    """
    result = handler.run(conn)
    try:
        returned = await result
    except TypeError as error:
        check_awaitable(handler, result, error)
        raise
    return conn if returned is conn else check_returned(handler, conn, returned)


def check_awaitable(handler: Handler, result: object, error: TypeError) -> None:
    """Explain an error of awaiting what a handler's ``run`` returned; one of its own passes.

    Raises:
      TypeError: The result was not awaitable.
    """
    if not hasattr(result, "__await__"):
        raise TypeError(
            f"handler {handler_name(handler)} returned {kind_of(result)}, which is not awaitable"
        ) from error


def check_returned(handler: Handler, conn: Conn, returned: object) -> Conn:
    """Return the conn, if that is what a handler returned.

    Raises:
      TypeError: It is not.
    """
    if returned is not conn:
        raise TypeError(
            f"handler {handler_name(handler)} returned {kind_of(returned)} instead of its conn"
        )
    return conn
