"""Header fields: ordered, case-insensitive, several values per name (RFC 9110, 5)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import ClassVar, final

from .._util import as_bytes

__all__ = ["Headers", "split_block"]

# RFC 9110, 5.6.2: token.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 9110, 5.5: HTAB, SP, VCHAR and obs-text. Other characters could end the line (CR, LF), end the
# string (NUL), or control a terminal that shows the log (C0, DEL).
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")

# Lower-case name, name as given, value, and the rendered line: None if the field was received,
# because received fields are seldom sent.
_Field = tuple[str, str, str, bytes | None]

# A service sets the same few fields in every response. They are checked and rendered once; longer
# values, such as cookies, seldom repeat and would only fill the cache.
_MAX_CACHED_CHARACTERS = 128


@final
class Headers:
    """The fields of one message, in order.

    Names compare case-insensitively and keep their case. Values are `str`, one latin-1 character
    per byte on the wire, without surrounding whitespace.

    A field is validated when it is set, so that all fields can be sent. Fields that a parser has
    validated come as one block (`from_block`) and are split on first use: most handlers look at few
    request headers or none.

    Args:
      items: The first fields, as a mapping or as pairs.

    Raises:
      ValueError: A name is not a token, or a value has a control character (such as CR, LF or NUL)
        or a character outside latin-1. The message names the field.
      TypeError: A name or value is not a `str`. The message names the field.
    """

    __slots__ = ("_block", "_fields")

    _block: bytes | None
    _fields: list[_Field]

    def __init__(self, items: Headers | Mapping[str, str] | Iterable[tuple[str, str]] = ()) -> None:
        self._block = None
        self._fields = []
        if items != ():  # most start empty, and isinstance with an abstract class is slow
            pairs = items.items() if isinstance(items, (Headers, Mapping)) else items
            for name, value in pairs:
                self.append(name, value)

    @classmethod
    def from_block(cls, block: bytes) -> Headers:
        r"""Wrap header lines that are known to be valid, without splitting them.

        Args:
          block: Lines of ``name ":" OWS value OWS CRLF``, without the empty line after them.
        """
        self = cls.__new__(cls)
        self._block = block
        return self

    def _split(self) -> list[_Field]:
        """Return the fields; split the block if it has not been split yet."""
        block = self._block
        if block is not None:
            fields: list[_Field] = []
            # Not splitlines(): it also breaks at \x85, \x0b, \x1c and others.
            for line in block.decode("latin-1").split("\r\n")[:-1]:
                name, _, value = line.partition(":")
                fields.append((name.lower(), name, value.strip(" \t"), None))
            self._fields = fields
            self._block = None
        return self._fields

    def get(self, name: str) -> str | None:
        """Return the first value of ``name``, or None."""
        key = name.lower()
        for field in self._fields if self._block is None else self._split():
            if field[0] == key:
                return field[2]
        return None

    def get_all(self, name: str) -> list[str]:
        """Return every value of ``name``, in order."""
        key = name.lower()
        fields = self._fields if self._block is None else self._split()
        return [field[2] for field in fields if field[0] == key]

    def set(self, name: str, value: str) -> None:
        """Replace every field called ``name`` with this one, which becomes the last.

        Raises:
          ValueError, TypeError: As for the class. Nothing has changed.
        """
        field = _checked(name, value)
        fields = self._fields if self._block is None else self._split()
        key = field[0]
        for other in fields:
            if other[0] == key:
                self._fields = fields = [each for each in fields if each[0] != key]
                break
        fields.append(field)

    def append(self, name: str, value: str) -> None:
        """Add a field at the end, keeping those of the same name.

        Raises:
          ValueError, TypeError: As for the class. Nothing has changed.
        """
        field = _checked(name, value)
        self._split().append(field)

    def remove(self, name: str) -> None:
        """Remove every field called ``name``, if there is any."""
        key = name.lower()
        self._fields = [field for field in self._split() if field[0] != key]

    def items(self) -> list[tuple[str, str]]:
        """Return (name as given, value) pairs, in order."""
        return [field[1:3] for field in self._split()]

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        """The (name as given, value) pairs as bytes, as sent on the wire."""
        return [(name.encode("ascii"), value.encode("latin-1")) for name, value in self.items()]

    @property
    def raw_lower(self) -> list[tuple[bytes, bytes]]:
        """The (name in lower case, value) pairs as bytes, as ASGI has them."""
        block = self._block
        if block is None:
            return [
                (key.encode("ascii"), value.encode("latin-1")) for key, _, value, _ in self._fields
            ]
        return split_block(block)

    def extend(self, other: Headers) -> None:
        """Add the fields of other headers at the end, as `append` does."""
        self._split().extend(other._split())

    @classmethod
    def from_raw(
        cls, pairs: Iterable[tuple[bytes, bytes]], *, without: frozenset[str] = frozenset()
    ) -> tuple[Headers, list[tuple[str, str]]]:
        """Return headers from the bytes that are to be sent, and what was left out.

        Args:
          pairs: The fields, each of two bytes-like objects.
          without: Lower-case names of fields to leave out. They are returned as (name in lower
            case, value) pairs.

        Raises:
          ValueError, TypeError: As for the class.
        """
        self = cls.__new__(cls)
        self._block = None
        self._fields = fields = []
        left_out: list[tuple[str, str]] = []
        for name, value in pairs:
            field = None
            try:
                if len(value) <= _MAX_CACHED_CHARACTERS:
                    field = _cached_raw(name, value)
            except (TypeError, ValueError):
                pass  # a bytearray, for one, cannot be in the cache; what is wrong fails below
            if field is None:
                field = _check_raw(name, value)
            if field[0] in without:
                left_out.append((field[0], field[2]))
            else:
                fields.append(field)
        return self, left_out

    def extend_raw(
        self, pairs: Iterable[tuple[bytes, bytes]], *, without: frozenset[str] = frozenset()
    ) -> list[tuple[str, str]]:
        """Add fields at the end as `from_raw` reads them, and return what was left out.

        Raises:
          ValueError, TypeError: As for the class. Nothing has changed.
        """
        fields, left_out = Headers.from_raw(pairs, without=without)
        self.extend(fields)
        return left_out

    def render(self) -> bytes:
        """Return the header lines for the wire, without the empty line after them."""
        if self._block is not None:
            return self._block
        return b"".join([field[3] or _render(field[1], field[2]) for field in self._fields])

    def render_unless(self, names: frozenset[str]) -> bytes | None:
        """Return the header lines, or None if a field has one of these lower-case names."""
        lines = b""
        for field in self._fields if self._block is None else self._split():
            if field[0] in names:
                return None
            lines += field[3] or _render(field[1], field[2])
        return lines

    def copy(self) -> Headers:
        """Return independent headers with the same fields."""
        if self._block is not None:
            return Headers.from_block(self._block)
        other = Headers()
        other._fields = self._fields.copy()
        return other

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if value is None:
            raise KeyError(name)
        return value

    def __setitem__(self, name: str, value: str) -> None:
        self.set(name, value)

    def __contains__(self, name: object) -> bool:
        if not isinstance(name, str):
            return False
        key = name.lower()
        # A generator costs three times as much.
        for field in self._fields if self._block is None else self._split():
            if field[0] == key:
                return True
        return False

    def __iter__(self) -> Iterator[str]:
        """Yield each name once, in lower case, in order of first appearance."""
        return iter(dict.fromkeys([field[0] for field in self._split()]))

    def __len__(self) -> int:
        """Return the number of fields; repeated names count each time."""
        if self._block is not None:
            return self._block.count(b"\r\n")
        return len(self._fields)

    def __eq__(self, other: object) -> bool:
        """Whether the fields are equal and in the same order; the case of names does not matter."""
        if not isinstance(other, Headers):
            return NotImplemented
        mine = [(field[0], field[2]) for field in self._split()]
        return mine == [(field[0], field[2]) for field in other._split()]

    __hash__: ClassVar[None] = None  # type: ignore[assignment]  # mutable, as `list` is

    def __repr__(self) -> str:
        return f"Headers({self.items()!r})"


def split_block(block: bytes) -> list[tuple[bytes, bytes]]:
    """Return the (name in lower case, value) pairs of received lines, without making text of them.

    Args:
      block: As for `Headers.from_block`.
    """
    pairs = []
    for line in block.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        pairs.append((name.lower(), value.strip(b" \t")))
    return pairs


def _plain(name: str, value: str) -> tuple[str, str]:
    """Return name and value as plain strings: a subclass of `str` may change after the check.

    Raises:
      TypeError: One is not a string. The message names the header.
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a header must be str, not {type(name).__name__}")
    name = str.__str__(name)
    if not isinstance(value, str):
        raise TypeError(f"the value of {name!r} must be str, not {type(value).__name__}")
    return name, str.__str__(value)


