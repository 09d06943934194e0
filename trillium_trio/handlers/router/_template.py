"""Templates such as ``/users/{id:int}``: their grammar, and the paths made from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, final
from urllib.parse import quote, unquote_to_bytes

from ...exceptions import ConfigError
from ._converters import CONVERTERS, Path

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ._converters import Converter

__all__ = ["Param", "Segment", "Template", "Values", "decode_segments"]

_PARAM = re.compile(r"\{([^{}]*)\}")
_ENCODED = re.compile(r"%[0-9A-Fa-f]{2}")
_BAD_PERCENT = re.compile(r"%(?![0-9A-Fa-f]{2})")
_SLASH = re.compile(r"%2[Ff]")
_DOTS = frozenset({".", ".."})
# RFC 3986, 3.3: what a segment may contain unencoded, besides letters, digits and "-._~".
_SAFE = "!$&'()*+,;=:@"

Values: TypeAlias = "list[Any]"
"""Converted values. Any: each converter has its own type."""

STR = CONVERTERS["str"]


def decode_segments(path: str) -> list[str] | None:
    """Split a path into its segments, and decode each once.

    Returns:
      The segments, those of ``/a/`` being ``a`` and the empty one. None for a path that no route
      matches: it has a segment ``.`` or ``..``, a NUL, or is not percent-encoded UTF-8.
    """
    if path[:1] != "/":
        return None  # `*`, or the empty path of CONNECT
    if "%" not in path:
        segments = path[1:].split("/")
        return segments if "/." not in path or _DOTS.isdisjoint(segments) else None
    if "%00" in path or _BAD_PERCENT.search(path):
        return None
    try:
        if _SLASH.search(path):
            segments = [unquote_to_bytes(each).decode() for each in path[1:].split("/")]
        else:
            # The same at once, because without an encoded slash there is no other slash.
            segments = unquote_to_bytes(path).decode()[1:].split("/")
    except UnicodeDecodeError:
        return None
    return segments if _DOTS.isdisjoint(segments) else None


@final
@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of a template.

    Attributes:
      name: An identifier.
      kind: The name of its converter.
      converter: The converter.
    """

    name: str
    kind: str
    converter: Converter


@final
class Segment:
    """One segment of a template: text, parameters, or both.

    Args:
      literals: The text around the parameters, one more than there are parameters.
      params: The parameters.
    """

    __slots__ = ("literals", "params")

    def __init__(self, literals: tuple[str, ...], params: tuple[Param, ...]) -> None:
        self.literals = literals
        self.params = params

    @property
    def text(self) -> str | None:
        """The text of a segment without parameters, else None."""
        return None if self.params else self.literals[0]

    @property
    def is_whole(self) -> bool:
        """Whether it is one parameter and nothing else."""
        return self.literals == ("", "")

    @property
    def is_plain(self) -> bool:
        """Whether it is one ``str`` parameter and nothing else."""
        return self.is_whole and self.params[0].converter is STR

    @property
    def is_rest(self) -> bool:
        """Whether it is a ``path`` parameter."""
        return self.is_whole and isinstance(self.params[0].converter, Path)

    @property
    def order(self) -> tuple[object, ...]:
        """The order in which segments with parameters are tried at the same place.

        More text comes first; then a longer text in front, a longer one behind, fewer parameters,
        and converters of a lower rank. The texts themselves make the order total.
        """
        lengths = [len(each) for each in self.literals]
        ranks = tuple(each.converter.rank for each in self.params)
        kinds = tuple(each.kind for each in self.params)
        order = (-sum(lengths), -lengths[0], -lengths[-1], len(ranks), ranks, self.literals, kinds)
        # A ``str`` or ``path`` parameter alone comes after everything else.
        return (self.is_plain + 2 * self.is_rest, *order)

    def parse(self, text: str) -> Values | None:
        """Return the values of the parameters, or None if the text does not match.

        Of two parameters, the first takes as much text as it can. It is found from the right, and
        takes time proportional to the text.
        """
        prefix, *separators, suffix = self.literals
        end = len(text) - len(suffix)
        start = len(prefix)
        if end <= start or not text.startswith(prefix) or not text.endswith(suffix):
            return None
        texts: list[str] = []
        for separator in reversed(separators):
            # No parameter is empty: one character stays behind the separator.
            at = text.rfind(separator, start, end - 1)
            if at < 0:
                return None
            texts.append(text[at + len(separator) : end])
            end = at
        if end <= start:
            return None
        texts.append(text[start:end])
        try:
            return [
                param.converter.parse(each)
                for param, each in zip(self.params, reversed(texts), strict=True)
            ]
        except ValueError:
            return None

    def format(self, values: Mapping[str, Any]) -> str:
        """Return the encoded segment for these values.

        Raises:
          ValueError: A value cannot stand in it.
        """
        pieces = [self.literals[0]]
        for param, literal in zip(self.params, self.literals[1:], strict=True):
            pieces += [param.converter.format(values[param.name]), literal]
        text = "".join(pieces)
        if self.is_rest:
            return "/".join(_encode(each) for each in text.split("/"))
        if self.params:
            back = self.parse(text)
            if (
                back is None
                or [
                    param.converter.format(each)
                    for param, each in zip(self.params, back, strict=True)
                ]
                != pieces[1::2]
            ):
                raise ValueError(f"{text!r} would not be matched again")
        return _encode(text)

    def __str__(self) -> str:
        shown = [self.literals[0]]
        for param, literal in zip(self.params, self.literals[1:], strict=True):
            kind = "" if param.converter is STR else f":{param.kind}"
            shown += ["{", param.name, kind, "}", literal]
        return "".join(shown)


