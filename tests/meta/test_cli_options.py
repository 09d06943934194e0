"""The reference and the tests of the command line have each option of its table."""

from __future__ import annotations

import ast

from docs.cli_options import PAGE, page
from tests.e2e.test_cli_options import other_values
from tests.meta._tree import TESTS, parse
from trillium_trio.cli._table import TABLE


def words_of_commands(tree: ast.AST) -> set[str]:
    """Find the words of commands in a test module: strings in lists and among arguments."""
    elements: list[ast.expr] = []
    for node in ast.walk(tree):
        match node:
            case ast.Call(args=found) | ast.List(elts=found) | ast.Tuple(elts=found):
                elements += found
    return {
        each.value
        for each in elements
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }


def test_the_reference_has_the_options_of_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run: python -m docs.cli_options"


def test_the_reference_has_each_option() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for options in TABLE.values():
        for option in options:
            assert f"`{option.opts[0]}`" in text


def test_each_option_is_tried_through_the_real_command_line() -> None:
    words = {
        word for path in (TESTS / "e2e").glob("*.py") for word in words_of_commands(parse(path))
    }
    # The options of fields are given in one loop.
    words |= {f"--{name.replace('_', '-')}" for name in other_values()}
    untried = [
        option.opts[0]
        for options in TABLE.values()
        for option in options
        if words.isdisjoint([*option.opts, *option.secondary_opts])
    ]
    assert untried == []


def test_the_checker_reads_commands() -> None:
    tree = ast.parse('start("a", *["--port", "0"])\nassert line == "--no"\n# "--nor"\n')
    assert words_of_commands(tree) == {"a", "--port", "0"}
