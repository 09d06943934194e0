"""Typed values from JSON and text, and back, by ``msgspec``.

Models of pydantic are known by their methods, so pydantic is imported for their schemas only. They
may stand inside types of msgspec.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias

from ._problem import Fault
from ._schemas import REF, is_model, schemas_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ._schemas import Schema

__all__ = [
    "FINITE",
    "REFUSALS",
    "FormFields",
    "Kind",
    "body_faults",
    "decoder_of",
    "encoder",
    "expectation",
    "form_converter",
    "form_fields",
    "is_finite",
    "kind_of_type",
    "pointer_of",
    "require_msgspec",
    "text_converter",
    "why_malformed",
]

Path: TypeAlias = "Sequence[str | int]"
"""The names and indices that lead to a place in a document."""

# What a decoder raises for a document that it refuses: those of both libraries are ValueErrors.
REFUSALS = (ValueError, RecursionError)

_PATH = re.compile(r" - at `(?:key` in `)?\$(.*)`\Z", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]|\[\.\.\.\]")
_FIELD = re.compile(r"Object (?:missing required|contains unknown) field `(.*)`\Z", re.DOTALL)
_NO_PATH: Path = ()
# `Decimal` takes more than `float` does, such as "sNaN" and "NaN1".
_NO_NUMBER = re.compile(r"[+-]?(?:inf(?:inity)?|s?nan\d*)", re.IGNORECASE)
FINITE = "Expected a finite number"


class Kind(enum.Enum):
    """How a type can be written in a request."""

    TEXT = "one text, as in a path or a query"
    TEXTS = "several texts"
    DOCUMENT = "a JSON document"


def require_msgspec() -> None:
    """Raise if the library is missing.

    Raises:
      ImportError: With the command that installs it.
    """
    try:
        import msgspec  # noqa: F401, PLC0415 (optional)
    except ImportError as error:
        raise ImportError(
            "api needs the library msgspec: pip install 'trillium-trio[json]'", name="msgspec"
        ) from error


def kind_of_type(type_: object) -> Kind:
    """Say how a type can be written in a request.

    Raises:
      TypeError: Values of this type cannot be decoded.
    """
    import msgspec  # noqa: PLC0415 (optional)

    # Types within it that cannot be decoded would be found only by a request.
    schemas_of([type_], is_response=False)
    info = msgspec.inspect
    texts = (
        info.NoneType,
        info.BoolType,
        info.IntType,
        info.FloatType,
        info.StrType,
        info.BytesType,
        info.DateTimeType,
        info.DateType,
        info.TimeType,
        info.TimeDeltaType,
        info.UUIDType,
        info.DecimalType,
        info.EnumType,
        info.LiteralType,
    )
    collections = (info.ListType, info.SetType, info.FrozenSetType, info.VarTupleType)

    def kind_of(each: Any) -> Kind:  # Any: one of msgspec's descriptions of types
        match each:
            case info.Metadata():
                return kind_of(each.type)
            case info.UnionType():
                kinds = {kind_of(part) for part in each.types if part != info.NoneType()}
                return kinds.pop() if len(kinds) == 1 else Kind.DOCUMENT
        if isinstance(each, texts):
            return Kind.TEXT
        if isinstance(each, collections) and kind_of(each.item_type) is Kind.TEXT:
            return Kind.TEXTS
        return Kind.DOCUMENT

    return kind_of(info.type_info(type_))


# -- decoding ----------------------------------------------------------------------------------


def decoder_of(type_: Any) -> Callable[[bytes], Any]:  # Any: the type, and values of it
    """Return a function that parses a JSON document; it raises one of `REFUSALS`."""
    if is_model(type_):
        return type_.model_validate_json  # type: ignore[no-any-return]  # of pydantic
    import msgspec  # noqa: PLC0415 (optional)

    return msgspec.json.Decoder(type_, dec_hook=_decode_other).decode


def text_converter(type_: Any) -> Callable[[Any], Any]:  # Any: texts; values of the type
    """Return a function that converts a text, or a list of them; it raises one of `REFUSALS`."""
    import msgspec  # noqa: PLC0415 (optional)

    convert = msgspec.convert
    if not _takes_floats(type_):
        return lambda text: convert(text, type_, strict=False, dec_hook=_decode_other)

    def convert_finite(text: Any) -> Any:  # Any: as above
        for each in text if isinstance(text, list) else (text,):
            if not is_finite(each):
                raise ValueError(FINITE)
        return convert(text, type_, strict=False, dec_hook=_decode_other)

    return convert_finite


@dataclass(frozen=True, slots=True, kw_only=True)
class FormFields:
    """The fields of a form.

    Attributes:
      single: Those that take one value.
      numbers: Those of them that take a number, and no other text.
    """

    single: frozenset[str]
    numbers: frozenset[str]


def form_fields(type_: Any) -> FormFields:  # Any: the type
    """Return the fields of an object that is read from a form.

    Raises:
      TypeError: It has no fields of its own, or cannot be decoded.
    """
    [schema], components = schemas_of([type_], is_response=False)
    while "$ref" in schema:
        schema = components[schema["$ref"].removeprefix(REF)]
    fields = schema.get("properties")
    if not fields:
        raise TypeError("a form is an object with fields")
    kinds = {
        # A `Decimal` is a string with this format.
        name: {
            "number" if part.get("format") == "decimal" else part.get("type")
            for part in (each, *each.get("anyOf", ()))
        }
        for name, each in fields.items()
    }
    return FormFields(
        single=frozenset(name for name, each in kinds.items() if "array" not in each),
        numbers=frozenset(
            name for name, each in kinds.items() if "number" in each and "string" not in each
        ),
    )


def form_converter(type_: Any) -> Callable[[dict[str, Any]], Any]:  # Any: texts, and values
    """Return a function that converts the fields of a form; it raises one of `REFUSALS`."""
    import msgspec  # noqa: PLC0415 (optional)

    return lambda fields: msgspec.convert(fields, type_, strict=False, dec_hook=_decode_other)


def is_finite(text: str) -> bool:
    """Whether a text is not one of those that Python takes for infinity or no number."""
    # `Decimal` ignores white space around a number, and underscores anywhere.
    return _NO_NUMBER.fullmatch(text.strip().replace("_", "")) is None


def _takes_floats(type_: Any) -> bool:  # Any: the type
    import msgspec  # noqa: PLC0415 (optional)

    def any_float(each: Any) -> bool:  # Any: one of msgspec's descriptions of types
        parts = [*getattr(each, "types", ())]
        parts += [getattr(each, name) for name in ("type", "item_type") if hasattr(each, name)]
        if isinstance(each, msgspec.inspect.FloatType | msgspec.inspect.DecimalType):
            return True
        return any(any_float(part) for part in parts)

    return any_float(msgspec.inspect.type_info(type_))


def _decode_other(type_: Any, value: object) -> Any:  # Any: the type and its values
    if type_ is object:
        return value
    # Through JSON, because pydantic is stricter with Python's values in some modes.
    return type_.model_validate_json(encoder()(value))


# -- encoding ----------------------------------------------------------------------------------


@cache
def encoder() -> Callable[[object], bytes]:
    """Return the function that encodes results; it raises TypeError for what JSON cannot hold."""
    import msgspec  # noqa: PLC0415 (optional)

    raw = msgspec.Raw

    def encode_other(value: Any) -> object:  # Any: a model, or something that is an error
        if not is_model(type(value)):
            raise TypeError(f"JSON has no {type(value).__qualname__}")
        return raw(value.model_dump_json(by_alias=True).encode())

    return msgspec.json.Encoder(enc_hook=encode_other).encode


# -- errors ------------------------------------------------------------------------------------


def why_malformed(error: Exception) -> str:
    """Say why a decoder refused what is not even JSON; empty if there is no more to say."""
    if isinstance(error, RecursionError):
        return "it is nested too deeply"
    details = _model_errors(error)
    return str(details[0]["msg"] if details else error)


def body_faults(error: Exception, type_: Any) -> list[Fault] | None:  # Any: the type
    """Say what is wrong with a document that a decoder refused; None: it is not even JSON."""
    import msgspec  # noqa: PLC0415 (optional)

    details, prefix = _model_errors(error), _NO_PATH
    if isinstance(error, msgspec.ValidationError):
        text, prefix = _located(str(error))
        details = _model_errors(error.__cause__)
        if not details:
            detail = _expected(text, type_, prefix)
            return [Fault(place="body", name=pointer_of(prefix), detail=detail)]
    if not details or details[0]["type"] == "json_invalid":
        return None
    return [
        Fault(place="body", name=pointer_of([*prefix, *each["loc"]]), detail=each["msg"])
        for each in details
    ]


def expectation(error: Exception, type_: Any) -> str:  # Any: the type
    """Return what was expected of a text, or of one of several, that a converter refused."""
    text, path = _located(str(error))
    where = "".join(f"value {int(each) + 1}: " for each in path)
    return where + _expected(text, type_, path)


def _model_errors(error: object) -> list[dict[str, Any]]:  # Any: as pydantic describes an error
    errors = getattr(error, "errors", None)
    if errors is None:
        return []
    return errors(  # type: ignore[no-any-return]  # of pydantic
        include_url=False, include_context=False, include_input=False
    )


def _located(message: str) -> tuple[str, Path]:
    """Split a message of msgspec into its text and the place in the document."""
    path: list[str | int] = []
    found = _PATH.search(message)
    if found is not None:
        message = message[: found.start()]
        for name, index in _STEP.findall(found[1]):
            if not name and not index:
                break  # a key that msgspec does not name
            path.append(name or int(index))
    field = _FIELD.match(message)
    if field is None:
        return message, path
    what = "is missing" if "missing" in field[0].partition("`")[0] else "is unknown"
    return what, [*path, field[1]]


def _expected(text: str, type_: Any, path: Path) -> str:  # Any: the type
    """Return a text of msgspec, with the values of an enum, which it does not name."""
    if not text.startswith("Invalid enum value"):
        return text
    [schema], components = schemas_of([type_], is_response=False)
    values = _values_at(schema, path, components)
    return f"Expected one of {', '.join(map(repr, values))}" if values else text


def _values_at(schema: Schema, path: Path, components: dict[str, Schema]) -> list[object]:
    """Find the values that a schema allows at a place of the document."""
    if "$ref" in schema:
        return _values_at(components[schema["$ref"].removeprefix(REF)], path, components)
    if not path:
        found = [*schema.get("enum", ())]
    else:
        step, *rest = path
        inner = schema.get("items") if isinstance(step, int) else None
        inner = schema.get("properties", {}).get(step) if inner is None else inner
        found = [] if inner is None else _values_at(inner, rest, components)
    for each in schema.get("anyOf", ()):
        found += _values_at(each, path, components)
    return found


def pointer_of(path: Path) -> str:
    """Return the JSON pointer to a place (RFC 6901)."""
    return "".join(f"/{str(each).replace('~', '~0').replace('/', '~1')}" for each in path)