@final
class Template:
    """A parsed template.

    Args:
      text: As the application wrote it.
      converters: By name.

    Attributes:
      segments: Its segments; the last is empty if it ends with a slash.
      names: The names of its parameters, in order.
      is_rest: Whether it ends with a path parameter.

    Raises:
      ConfigError: It is malformed. The message shows it and says why.
    """

    __slots__ = ("is_rest", "names", "segments", "text")

    def __init__(self, text: str, converters: Mapping[str, Converter]) -> None:
        if not isinstance(text, str) or not text.startswith("/"):
            raise ConfigError(f"a route's template begins with a slash, unlike {text!r}")
        self.text = text
        self.segments: tuple[Segment, ...] = tuple(
            self._segment(each, converters) for each in text[1:].split("/")
        )
        if any(each.text == "" for each in self.segments[:-1]):
            raise self._error("has an empty segment")
        if any(each.is_rest for each in self.segments[:-1]):
            raise self._error("has a path parameter that is not at its end")
        self.is_rest: bool = self.segments[-1].is_rest
        self.names: tuple[str, ...] = tuple(
            param.name for each in self.segments for param in each.params
        )
        for name in self.names:
            if self.names.count(name) > 1:
                raise self._error(f"has two parameters {name!r}")

    @property
    def prefix(self) -> str:
        """What it is without a path parameter and the slash at its end."""
        return (self.text.rpartition("/")[0] if self.is_rest else self.text).rstrip("/")

    def format(self, values: Mapping[str, Any]) -> str:
        """Return the path, percent-encoded, for the values of all parameters.

        Raises:
          ValueError: A value cannot stand in the path.
        """
        try:
            return "/" + "/".join(each.format(values) for each in self.segments)
        except ValueError as error:
            raise ValueError(f"{self.text}: {error}") from error

    def _segment(self, text: str, converters: Mapping[str, Converter]) -> Segment:
        pieces = _PARAM.split(text)
        literals = tuple(pieces[::2])
        params = tuple(self._param(each, converters) for each in pieces[1::2])
        for each in literals:
            if "{" in each or "}" in each:
                raise self._error("has a brace without its partner")
            if "?" in each or "#" in each:
                raise self._error("has a query or fragment, which no route can match")
            if not each.isprintable():
                raise self._error("has a control character")
            if _ENCODED.search(each):
                raise self._error("is percent-encoded; write the character itself")
        if not params and literals[0] in _DOTS:
            raise self._error("has a segment . or .., which no path may have")
        if not all(literals[1:-1]):
            raise self._error("has two parameters without text between them")
        is_alone = literals == ("", "")
        if not is_alone and any(isinstance(each.converter, Path) for each in params):
            raise self._error("has a path parameter that is not a segment of its own")
        return Segment(literals, params)

    def _param(self, text: str, converters: Mapping[str, Converter]) -> Param:
        name, colon, kind = text.partition(":")
        if not name.isidentifier():
            raise self._error(f"has a parameter {text!r}, whose name is no identifier")
        kind = kind if colon else "str"
        if kind not in converters:
            known = ", ".join(converters)
            raise self._error(f"names a converter {kind!r}; there are {known}")
        return Param(name, kind, converters[kind])

    def _error(self, what: str) -> ConfigError:
        return ConfigError(f"the template {self.text!r} {what}")

    def __repr__(self) -> str:
        return f"<Template {self.text}>"


def _encode(text: str) -> str:
    if text in _DOTS or "\0" in text:
        raise ValueError(f"no segment of a path can be {text!r}")
    return quote(text, safe=_SAFE)
