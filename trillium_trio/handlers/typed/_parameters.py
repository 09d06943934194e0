"""The parameters of a function: where each comes from, decided when the handler is built."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from types import UnionType
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Literal,
    TypeAlias,
    Union,
    final,
    get_args,
    get_origin,
)

from ..._log import callable_name
from ...conn import Conn, OnConn, Params, State
from ...exceptions import ConfigError, MisuseError
from ...http import parse_cookies
from ._codec import REFUSALS, Kind, expectation, form_fields, kind_of_type, text_converter
from ._markers import FromCookie, FromForm, FromHeader, FromQuery
from ._problem import Fault

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["MISSING", "Parameter", "Reader", "Wrong", "parameters_of", "reader_of"]

Source = Literal["conn", "left", "state", "argument", "query", "header", "cookie", "body", "form"]

Query: TypeAlias = "Mapping[str, list[str]]"

Reader: TypeAlias = "Callable[[Conn, Query], Any]"
"""Takes an argument from a conn and its parsed query. Any: as annotated."""

MISSING = inspect.Parameter.empty

_SOURCES: dict[type, Source] = {
    FromQuery: "query",
    FromHeader: "header",
    FromCookie: "cookie",
    FromForm: "form",
    State: "state",
}


class Wrong(Exception):
    """An argument is not as its parameter says.

    Attributes:
      fault: What the client gets to know.
    """

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault)
        self.fault = fault


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter of a function.

    Attributes:
      name: Its name in Python.
      source: Where it comes from. An ``argument`` is in the path if the route's template has its
        name, else in the query.
      key: Its name in the request.
      type: Its annotation, without our markers.
      default: `MISSING` if it is required.
      is_repeated: Whether it takes several texts.
    """

    name: str
    source: Source
    key: str
    type: Any  # Any: an annotation
    default: object
    is_repeated: bool = False


def parameters_of(fn: Callable[..., object], hints: Mapping[str, Any]) -> list[Parameter]:
    """Decide where each parameter comes from.

    Args:
      fn: The function.
      hints: Its annotations, with what `Annotated` adds.

    Raises:
      ConfigError: There is no such source. The message names function and parameter.
    """
    found = [_parameter(fn, each, hints) for each in inspect.signature(fn).parameters.values()]
    bodies = [each.name for each in found if each.source in {"body", "form"}]
    if len(bodies) > 1:
        raise ConfigError(
            f"{callable_name(fn)} takes two bodies, {bodies[0]!r} and {bodies[1]!r}; a request has "
            "one"
        )
    return found


def _parameter(
    fn: Callable[..., object], parameter: inspect.Parameter, hints: Mapping[str, Any]
) -> Parameter:
    name = parameter.name
    try:
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise TypeError("it cannot be given by name")
        annotation = hints.get(name, Conn if name == "conn" else MISSING)
        if annotation is MISSING:
            raise TypeError("it has no annotation")
        type_, marked, key = _split(annotation)
        source, type_, kind = _source_of(name, type_, marked)
    except TypeError as error:
        raise ConfigError(f"the parameter {name!r} of {callable_name(fn)}: {error}") from error
    return Parameter(
        name=name,
        source=source,
        key=key or (name.replace("_", "-") if source == "header" else name),
        type=type_,
        default=parameter.default,
        is_repeated=kind is Kind.TEXTS,
    )


def _source_of(
    name: str, type_: Any, marked: Source | None
) -> tuple[Source, Any, Kind | None]:  # Any: annotations
    """Return the source of a parameter, the type to convert to, and how that is written.

    Raises:
      TypeError: It cannot be had from there.
    """
    if type_ is Conn:
        return "conn", type_, None
    class_ = _class_of(type_)
    if marked == "state":
        if class_ is None:
            raise TypeError(f"a state is found by its class, and {type_} is none")
        return "state", class_, None
    if marked is None and class_ is not None and issubclass(class_, OnConn):
        return "left", class_, None
    kind = kind_of_type(type_)
    if marked == "form":
        form_fields(type_)
        return "form", type_, None
    if marked is None and (name == "body" or kind is Kind.DOCUMENT):
        return "body", type_, None
    if kind is Kind.DOCUMENT:
        raise TypeError(f"{type_} cannot be written in a {marked}")
    return marked or "argument", type_, kind


def _split(annotation: Any) -> tuple[Any, Source | None, str | None]:  # Any: annotations
    """Take our marker out of an annotation: the rest, its source, and the name that it gives."""
    if get_origin(annotation) is not Annotated:
        return annotation, None, None
    type_, *metadata = get_args(annotation)
    source: Source | None = None
    key: str | None = None
    others = []
    for each in metadata:
        # The class alone means the same as an object without a name.
        is_class = isinstance(each, type)
        named = _SOURCES.get(each if is_class else type(each))
        if named is None:
            others.append(each)
        else:
            source = named
            key = None if is_class else getattr(each, "name", None)
    return (Annotated[(type_, *others)] if others else type_), source, key


