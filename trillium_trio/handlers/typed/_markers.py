"""Markers that say where an argument comes from, in ``Annotated[type, marker]``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["FromCookie", "FromForm", "FromHeader", "FromQuery"]


@final
@dataclass(frozen=True, slots=True)
class FromQuery:
    """An argument from the query: ``page: Annotated[int, FromQuery("p")] = 1``.

    Needed only for another name, or for a parameter that a route's template has as well.

    Attributes:
      name: The name in the query. Default: that of the parameter.
    """

    name: str | None = None


@final
@dataclass(frozen=True, slots=True)
class FromHeader:
    """An argument from a header field: ``agent: Annotated[str, FromHeader("user-agent")]``.

    A list takes several fields of that name, each of them split at its commas.

    Attributes:
      name: The name of the field. Default: that of the parameter, with hyphens for underscores.
    """

    name: str | None = None


@final
@dataclass(frozen=True, slots=True)
class FromCookie:
    """An argument from a cookie: ``theme: Annotated[str, FromCookie()] = "light"``.

    Attributes:
      name: The name of the cookie. Default: that of the parameter.
    """

    name: str | None = None


@final
@dataclass(frozen=True, slots=True)
class FromForm:
    """An object whose fields are those of a form: ``login: Annotated[Login, FromForm()]``.

    The body is read as ``application/x-www-form-urlencoded``. A field that is a list takes several
    values. A ``multipart/form-data`` body is answered 415.
    """
