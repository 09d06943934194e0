"""The log on standard error."""

from __future__ import annotations

import io
import json
import logging
import re
import sys
from typing import TYPE_CHECKING

import click
import pytest

from trillium_trio.cli._logging import (
    JsonFormatter,
    PlainFormatter,
    configure_from_file,
    log_to_stderr,
)

if TYPE_CHECKING:
    from pathlib import Path


def record(message: str, level: int = logging.INFO, **extra: object) -> logging.LogRecord:
    values = {"msg": message, "levelno": level, "levelname": logging.getLevelName(level)}
    return logging.makeLogRecord({"name": "shop", "created": 0.0625, **values, **extra})


def test_cl_6_a_json_record_is_one_line() -> None:
    line = JsonFormatter().format(record("a\nb", logging.WARNING, order=7, who=ValueError("x\ny")))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "1970-01-01T00:00:00.062Z",
        "level": "warning",
        "logger": "shop",
        "message": "a\nb",
        "order": 7,
        "who": "x\\ny",
    }


def test_cl_6_a_json_record_of_an_exception_has_its_traceback() -> None:
    try:
        raise ZeroDivisionError("by zero")
    except ZeroDivisionError:
        line = JsonFormatter().format(record("failed", exc_info=sys.exc_info()))
    assert json.loads(line)["traceback"].endswith("ZeroDivisionError: by zero")


def test_cl_6_an_extra_field_cannot_replace_what_a_record_is() -> None:
    found = json.loads(JsonFormatter().format(record("true", logger="false", time="never")))
    assert (found["logger"], found["time"][:4], found["message"]) == ("shop", "1970", "true")


@pytest.mark.parametrize(
    ("level", "shown"), [(logging.INFO, "INFO"), (logging.ERROR, "\033[31mERROR\033[0m")]
)
def test_cl_6_the_level_has_its_colour_on_a_terminal(level: int, shown: str) -> None:
    text = record("ERROR", level)
    coloured = PlainFormatter(has_date=True, is_coloured=True).format(text)
    assert coloured.endswith(f" {shown} shop: ERROR")
    assert "\033" not in PlainFormatter(has_date=True, is_coloured=False).format(text)


def test_su_24_a_worker_has_its_slot_and_its_process_id() -> None:
    text = PlainFormatter(has_date=True, is_coloured=True, slot=3).format(
        record("sold out", logging.ERROR, process=4711)
    )
    assert text.endswith(" \033[31mERROR\033[0m [3:4711] shop: sold out")
    line = json.loads(JsonFormatter(slot=3).format(record("x", process=4711, worker="other")))
    assert (line["worker"], line["pid"]) == (3, 4711)
    assert "worker" not in json.loads(JsonFormatter().format(record("x")))


@pytest.mark.parametrize("is_terminal", [True, False])
def test_cl_6_a_terminal_gets_the_time_of_day(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool
) -> None:
    monkeypatch.setattr(sys, "stderr", stream := Terminal() if is_terminal else io.StringIO())
    log_to_stderr("info", "plain")
    logging.getLogger("shop").info("sold out")
    date = "" if is_terminal else r"\d{4}-\d\d-\d\d "
    milliseconds = "" if is_terminal else r",\d{3}"
    line = rf"{date}\d\d:\d\d:\d\d{milliseconds} INFO shop: sold out\n"
    assert re.fullmatch(line, stream.getvalue())


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("variables", "colour", "line"),
    [
        ({"TERM": "xterm"}, True, True),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
        ({"TERM": "dumb"}, False, False),
        ({}, False, False),
    ],
)
def test_cl_6_colour_is_for_terminals_that_have_it(
    monkeypatch: pytest.MonkeyPatch, variables: dict[str, str], colour: bool, line: bool
) -> None:
    for name in ("TERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "stderr", terminal := Terminal())
    live = log_to_stderr("info", "plain")
    logging.getLogger("shop").error("sold out")
    assert ("\033[31m" in terminal.getvalue()) is colour
    assert (live is not None) is line


DICTIONARY = {
    "version": 1,
    "formatters": {"mine": {"format": "mine %(message)s"}},
    "handlers": {"err": {"class": "logging.StreamHandler", "formatter": "mine"}},
    "root": {"level": "WARNING", "handlers": ["err"]},
}
INI = """
[loggers]
keys=root
[handlers]
keys=err
[formatters]
keys=mine
[logger_root]
level=WARNING
handlers=err
[handler_err]
class=StreamHandler
formatter=mine
[formatter_mine]
format=mine %(message)s
"""


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("log.json", json.dumps(DICTIONARY)),
        ("log.yaml", json.dumps(DICTIONARY)),  # JSON is YAML
        ("log.yml", "version: 1\nroot:\n  level: WARNING\n"),
        ("log.ini", INI),
    ],
)
def test_cl_6_a_file_sets_up_logging(application: Path, name: str, text: str) -> None:
    existing = logging.getLogger("trillium_trio.cli")
    (application / name).write_text(text, encoding="utf-8")
    configure_from_file(str(application / name))
    assert logging.getLogger().level == logging.WARNING
    assert not existing.disabled
    if "mine" in text:
        [handler] = logging.getLogger().handlers
        assert handler.format(record("hello")) == "mine hello"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("log.json", "{", "Expecting property name"),
        ("log.json", "[]", "expected a dictionary"),
        ("log.json", '{"version": 1, "root": {"handlers": ["gone"]}}', "gone"),
        ("log.yaml", ":\n- :\n a", "expected"),
        ("log.ini", "nothing", "log.ini"),
    ],
)
def test_cl_6_a_file_that_cannot_be_used_is_named(
    application: Path, name: str, text: str, complaint: str
) -> None:
    (application / name).write_text(text, encoding="utf-8")
    with pytest.raises(click.UsageError, match=complaint) as caught:
        configure_from_file(str(application / name))
    assert caught.value.message.startswith("--log-config ")
