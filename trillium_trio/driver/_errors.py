"""One table: what went wrong, and when  ->  what the peer gets, and how loud it is.

.. code-block:: text

    error                        head unsent                 head sent   log
    ---------------------------  --------------------------  ----------  -------------------
    HttpError                    its status                  cut         INFO, no traceback
    Stalled                      close                       cut         INFO, no traceback
    ClientDisconnected           close                       cut         DEBUG
    group of these only          the first HttpError's       cut         as that
    BodyLengthError              (found only after it)       cut         ERROR, no traceback
    any other Exception          500                         cut         ERROR, traceback
    KeyboardInterrupt, SystemExit: end the server, also inside groups
    Cancelled by the drain       503 with Retry-After        cut         by the drain report

"Cut" means that the peer can tell: a chunked body gets no last chunk, a declared length is not
reached, a body that ends with the connection is reset.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import final

import trio

from .._util import SafeLogger, printable
from ..exceptions import ClientDisconnected, HttpError
from ._wire import Stalled

__all__ = [
    "BodyLengthError",
    "Verdict",
    "find_exit",
    "judge",
    "log_failure",
    "logger",
    "split_cancelled",
]

logger = SafeLogger("trillium_trio.driver")


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
      level: The log level.
      has_traceback: Whether the log shows where it came from.
    """

    status: int | None
    level: int
    has_traceback: bool


_STALLED = Verdict(status=None, level=logging.INFO, has_traceback=False)
_GONE = Verdict(status=None, level=logging.DEBUG, has_traceback=False)
_WRONG_LENGTH = Verdict(status=500, level=logging.ERROR, has_traceback=False)
_BROKEN = Verdict(status=500, level=logging.ERROR, has_traceback=True)


def judge(error: BaseException) -> Verdict:
    """Look an exception up in the table."""
    if isinstance(error, BaseExceptionGroup):
        leaves = list(_leaves(error))
        if all(isinstance(leaf, HttpError | ClientDisconnected) for leaf in leaves):
            # Of two that read the same body, the second learns only that it broke off.
            answers = [leaf for leaf in leaves if isinstance(leaf, HttpError)]
            return judge(answers[0]) if answers else _GONE
        return _BROKEN
    if isinstance(error, HttpError):
        return Verdict(status=error.status, level=logging.INFO, has_traceback=False)
    if isinstance(error, Stalled):
        return _STALLED
    if isinstance(error, ClientDisconnected):
        return _GONE
    if isinstance(error, BodyLengthError):
        return _WRONG_LENGTH
    return _BROKEN


def log_failure(error: BaseException, peer: str, label: str) -> None:
    """Log an exception as the table says, with the peer and what was in progress."""
    verdict = judge(error)
    if logger.isEnabledFor(verdict.level):
        logger.log(
            verdict.level,
            "%s: %s: %s: %s",
            peer,
            label,
            type(error).__name__,
            # One line, also where a handler has put into it what its client sent.
            printable(str(error)),
            exc_info=error if verdict.has_traceback else None,
        )


def find_exit(error: BaseException) -> BaseException | None:
    """Return the KeyboardInterrupt or SystemExit that an exception is or holds."""
    for leaf in _leaves(error):
        if isinstance(leaf, KeyboardInterrupt | SystemExit):
            return leaf
    return None


def split_cancelled(
    error: BaseException,
) -> tuple[BaseException | None, BaseException | None]:
    """Split what left a task into trio's cancellation, which must go on, and all the rest."""
    if isinstance(error, trio.Cancelled):
        return error, None
    if isinstance(error, BaseExceptionGroup):
        return error.split(trio.Cancelled)
    return None, error


def _leaves(error: BaseException) -> list[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        return [leaf for each in error.exceptions for leaf in _leaves(each)]
    return [error]
