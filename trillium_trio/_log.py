"""A logger that never raises, and the text of objects whose methods may do anything.

The application's objects (an exception, a label, the name of a handler) become text only here. The
result is always a plain, printable `str`, even if their methods raise.
"""

from __future__ import annotations

import functools
import logging
import sys
from contextlib import suppress
from traceback import TracebackException
from typing import TYPE_CHECKING, Any, Final, cast, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType, TracebackType

__all__ = [
    "SafeLogger",
    "add_note",
    "app_name",
    "callable_name",
    "is_application",
    "is_caused_by",
    "kind_of",
    "leaves_of",
    "printable",
    "text_of",
    "traceback_of",
    "traceback_text",
]

# Application code is all code except these and the standard library.
_LIBRARIES: Final = frozenset({"trio", "outcome", "anyio", __name__.partition(".")[0]})

# How far the causes and contexts of an exception are followed. A loop that retries for ever makes
# chains of any length.
_MAX_LINKS: Final = 50

# The built-in descriptors of types and exceptions, which no subclass or metaclass can override.
# Any: a descriptor's type does not tell what it returns.
_MODULE: Final[Any] = type.__dict__["__module__"]
_QUALNAME: Final[Any] = type.__dict__["__qualname__"]
_ERROR: Final[Any] = BaseException.__dict__
_CHILDREN: Final[Any] = BaseExceptionGroup.exceptions


@final
class SafeLogger(logging.LoggerAdapter[logging.Logger]):
    """A logger that never raises, and whose tracebacks cannot forge log lines.

    A log filter or handler may raise, which would end the connection that logs, and with it the
    server. Here the failure is printed, unless `logging.raiseExceptions` is off.

    A record of an exception has a safe traceback in ``exc_text``, see `traceback_text`, which
    formatters prefer to their own. The exception itself is in ``exc_info``, as in any other record.

    Args:
      name: The name of the logger.
    """

    def __init__(self, name: str) -> None:
        super().__init__(logging.getLogger(name))

    def log(
        self,
        level: int,
        msg: object,
        *args: object,
        exc_info: Any = None,
        **kwargs: Any,
    ) -> None:
        """Log a record; every other method calls this.

        Args:
          level: As for `logging.Logger.log`.
          msg: The same.
          args: The same.
          exc_info: An exception or None. Any: `logging` accepts more.
          kwargs: Unused. Any: `logging` accepts more.
        """
        try:
            logger = self.logger
            if not logger.isEnabledFor(level):
                return
            # The caller's line, not this one.
            path, line, function, _ = logger.findCaller(stacklevel=2)
            # A tuple, because the truth value of the exception itself depends on its class.
            exc = None if exc_info is None else (type(exc_info), exc_info, traceback_of(exc_info))
            record = logger.makeRecord(logger.name, level, path, line, msg, args, exc, function)
            if exc is not None:
                record.exc_text = traceback_text(exc_info)
            logger.handle(record)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as failure:  # of any class
            if logging.raiseExceptions:
                with suppress(Exception):
                    print(traceback_text(failure), file=sys.stderr)


def printable(text: str) -> str:
    """Escape characters that could end a line of a log or control a terminal."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in text)


def text_of(fn: Callable[..., object], *args: object) -> str:
    """Return ``str(fn(*args))``, made printable; or a text that names what it raised.

    Any exception, including KeyboardInterrupt and SystemExit, only means that formatting failed.
    """
    try:
        # The method of `str` itself: a subclass may override it.
        text = str.__str__(str(fn(*args)))
    except BaseException as failure:
        what = kind_of(args[0]) if args else "text"
        return f"<{what} that raised {kind_of(failure)}>"
    return printable(text)


def kind_of(value: object) -> str:
    """Return the name of an object's real type, ignoring its metaclass and ``__class__``."""
    return printable(str.__str__(_QUALNAME.__get__(type(value))).rpartition(".")[2])


def callable_name(fn: object) -> str:
    """Return the name of a function, or of another callable, for logs."""
    return text_of(_callable_name, fn)


def _callable_name(fn: object) -> object:
    while isinstance(fn, functools.partial):
        fn = fn.func
    return getattr(fn, "__qualname__", None) or type(fn).__qualname__


