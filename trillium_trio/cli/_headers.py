"""Response fields from the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import click

from ..conn import Handler
from ..http import Headers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ..conn import Conn

__all__ = ["DefaultHeaders", "parse_headers"]


def parse_headers(texts: Sequence[str]) -> Headers:
    """Read ``NAME:VALUE`` texts.

    Raises:
      click.UsageError: One is not a header field.
    """
    headers = Headers()
    for text in texts:
        name, colon, value = text.partition(":")
        try:
            if not colon:
                raise ValueError("expected NAME:VALUE")
            headers.append(name.strip(), value.strip())
        except ValueError as error:
            raise click.UsageError(f"--header {text!r}: {error}") from None
    return headers


@final
class DefaultHeaders(Handler):
    """Adds fields to each response that lacks them.

    It comes first, so its `before_send` comes last and sees what the others have set.
    """

    def __init__(self, headers: Headers) -> None:
        self._headers = headers

    async def before_send(self, conn: Conn) -> Conn:
        """Add the fields."""
        present = {name for name in self._headers if name in conn.response_headers}
        for name, value in self._headers.items():
            if name not in present:
                conn.response_headers.append(name, value)
        return conn
