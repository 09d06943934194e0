"""The command, up to the moment of serving."""

from __future__ import annotations

import pytest
from click.testing import CliRunner, Result

import trillium_trio
from trillium_trio.cli._main import _command
from trillium_trio.cli._table import TABLE


def run(*arguments: str, **environment: str) -> Result:
    return CliRunner().invoke(_command, arguments, env=environment)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "Missing argument 'MODULE:ATTR'"),
        (["cli_app:hello", "--no-such-option"], "No such option"),
        (["cli_app:hello", "--port", "x"], "not a valid integer"),
        (["cli_app:hello", "--log-level", "loud"], "--log-level"),
        (["cli_app:server", "--config", "cli_app:config"], "has its own Config: drop --config"),
        (["cli_app:hello", "--header", "nothing"], "--header 'nothing': expected NAME:VALUE"),
        (["cli_app:hello", "--header", "a b: c"], "--header 'a b: c': "),
        (["cli_app:hello", "--app-dir", "nowhere"], "Directory 'nowhere' does not exist"),
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
        (["cli_app:with_default"], "with --factory, it is called to get one"),
        (["cli_app:config"], "give the Config as --config cli_app:config"),
        (
            ["cli_app:hello", "--config", "cli_app:hello"],
            "--config cli_app:hello: expected a Config",
        ),
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


def test_cl_4_help_shows_each_option_and_the_statuses() -> None:
    output = run("--help").stdout
    for each in ("--bind", "--drain-timeout SECONDS", "--no-nodelay", "[default: 30.0]"):
        assert each in output
    assert "TRILLIUM_DRAIN_TIMEOUT" in output
    assert "3\n  could not start" in output or "3 could not start" in output


def test_version_is_the_packages() -> None:
    assert trillium_trio.__version__ in run("--version").stdout


def test_cl_4_each_section_of_the_help_fits_a_screen() -> None:
    sections = run("--help").stdout.split("\n\n")
    named = [each for each in sections if each.partition("\n")[0].removesuffix(":") in TABLE]
    assert len(named) == len(TABLE)
    for section in named:
        lines = section.splitlines()
        assert len(lines) <= 24, lines[0]
        assert max(map(len, lines)) <= 80, lines[0]


def test_cl_9_a_check_runs_the_start_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    result = run("cli_app:prepared", "--check")
    assert result.output.splitlines() == [
        *["init", "entered", "exited", "cli_app:prepared can start"]
    ]
    assert result.exit_code == 0


def test_cl_9_a_check_that_fails_is_status_3() -> None:
    result = run("cli_app:unprepared", "--check")
    assert result.output.endswith("Error: cannot be prepared\n")
    assert result.exit_code == 3


@pytest.mark.parametrize("options", [[], ["--port", "1"], ["--header", "a:b"]])
def test_cl_1_a_function_without_parameters_is_a_factory(options: list[str]) -> None:
    result = run("cli_app:make", "--check", *options)
    assert result.output == "cli_app:make can start\n"


def test_cl_10_a_pidfile_that_cannot_be_written_is_status_3() -> None:
    result = run("cli_app:hello", "--port", "0", "--pidfile", "no/such/folder/pid")
    assert "Error: --pidfile" in result.output
    assert result.output.endswith("no/such/folder/pid: No such file or directory\n")
    assert result.exit_code == 3
