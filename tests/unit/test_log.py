"""Text of foreign objects, and a log whose lines cannot be forged."""

from __future__ import annotations

import functools
import io
import logging
import traceback
from typing import TYPE_CHECKING

import pytest

from trillium_trio._log import SafeLogger, callable_name, kind_of, text_of, traceback_text

if TYPE_CHECKING:
    from collections.abc import Iterator

DIRT = "a\r\nERROR forged\x1b[2J\u202e"
CLEAN = r"a\r\nERROR forged\x1b[2J\u202e"


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def dirty() -> BaseException:
    """Return a group with a cause, a context, notes, and dirt in each of them."""
    inner = KeyError(DIRT)
    inner.__context__ = raised(ValueError(f"context {DIRT}"))
    group = ExceptionGroup(f"group {DIRT}", [raised(inner)])
    group.__cause__ = raised(OSError(f"cause {DIRT}"))
    group.add_note(f"note {DIRT}")
    try:
        exec(compile("\nraise group", f"file {DIRT}", "exec"), {"group": group})
    except ExceptionGroup as caught:
        return caught
    raise AssertionError


class Stubborn(logging.Formatter):
    """A formatter of somebody's own."""

    def format(self, record: logging.LogRecord) -> str:
        return f"mine: {super().format(record)}"


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Stubborn("%(filename)s:%(funcName)s:%(message)s"))
    logger = logging.getLogger("trillium_trio.test")
    logger.addHandler(handler)
    yield stream
    logger.removeHandler(handler)


def test_no_traceback_forges_a_line(written: io.StringIO, caplog: pytest.LogCaptureFixture) -> None:
    error = dirty()
    SafeLogger("trillium_trio.test").error("failed", exc_info=error)
    for text in (written.getvalue(), caplog.text):
        for what in ("group", "cause", "context", "note", "file"):
            assert f"{what} {CLEAN}" in text
        assert not any(line.startswith("ERROR forged") for line in text.splitlines())
        assert "\x1b" not in text
        assert "\r" not in text
    # The line is the caller's.
    name = "test_no_traceback_forges_a_line"
    assert written.getvalue().startswith(f"mine: test_log.py:{name}:failed\n")
    [record] = caplog.records
    assert record.exc_info == (type(error), error, error.__traceback__)


def test_a_traceback_is_that_of_the_standard_library_where_nothing_is_escaped() -> None:
    def fail(times: int) -> None:
        if times:
            fail(times - 1)
        raise ValueError("plain")

    def chained() -> None:
        try:
            fail(9)
        except ValueError as error:
            first = error
        try:
            raise KeyError("a group") from first
        except KeyError as error:
            group = ExceptionGroup("several", [error, ExceptionGroup("in it", [OSError(2, "x")])])
            raise group  # noqa: B904  # its context is wanted

    with pytest.raises(ExceptionGroup) as caught:
        chained()
    expected = "".join(traceback.format_exception(caught.value)).rstrip("\n")
    assert traceback_text(caught.value) == expected


def test_a_chain_of_any_length_is_followed_so_far() -> None:
    error = raised(ValueError("first"))
    for _ in range(3000):
        later = ValueError("later")
        later.__context__ = error
        error = later
    text = traceback_text(error)
    assert text.endswith("ValueError: later")
    assert len(text) < 100_000


def test_a_cycle_ends() -> None:
    first, second = ValueError("first"), ValueError("second")
    first.__cause__, second.__cause__ = second, first
    assert "first" in traceback_text(first)


def test_a_handler_of_logs_that_raises_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    class Odd(BaseException):
        def __str__(self) -> str:
            raise self

    class Broken(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raise Odd

    handler, logger = Broken(), logging.getLogger("trillium_trio.test")
    logger.addHandler(handler)
    try:
        SafeLogger("trillium_trio.test").error("hello")
    finally:
        logger.removeHandler(handler)
    assert "<Odd that raised Odd>" in capsys.readouterr().err


def test_text_and_names_of_what_may_do_anything() -> None:
    class Meta(type):
        def __getattribute__(cls, name: str) -> object:
            raise RuntimeError

    class Odd(metaclass=Meta):
        def __str__(self) -> str:
            raise SystemExit

        def __getattr__(self, name: str) -> object:
            raise KeyboardInterrupt

    assert kind_of(Odd()) == "Odd"
    assert text_of(str, Odd()) == "<Odd that raised SystemExit>"
    assert text_of(lambda: "\x1b") == r"\x1b"
    assert callable_name(Odd()) == "<Odd that raised KeyboardInterrupt>"
    assert callable_name(functools.partial(raised)) == "raised"