def app_name(app: object) -> str:
    """Return the name of an ASGI or WSGI application: that of the function, or its class."""
    name = getattr(app, "__qualname__", None)
    if not isinstance(name, str):
        return f"{type(app).__module__}.{type(app).__qualname__}"
    return f"{getattr(app, '__module__', '')}.{name}".lstrip(".")


def is_application(frame: FrameType) -> bool:
    """Whether a frame is not of trio, outcome, anyio, the standard library or this package."""
    package = text_of(frame.f_globals.get, "__name__").partition(".")[0]
    return package not in _LIBRARIES and package not in sys.stdlib_module_names


# -- exceptions --------------------------------------------------------------------------------


def traceback_of(error: BaseException) -> TracebackType | None:
    """Return the traceback of an exception, bypassing its class."""
    return cast("TracebackType | None", _ERROR["__traceback__"].__get__(error))


def leaves_of(error: BaseException) -> list[BaseException]:
    """Return the leaves of an exception group, at any depth; for another exception, itself."""
    leaves: list[BaseException] = []
    todo = [error]
    while todo:
        each = todo.pop()
        if issubclass(type(each), BaseExceptionGroup):
            todo += reversed(_CHILDREN.__get__(each))
        else:
            leaves.append(each)
    return leaves


def is_caused_by(error: BaseException, kind: type[BaseException]) -> bool:
    """Whether an exception is of a class, or comes of one that is, however it was wrapped."""
    todo: list[BaseException | None] = list(leaves_of(error))
    for _ in range(_MAX_LINKS):
        if not todo:
            return False
        link = todo.pop()
        if isinstance(link, kind):
            return True
        if link is not None:
            todo += [link.__cause__, link.__context__]
    return False


def add_note(error: BaseException, note: str) -> None:
    """Add a note to an exception, unless its class prevents it."""
    with suppress(BaseException):
        BaseException.add_note(error, note)


def traceback_text(error: BaseException) -> str:
    """Return an exception's traceback, with its causes and contexts, in Python's format.

    Control characters in messages, notes, names and source lines are escaped, so that they cannot
    start a line or control a terminal.
    """
    try:
        shown = TracebackException.from_exception(_stand_in(error, {}, 0))
        for each in _linked(shown):
            for frame in each.stack:
                frame.filename, frame.name = printable(frame.filename), printable(frame.name)
        return "\n".join(map(printable, "".join(shown.format()).rstrip("\n").split("\n")))
    except BaseException as failure:  # linecache calls loaders, which may be the application's
        return f"<traceback of {kind_of(error)} that raised {kind_of(failure)}>"


def _stand_in(error: BaseException, seen: dict[int, BaseException], depth: int) -> BaseException:
    """Return an exception that looks like this one, but runs no code of its class."""
    if id(error) in seen:
        return seen[id(error)]
    kind, text = type(error), text_of(str, error)
    looks = {
        "__module__": text_of(_MODULE.__get__, kind),
        "__qualname__": text_of(_QUALNAME.__get__, kind),
        "__str__": lambda _: text,
    }
    stand_in: BaseException
    if issubclass(kind, BaseExceptionGroup):
        children = [
            _stand_in(child, seen, depth + 1) if depth < _MAX_LINKS else BaseException("...")
            for child in _CHILDREN.__get__(error)
        ]
        stand_in = type("", (BaseExceptionGroup,), looks)("", children)
    else:
        stand_in = type("", (BaseException,), looks)()
    seen[id(error)] = stand_in
    stand_in.__traceback__ = traceback_of(error)
    stand_in.__suppress_context__ = _ERROR["__suppress_context__"].__get__(error)
    for name in ("__cause__", "__context__") if depth < _MAX_LINKS else ():
        link = _ERROR[name].__get__(error)
        if link is not None:
            is_suppressed = stand_in.__suppress_context__
            setattr(stand_in, name, _stand_in(link, seen, depth + 1))
            stand_in.__suppress_context__ = is_suppressed
    with suppress(BaseException):
        notes = getattr(error, "__notes__", None)
        for note in notes if type(notes) is list else ():
            stand_in.add_note(text_of(str, note))
    return stand_in


def _linked(shown: TracebackException) -> Iterator[TracebackException]:
    """Yield it, its causes, its contexts and the members of groups."""
    todo: list[TracebackException | None] = [shown]
    while todo:
        each = todo.pop()
        if each is not None:
            yield each
            todo += [each.__cause__, each.__context__, *(each.exceptions or ())]
