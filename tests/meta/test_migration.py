"""The pages "Coming from ..." name every option of the other server, and only options of ours."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
from typing import TYPE_CHECKING

import click
import pytest
from gunicorn.config import KNOWN_SETTINGS
from gunicorn.config import Config as GunicornConfig
from hypercorn.__main__ import main as hypercorn
from hypercorn.config import Config as HypercornConfig
from uvicorn.main import main as uvicorn

from tests.meta._tree import ROOT
from trillium_trio.cli._table import TABLE

if TYPE_CHECKING:
    from collections.abc import Iterator

OPTION = re.compile(r"(?<![\w-])--?[a-z][\w-]*")


def ours() -> set[str]:
    """Name our options, as they are typed; a value's place, such as FILE, is none of its name."""
    options = [option for options in TABLE.values() for option in options]
    names = {name for each in options for name in [*each.opts, *each.secondary_opts]}
    return names | {"--help", "-h", "--version"}


def of_uvicorn() -> set[str]:
    options = [each for each in uvicorn.params if each.param_type_name == "option"]
    return {name for each in options for name in [*each.opts, *each.secondary_opts]} | {"--help"}


def hypercorn_parser() -> argparse.ArgumentParser:
    """Return its parser, which its main function makes and uses in one go."""
    parsers: list[argparse.ArgumentParser] = []

    def take(parser: argparse.ArgumentParser, *_: object) -> None:
        parsers.append(parser)
        raise SystemExit

    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(SystemExit):
        patch.setattr(argparse.ArgumentParser, "parse_args", take)
        hypercorn(["shop:app"])
    [parser] = parsers
    return parser


def of_hypercorn() -> set[str]:
    """Name the options, and the attributes of its `Config` that no option is named after."""
    parser = hypercorn_parser()
    options = {name for action in parser._actions for name in action.option_strings}
    attributes = {
        name
        for name, value in vars(HypercornConfig).items()
        if not name.startswith("_") and (isinstance(value, type) or not has_code(value))
    }
    return options | {name for name in attributes if f"--{name.replace('_', '-')}" not in options}


def has_code(value: object) -> bool:
    return isinstance(value, property | classmethod) or callable(value)


def of_gunicorn() -> set[str]:
    settings = {each.name for each in KNOWN_SETTINGS}
    return (
        settings
        | {name for each in KNOWN_SETTINGS for name in each.cli or []}
        | {*["--help", "-h", "--version", "-v"]}
    )


SERVERS = {"uvicorn": of_uvicorn(), "hypercorn": of_hypercorn(), "gunicorn": of_gunicorn()}


def page(server: str) -> str:
    return (ROOT / "docs" / "explanation" / f"from-{server}.md").read_text(encoding="utf-8")


def rows(text: str, *headings: str) -> Iterator[list[str]]:
    """Read the rows of the tables whose first heading is one of these."""
    inside = False
    for line in text.splitlines():
        cells = [each.strip() for each in line.strip("|").split("|")]
        if not line.startswith("|"):
            inside = False
        elif inside:
            if set(line) - set("|-"):
                yield cells
        else:
            inside = cells[0] in headings


def names(cell: str) -> set[str]:
    """Read the names off a cell: ``--port``, or an attribute."""
    return {name for code in re.findall(r"`(.+?)`", cell) for name in code.split()[:1]}


@pytest.mark.parametrize("server", SERVERS)
def test_the_page_has_each_option_of_the_other_server(server: str) -> None:
    named = [name for row in rows(page(server), server, "no equivalent") for name in names(row[0])]
    assert sorted(SERVERS[server] - set(named)) == []
    assert sorted(set(named) - SERVERS[server]) == [], "not an option of it"
    assert sorted(name for name in set(named) if named.count(name) > 1) == [], "twice"


@pytest.mark.parametrize("server", SERVERS)
def test_the_page_names_options_of_ours_that_exist(server: str) -> None:
    here = " ".join(row[1] for row in rows(page(server), server))
    assert sorted(set(OPTION.findall(here)) - ours()) == []
    # Outside of that column an option may be of either.
    assert (
        sorted(set(re.findall(r"`(--[a-z][\w-]*)", page(server))) - ours() - SERVERS[server]) == []
    )


@pytest.mark.parametrize("server", SERVERS)
def test_each_row_says_what_it_says_in_each_column(server: str) -> None:
    for row in rows(page(server), server):
        assert len(row) == 3, row
        assert row[1], row
    for row in rows(page(server), "no equivalent"):
        assert len(row) == 2, row
        assert row[1], row


def commands(server: str) -> list[list[str]]:
    """Read the commands off a page, theirs and ours, as a shell would pass them."""
    text = page(server).replace("\\\n", " ")
    return [shlex.split(each) for each in re.findall(r"^\$ (.+)$", text, re.MULTILINE)]


def parse(server: str, arguments: list[str]) -> str:
    """Have a server parse its command; return the application that it would load."""
    match server:
        case "uvicorn":
            # Without converting the values: there are no such files here.
            values, _, _ = uvicorn.make_parser(click.Context(uvicorn)).parse_args(arguments)
            return str(values["app"])
        case "hypercorn":
            return str(hypercorn_parser().parse_args(arguments).application)
        case _:
            return str(GunicornConfig().parser().parse_args(arguments).args[0])


@pytest.mark.parametrize("server", SERVERS)
def test_the_commands_are_those_of_both(server: str) -> None:
    theirs, here = commands(server)
    assert theirs[0] == server
    assert parse(server, theirs[1:]) == "shop:app"
    assert here[:2] == ["trillium-trio", "shop:app"]
    assert {each for each in here if each.startswith("-")} <= ours()


def test_the_checker_reads_tables() -> None:
    text = (
        "| a | here |\n|---|---|\n| `--x`, `-y` | `--z FILE` |\n\n| b | c |\n|---|---|\n| 1 | 2 |\n"
    )
    assert list(rows(text, "a")) == [["`--x`, `-y`", "`--z FILE`"]]
    assert names("`--x`, `-y`, `attribute`") == {"--x", "-y", "attribute"}
    assert list(rows(text, "b")) == [["1", "2"]]
