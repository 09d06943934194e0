"""The table of what an exception means."""

from __future__ import annotations

import logging

import pytest
import trio

import trillium_trio as tt
from trillium_trio.driver import find_exit, split_cancelled
from trillium_trio.driver._errors import BodyLengthError, judge
from trillium_trio.driver._wire import Stalled


def group(*errors: BaseException) -> BaseExceptionGroup[BaseException]:
    return BaseExceptionGroup("several", errors)


@pytest.mark.parametrize(
    ("error", "status", "level", "has_traceback"),
    [
        (tt.HttpError(418), 418, logging.INFO, False),
        (tt.BadRequest(), 400, logging.INFO, False),
        (tt.ClientDisconnected(), None, logging.DEBUG, False),
        (Stalled(), None, logging.INFO, False),
        (BodyLengthError(1, 2), 500, logging.ERROR, False),
        (KeyError(), 500, logging.ERROR, True),
        (tt.HttpError(200), 500, logging.ERROR, True),
        (tt.HttpError("404"), 500, logging.ERROR, True),  # type: ignore[arg-type]  # on purpose
        (group(tt.BadRequest(), tt.HttpError(418)), 400, logging.INFO, False),
        (group(group(tt.HttpError(418)), tt.BadRequest()), 418, logging.INFO, False),
        (group(tt.BadRequest(), KeyError()), 500, logging.ERROR, True),
        (group(tt.ClientDisconnected(), Stalled()), None, logging.DEBUG, False),
        (group(tt.ClientDisconnected(), tt.BadRequest()), 400, logging.INFO, False),
        (group(tt.ClientDisconnected(), KeyError()), 500, logging.ERROR, True),
    ],
)
def test_judge(error: BaseException, status: int | None, level: int, has_traceback: bool) -> None:
    verdict = judge(error)
    assert (verdict.status, verdict.level, verdict.has_traceback) == (status, level, has_traceback)


def test_find_exit() -> None:
    interrupt, leave = KeyboardInterrupt(), SystemExit(3)
    assert find_exit(interrupt) is interrupt
    assert find_exit(group(KeyError(), group(leave))) is leave
    assert find_exit(group(KeyError())) is None


async def test_split_cancelled() -> None:
    error = KeyError()
    assert split_cancelled(error) == (None, error)
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(trio.Cancelled) as caught:
            await trio.lowlevel.checkpoint()
        cancelled = caught.value
        assert split_cancelled(cancelled) == (cancelled, None)
        assert split_cancelled(group(cancelled, group(cancelled))) == (cancelled, None)
        first, rest = split_cancelled(group(cancelled, group(error)))
        assert first is cancelled
        assert isinstance(rest, BaseExceptionGroup)
        assert rest.exceptions == (error,)
    # Nobody has cancelled what it is raised in now.
    assert split_cancelled(cancelled) == (None, cancelled)
