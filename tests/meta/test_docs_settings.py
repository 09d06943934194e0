"""The tables of limits and timeouts name every setting with its default."""

from __future__ import annotations

import re
from dataclasses import fields

import trillium_trio as tt
from tests.meta._tree import ROOT

PAGE = (ROOT / "docs" / "how-to" / "limits-and-timeouts.md").read_text(encoding="utf-8")
UNITS = {"s": 1, "KiB": 1024, "MiB": 1024**2, "bytes/s": 1, "": 1}
DRAIN = (
    "drain_delay",
    "keepalive_grace",
    "drain_timeout",
    "drain_spread",
    "cleanup_timeout",
    "report_interval",
)


def shown(heading: str) -> dict[str, float | None]:
    """Read the first two columns of the table below a heading: settings, and their defaults."""
    section = PAGE.partition(f"## {heading}")[2].partition("\n## ")[0]
    found: dict[str, float | None] = {}
    for names, defaults in re.findall(r"^\| (`.+?`) \| (.+?) \|", section, re.MULTILINE):
        # After a colon or a semicolon: what the value means, or where it differs.
        values = re.split(", ", re.split("[:;]", defaults)[0])
        for name, value in zip(re.findall(r"`(\w+)`", names), values, strict=True):
            number, _, unit = value.partition(" ")
            found[name] = None if number == "None" else float(number) * UNITS[unit]
    return found


def test_the_table_of_a_connection_has_every_default() -> None:
    settings = {each.name: getattr(tt.HttpConfig(), each.name) for each in fields(tt.HttpConfig)}
    # The one that is neither a limit nor a timeout.
    del settings["server_header"]
    assert shown("One connection") == settings


def test_the_table_of_the_drain_has_every_default() -> None:
    assert shown("The drain") == {name: getattr(tt.config(), name) for name in DRAIN}
