"""One table: the error, and when it is raised  ->  what the peer gets, and the log level.

.. code-block:: text

    error                        head unsent                 head sent   log
    ---------------------------  --------------------------  ----------  -------------------
    HttpError                    its status and fields       cut         INFO, no traceback
    Stalled                      reset                       reset       INFO, no traceback
    ClientDisconnected           close                       cut         DEBUG
    group of these only          as the first HttpError      cut         the same
    BodyLengthError              (found only after it)       cut         ERROR, no traceback
    any other Exception          500                         cut         ERROR, traceback
    KeyboardInterrupt, SystemExit: end the server, also inside groups
    Cancelled by the drain       503 with Retry-After        cut         by the drain report

"Cut" means that the peer notices: a chunked body gets no last chunk, a declared length is not
reached, a body that ends with the connection is reset. "Reset" is done where it is raised: what the
peer has not read must not stay in the kernel.

An exception may come from the application, and its methods and properties may do anything. So its
type is checked, not `isinstance`, which also asks the object. An HttpError with an invalid status
is any other Exception.
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

# Another instance, or this one restarted, is usually available at once.
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
      status: The status to answer with while the head is unsent; None: close without an answer.
      headers: The fields of that answer.
      body: The body of that answer; None: the reason phrase.
      level: The log level.
      has_traceback: Whether the log shows the traceback.
    """

    status: int | None
    level: int
    has_traceback: bool
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


_STALLED = Verdict(status=None, level=logging.INFO, has_traceback=False)
_GONE = Verdict(status=None, level=logging.DEBUG, has_traceback=False)
_WRONG_LENGTH = Verdict(status=500, level=logging.ERROR, has_traceback=False)
_BROKEN = Verdict(status=500, level=logging.ERROR, has_traceback=True)


def judge(error: BaseException) -> Verdict:
    """Look an exception up in the table."""
    leaves = leaves_of(error)
    is_group = _is_a(error, BaseExceptionGroup)
    if is_group and all(_is_a(leaf, HttpError | ClientDisconnected) for leaf in leaves):
        # Of two tasks that read the same body, the second only sees that it was incomplete.
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
            # One line, even if a handler has included data of its client.
            text_of(str, error),
            _place_of(error) if verdict.has_traceback else "",
            exc_info=error if verdict.has_traceback else None,
        )


def shutting_down() -> ServiceUnavailable:
    """Return the error that answers a request that is cut before its response began."""
    return ServiceUnavailable("shutting down", retry_after=_RETRY_AFTER_SECONDS)


def find_exit(error: BaseException) -> BaseException | None:
    """Return the KeyboardInterrupt or SystemExit that an exception is or contains."""
    for leaf in leaves_of(error):
        if _is_a(leaf, KeyboardInterrupt | SystemExit):
            return leaf
    return None


def split_cancelled(
    error: BaseException,
) -> tuple[BaseException | None, BaseException | None]:
    """Split a task's exception into trio's cancellation, which must be re-raised, and the rest.

    Call it in the task, inside the scopes that may be cancelled. A `trio.Cancelled` while none of
    them is cancelled was stored elsewhere, and would end the server: it belongs to the rest.
    """
    leaves = leaves_of(error)
    cancelled = [leaf for leaf in leaves if _is_a(leaf, trio.Cancelled)]
    if not cancelled or trio.current_effective_deadline() > -inf:
        return None, error
    rest = [leaf for leaf in leaves if not _is_a(leaf, trio.Cancelled)]
    if not rest:
        # All mean the same, so one is enough.
        return cancelled[0], None
    # Not with the group's `split`, which the application may override.
    group = BaseExceptionGroup("beside a cancellation", rest)
    return cancelled[0], group.with_traceback(traceback_of(error))


def _place_of(error: BaseException) -> str:
    """Return where the application raised an exception, as `` (in function, file:line)``.

    That is its innermost application frame. Empty if it has none.
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
    """Return the verdict on an HttpError, or None if it cannot be sent."""
    try:
        status = index(error.status)  # type: ignore[attr-defined]  # may raise
        headers = tuple(Headers(error.headers).items())  # type: ignore[attr-defined]  # the same
        body = error.body  # type: ignore[attr-defined]  # the same
    except BaseException:  # properties of the application
        return None
    if not 400 <= status <= 599 or (body is not None and type(body) is not bytes):
        return None
    return Verdict(
        status=status, level=logging.INFO, has_traceback=False, headers=headers, body=body
    )
