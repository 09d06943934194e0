"""Writes the options into ``docs/reference/cli.md``: ``python -m docs.cli_options``."""

from __future__ import annotations

from pathlib import Path

import click

from trillium_trio.cli._table import TABLE, full_text

PAGE = Path(__file__).parent / "reference" / "cli.md"
BEGIN = "<!-- options: written by python -m docs.cli_options -->\n"
END = "<!-- end of options -->\n"


def render() -> str:
    """Return one table for each section."""
    parts: list[str] = []
    for section, options in TABLE.items():
        parts += [f"### {section}\n", "| option | default | what it does |", "|---|---|---|"]
        parts += [_row(option) for option in options]
        parts.append("")
    return "\n".join(parts)


def page(text: str) -> str:
    """Return the page with its tables written anew."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n{render()}\n{END}{after}"


def _row(option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in (*option.opts, *option.secondary_opts))
    metavar = "" if option.is_flag else f" {option.make_metavar(click.Context(click.Command('')))}"
    text = full_text(option)
    default = _default(option)
    if "[default: " in text:
        text, _, default = text.partition("[default: ")
        default = default.removesuffix("]")
    cells = (names + metavar.replace("|", "\\|"), default, text.strip())
    return f"| {' | '.join(cells)} |"


def _default(option: click.Option) -> str:
    if isinstance(option.show_default, str):
        return option.show_default
    if not option.show_default:
        return ""
    if option.is_flag:
        names = option.opts if option.default else option.secondary_opts
        return f"`{names[0]}`"
    return f"{option.default:g}" if isinstance(option.default, float) else str(option.default)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
