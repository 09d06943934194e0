"""The reference of the command line is as the table of options has it."""

from __future__ import annotations

from docs.cli_options import PAGE, page
from trillium_trio.cli._table import TABLE


def test_the_reference_has_the_options_of_the_table() -> None:
    text = PAGE.read_text(encoding="utf-8")
    assert text == page(text), "run: python -m docs.cli_options"


def test_the_reference_has_each_option() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for options in TABLE.values():
        for option in options:
            assert f"`{option.opts[0]}`" in text
