"""The command, up to the moment of serving."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

import trillium_trio
from trillium_trio.cli._main import _command


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(_command, arguments, env=environment)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument 'MODULE:ATTR'"),
        (["cli_app:hello", "--no-such-option"], "No such option"),
        (["cli_app:hello", "--port", "x"], "not a valid integer"),
        (["cli_app:hello", "--log-level", "loud"], "--log-level"),
        (["cli_app:server", "--port", "1"], "its own settings, which --port cannot change"),
        (["cli_app:make", "--factory", "--bind", "fd:3"], "--bind cannot change"),
    ],
)
def test_usage_is_status_2(arguments: list[str], complaint: str) -> None:
    result = run(*arguments)
    assert complaint in result.output
    assert result.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (["cli_app:nothing"], "cli_app has no 'nothing'"),
        (["cli_app:number"], "cli_app:number: 1 is not a handler"),
        (["cli_app:plain"], "or wrap it as sync_handler(plain)"),
        (["cli_app:make"], "with --factory, it is called to get one"),
        (["cli_app:hello", "--port", "65536"], "Config.port must be at most 65535"),
        (["cli_app:hello", "--host", "./no/such/folder"], "cannot listen on unix:./no/such/folder"),
        (["cli_app:hello", "--bind", "fd:9999"], "cannot listen on fd:9999"),
    ],
)
def test_what_cannot_start_is_one_line_and_status_3(arguments: list[str], line: str) -> None:
    result = run(*arguments)
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1
    assert line in result.output
    assert result.exit_code == 3


def test_an_environment_that_makes_no_sense_is_status_3() -> None:
    result = run("cli_app:hello", PORT="http")
    assert result.output == "Error: PORT in the environment must be 0 to 65535, not 'http'\n"
    assert result.exit_code == 3


def test_help_shows_each_option_and_the_statuses() -> None:
    output = run("--help").stdout
    for each in ("--bind", "--drain-timeout SECONDS", "--no-nodelay", "[default: 30.0]"):
        assert each in output
    assert "TRILLIUM_DRAIN_TIMEOUT" in output
    assert "3\n  could not start" in output or "3 could not start" in output


def test_version_is_the_packages() -> None:
    assert trillium_trio.__version__ in run("--version").stdout