def _checked(name: str, value: str) -> _Field:
    """Return a field that is safe to send."""
    if type(name) is not str or type(value) is not str:
        name, value = _plain(name, value)
    if len(name) + len(value) <= _MAX_CACHED_CHARACTERS:
        return _cached(name, value)
    return _check(name, value)


def _check(name: str, value: str) -> _Field:
    """Return a field that is safe to send.

    Raises:
      ValueError: The name is not a token, or the value has a character that no field may have.
    """
    if _NAME.fullmatch(name) is None:
        raise ValueError(f"header name {name!r} is not a token (RFC 9110, 5.6.2)")
    if _VALUE.fullmatch(value) is None:
        raise ValueError(
            f"value of header {name!r} has a control character or one outside latin-1: {value!r}"
        )
    value = value.strip(" \t")
    return name.lower(), name, value, _render(name, value)


def _render(name: str, value: str) -> bytes:
    return f"{name}: {value}\r\n".encode("latin-1")


def _check_raw(name: bytes, value: bytes) -> _Field:
    """Return a field that is safe to send, from bytes-like objects.

    Raises:
      TypeError, ValueError: As for the class.
    """
    return _check(bytes(as_bytes(name)).decode("latin-1"), bytes(as_bytes(value)).decode("latin-1"))


_cached = lru_cache(maxsize=512)(_check)
_cached_raw = lru_cache(maxsize=512)(_check_raw)
