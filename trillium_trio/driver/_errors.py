"""One table: what went wrong, and when  ->  what the peer gets, and how loud it is.

.. code-block:: text

    error                        head unsent                 head sent   log
    ---------------------------  --------------------------  ----------  -------------------
    HttpError                    its status and fields       cut         INFO, no traceback
    Stalled                      reset                       reset       INFO, no traceback
    ClientDisconnected           close                       cut         DEBUG
    group of these only          the first HttpError's       cut         as that
    BodyLengthError              (found only after it)       cut         ERROR, no traceback
    any other Exception          500                         cut         ERROR, traceback
    KeyboardInterrupt, SystemExit: end the server, also inside groups
    Cancelled by the drain       503 with Retry-After        cut         by the drain report

"Cut" means that the peer can tell: a chunked body gets no last chunk, a declared length is not
reached, a body that ends with the connection is reset. "Reset" is done where it is raised: what the
peer has not taken must not stay in the kernel.

An exception comes from the application, and its methods and properties may do anything. What it is,
its type says, not `isinstance`, which asks the object as well. An HttpError whose status is none is
any other Exception.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from math import inf
from operator import index
from traceback import walk_tb
from typing import TYPE_CHECKING, final

import trio

from .._log import SafeLogger, is_application, kind_of, leaves_of, text_of, traceback_of
from ..exceptions import ClientDisconnected, HttpError, ServiceUnavailable
from ..http import Headers
from ._wire import Stalled

if TYPE_CHECKING:
    from types import UnionType

__all__ = [
    "BodyLengthError",
    "Verdict",
    "find_exit",
    "judge",
    "log_failure",
    "logger",
    "shutting_down",
    "split_cancelled",
]

logger = SafeLogger("trillium_trio.driver")

# Another instance, or this one restarted, is usually there at once.
_RETRY_AFTER_SECONDS = 1


@final
class BodyLengthError(Exception):
    """A response body is not as long as it was declared to be."""

    def __init__(self, sent: int, length: int) -> None:
        super().__init__(f"the body gave {sent} bytes where {length} were declared")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What an exception means for the peer and the log.

    Attributes:
      status: What to answer with while the head is unsent; None: nothing, close.
      headers: The fields of that answer.
      level: The log level.
      has_traceback: Whether the log shows where it came from.
    """

    status: int | None
    level: int
    has_traceback: bool
    headers: tuple[tuple[str, str], ...] = ()


_STALLED = Verdict(status=None, level=logging.INFO, has_traceback=False)
_GONE = Verdict(status=None, level=logging.DEBUG, has_traceback=False)
_WRONG_LENGTH = Verdict(status=500, level=logging.ERROR, has_traceback=False)
_BROKEN = Verdict(status=500, level=logging.ERROR, has_traceback=True)


def judge(error: BaseException) -> Verdict:
    """Look an exception up in the table."""
    leaves = leaves_of(error)
    is_group = _is_a(error, BaseExceptionGroup)
    if is_group and all(_is_a(leaf, HttpError | ClientDisconnected) for leaf in leaves):
        # Of two that read the same body, the second learns only that it broke off.
        answers = [leaf for leaf in leaves if _is_a(leaf, HttpError)]
        return judge(answers[0]) if answers else _GONE
    if _is_a(error, HttpError):
        return _answer_of(error) or _BROKEN
    if _is_a(error, Stalled):
        return _STALLED
    if _is_a(error, ClientDisconnected):
        return _GONE
    if _is_a(error, BodyLengthError):
        return _WRONG_LENGTH
    return _BROKEN


def log_failure(error: BaseException, peer: str, label: str) -> None:
    """Log an exception as the table says, with the peer and what was in progress."""
    verdict = judge(error)
    if logger.isEnabledFor(verdict.level):
        logger.log(
            verdict.level,
            "%s: %s: %s: %s%s",
            peer,
            label,
            kind_of(error),
            # One line, also where a handler has put into it what its client sent.
            text_of(str, error),
            _place_of(error) if verdict.has_traceback else "",
            exc_info=error if verdict.has_traceback else None,
        )


def shutting_down() -> ServiceUnavailable:
    """Return what a request is answered with that is cut before its response began."""
    return ServiceUnavailable("shutting down", retry_after=_RETRY_AFTER_SECONDS)


def find_exit(error: BaseException) -> BaseException | None:
    """Return the KeyboardInterrupt or SystemExit that an exception is or holds."""
    for leaf in leaves_of(error):
        if _is_a(leaf, KeyboardInterrupt | SystemExit):
            return leaf
    return None


def split_cancelled(
    error: BaseException,
) -> tuple[BaseException | None, BaseException | None]:
    """Split what left a task into trio's cancellation, which must go on, and all the rest.

    It is called in the task, inside the scopes that may be cancelled. A `trio.Cancelled` that comes
    while none of them is was kept from elsewhere, and would end the server: it belongs to the rest.
    """
    leaves = leaves_of(error)
    cancelled = [leaf for leaf in leaves if _is_a(leaf, trio.Cancelled)]
    if not cancelled or trio.current_effective_deadline() > -inf:
        return None, error
    rest = [leaf for leaf in leaves if not _is_a(leaf, trio.Cancelled)]
    if not rest:
        # All the same order to end: one is as good as all.
        return cancelled[0], None
    # Not by its `split`, which may be the application's.
    group = BaseExceptionGroup("beside a cancellation", rest)
    return cancelled[0], group.with_traceback(traceback_of(error))


def _place_of(error: BaseException) -> str:
    """Return where the application raised an exception, as `` (in function, file:line)``.

    That is its innermost frame outside trio and this package. Empty if it has none.
    """
    for each in (leaves_of(error)[0], error):
        frames = [
            (frame.f_code, line)
            for frame, line in walk_tb(traceback_of(each))
            if is_application(frame)
        ]
        if frames:
            code, line = frames[-1]
            file = text_of(os.path.basename, code.co_filename)
            return f" (in {text_of(str, code.co_name)}, {file}:{line})"
    return ""


def _is_a(error: BaseException, kind: type[BaseException] | UnionType) -> bool:
    return issubclass(type(error), kind)


def _answer_of(error: BaseException) -> Verdict | None:
    """Return the verdict on an HttpError, or None if it has no answer that can be sent."""
    try:
        status = index(error.status)  # type: ignore[attr-defined]  # or it has none
        headers = tuple(Headers(error.headers).items())  # type: ignore[attr-defined]  # the same
    except BaseException:  # properties of the application
        return None
    if not 400 <= status <= 599:
        return None
    return Verdict(status=status, level=logging.INFO, has_traceback=False, headers=headers)
