"""The Vary field: which request fields a response depends on (RFC 9110, 12.5.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._headers import Headers

__all__ = ["add_vary"]


def add_vary(headers: Headers, name: str) -> None:
    """Add the name of a request field to Vary, unless it is there or is ``*``."""
    fields = headers.get_all("vary")
    names = {each.strip(" \t").lower() for field in fields for each in field.split(",")}
    if "*" not in names and name.lower() not in names:
        headers.set("vary", ", ".join([*fields, name]))