def _class_of(type_: Any) -> type | None:  # Any: an annotation
    """Return the class of ``X`` or ``X | None``."""
    if get_origin(type_) in {Union, UnionType}:
        parts = [each for each in get_args(type_) if each is not type(None)]
        type_ = parts[0] if len(parts) == 1 else None
    return type_ if isinstance(type_, type) else None


# -- reading -----------------------------------------------------------------------------------


def reader_of(parameter: Parameter) -> Reader:
    """Return the function that takes an argument from a request, other than its body.

    It raises `Wrong`.
    """
    match parameter.source:
        case "conn":
            return lambda conn, query: conn
        case "left":
            return _reader_of_left(parameter)
        case "state":
            return _reader_of_state(parameter)
        case "argument":
            return _reader_of_argument(parameter)
        case "query":
            key = parameter.key
            return _reader_of_texts(parameter, "query", lambda conn, query: query.get(key))
        case "header":
            return _reader_of_texts(parameter, "header", _fields(parameter))
        case "cookie":
            return _reader_of_texts(parameter, "cookie", _cookies(parameter))
    raise AssertionError(parameter)


def _reader_of_left(parameter: Parameter) -> Reader:
    class_, default = parameter.type, parameter.default

    def read(conn: Conn, query: Query) -> Any:  # Any: as annotated
        if default is MISSING:
            return class_.of(conn)
        value = conn.state(class_)
        return default if value is None else value

    return read


def _reader_of_state(parameter: Parameter) -> Reader:
    class_, default = parameter.type, parameter.default

    def read(conn: Conn, query: Query) -> Any:  # Any: as annotated
        value = conn.state(class_)
        if value is None:
            value = conn.shared_state(class_)
        if value is not None:
            return value
        if default is MISSING:
            raise MisuseError(
                f"neither this conn nor the server has a {class_.__qualname__}: put State(value) "
                "in front of the handler, or give it to Config.with_shared_state"
            )
        return default

    return read


def _reader_of_argument(parameter: Parameter) -> Reader:
    name = parameter.name
    convert = _converter(parameter, "path")
    read_query = _reader_of_texts(parameter, "query", lambda conn, query: query.get(name))

    def read(conn: Conn, query: Query) -> Any:  # Any: as annotated
        params = conn.state(Params)
        if params is None or name not in params:
            return read_query(conn, query)
        value = params[name]
        # What a converter has made of it is the value.
        return convert([value]) if type(value) is str else value

    return read


def _reader_of_texts(
    parameter: Parameter,
    place: Literal["query", "header", "cookie"],
    find: Callable[[Conn, Query], list[str] | None],
) -> Reader:
    key, default = parameter.key, parameter.default
    convert = _converter(parameter, place)

    def read(conn: Conn, query: Query) -> Any:  # Any: as annotated
        texts = find(conn, query)
        if texts:
            return convert(texts)
        if default is MISSING:
            raise Wrong(Fault(place=place, name=key, detail="is missing"))
        return default

    return read


def _converter(
    parameter: Parameter, place: Literal["path", "query", "header", "cookie"]
) -> Callable[[list[str]], Any]:  # Any: as annotated
    key, is_repeated, type_ = parameter.key, parameter.is_repeated, parameter.type
    convert = text_converter(type_)

    def convert_texts(texts: list[str]) -> Any:  # Any: as annotated
        if not is_repeated and len(texts) > 1:
            detail = f"is given {len(texts)} times; expected once"
            raise Wrong(Fault(place=place, name=key, detail=detail))
        try:
            return convert(texts if is_repeated else texts[0])
        except REFUSALS as error:
            detail = _detail(error, type_)
            raise Wrong(Fault(place=place, name=key, detail=detail)) from error

    return convert_texts


def _detail(error: Exception, type_: Any) -> str:  # Any: an annotation
    # Everything in these places is text, so that it was a `str` says nothing.
    return expectation(error, type_).removesuffix(", got `str`")


def _fields(parameter: Parameter) -> Callable[[Conn, Query], list[str]]:
    key = parameter.key
    if not parameter.is_repeated:
        return lambda conn, query: conn.request_headers.get_all(key)
    # RFC 9110, 5.6.1: a list may be spread over fields, and has empty elements.
    return lambda conn, query: [
        text
        for each in conn.request_headers.get_all(key)
        for part in each.split(",")
        if (text := part.strip(" \t"))
    ]


def _cookies(parameter: Parameter) -> Callable[[Conn, Query], list[str]]:
    key = parameter.key

    def find(conn: Conn, query: Query) -> list[str]:
        values = parse_cookies(conn.request_headers.get_all("cookie")).get(key, [])
        # RFC 6265, 5.4: browsers send that of the longest path first.
        return values if parameter.is_repeated else values[:1]

    return find
