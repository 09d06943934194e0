"""Converters: which text a parameter matches, and the value that it becomes."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Protocol, final
from uuid import UUID

__all__ = ["CONVERTERS", "Converter"]

_FLOAT = re.compile(r"[0-9]+(?:\.[0-9]+)?")
_UUID = re.compile(r"[0-9a-fA-F]{8}(?:-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")


class Converter(Protocol):
    """Converts the text of a parameter to a value, and back.

    Attributes:
      rank: Of several converters at the same place, those of a lower rank are tried first: uuid
        has 10, int 20, float 30, str 100.
    """

    rank: int

    def parse(self, text: str, /) -> Any:  # Any: the handler knows which converter it named
        """Convert the decoded, never empty text.

        Raises:
          ValueError: The text does not match; other routes are tried.
        """

    def format(self, value: Any, /) -> str:  # Any: as above
        """Convert a value to text, not percent-encoded.

        Raises:
          ValueError: No text stands for this value.
        """


@final
class _Str:
    rank = 100

    def parse(self, text: str) -> str:
        return text

    def format(self, value: object) -> str:
        return str(value)


@final
class _Int:
    rank = 20

    def parse(self, text: str) -> int:
        # `int` alone also takes signs, spaces, underscores and other scripts' digits.
        if not (text.isascii() and text.isdecimal()):
            raise ValueError(f"{text!r} is not a whole number")
        return int(text)

    def format(self, value: int) -> str:
        text = str(int(value))
        self.parse(text)
        return text


@final
class _Float:
    rank = 30

    def parse(self, text: str) -> float:
        if _FLOAT.fullmatch(text) is None:
            raise ValueError(f"{text!r} is not a number")
        return float(text)

    def format(self, value: float) -> str:
        # Never in scientific notation, which `parse` does not take.
        text = format(Decimal(repr(float(value))), "f")
        self.parse(text)
        return text


@final
class _Uuid:
    rank = 10

    def parse(self, text: str) -> UUID:
        if _UUID.fullmatch(text) is None:
            raise ValueError(f"{text!r} is not a UUID")
        return UUID(text)

    def format(self, value: UUID | str) -> str:
        text = str(value)
        self.parse(text)
        return text


@final
class Path:
    """The rest of the path. Only the trie's `rest` matches it, so `parse` is never called."""

    rank = 200

    def parse(self, text: str) -> str:
        """Return the text."""
        return text

    def format(self, value: object) -> str:
        """Return the text."""
        return str(value)


CONVERTERS: dict[str, Converter] = {
    "str": _Str(),
    "int": _Int(),
    "float": _Float(),
    "uuid": _Uuid(),
    "path": Path(),
}
"""Those that a template can name without registering them."""
