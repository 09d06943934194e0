"""JSON schemas of types: msgspec's, and pydantic's for its models."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["REF", "Schema", "default_of", "is_model", "renamed", "schemas_of"]

Schema: TypeAlias = dict[str, Any]
"""A JSON schema. Any: as JSON."""

REF = "#/components/schemas/"
"""What a reference to a component begins with."""

# What a `Decimal` is written as. The format alone has no meaning in JSON Schema.
_DECIMAL = r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,9})?$"


def is_model(type_: object) -> bool:
    """Whether a type is a model of pydantic."""
    return isinstance(type_, type) and hasattr(type_, "model_validate_json")


def schemas_of(
    types: Sequence[object], *, is_response: bool
) -> tuple[list[Schema], dict[str, Schema]]:
    """Return the JSON schemas of types, and the components that they refer to.

    Args:
      types: Those of one document at once, so that no two components have the same name.
      is_response: Whether they describe what is sent; a model may then have other fields.

    Raises:
      TypeError: A type cannot be described, or two have the same full name.
    """
    import msgspec  # noqa: PLC0415 (optional)

    models: dict[str, Any] = {}  # Any: classes of pydantic

    def describe_other(type_: Any) -> Schema:  # Any: a model, or something that is an error
        if type_ is object:
            return {"description": "Any value."}
        if not is_model(type_):
            raise TypeError(f"JSON has no {getattr(type_, '__qualname__', type_)}")
        # A placeholder, because pydantic names all models at once.
        ref = f"{REF}{id(type_)}"
        models[ref] = type_
        return {"$ref": ref}

    try:
        found, components = msgspec.json.schema_components(
            types, schema_hook=describe_other, ref_template=f"{REF}{{name}}"
        )
    except KeyError as error:
        raise TypeError(f"two types have the name of {error}") from error
    _describe_decimals([*found, components])
    if not models:
        return list(found), components
    from pydantic.json_schema import models_json_schema  # noqa: PLC0415 (optional)

    mode: Literal["serialization", "validation"] = "serialization" if is_response else "validation"
    named, definitions = models_json_schema(
        [(each, mode) for each in models.values()], ref_template=f"{REF}pydantic.{{model}}"
    )
    names = {ref: named[each, mode]["$ref"] for ref, each in models.items()}
    components = renamed(components, names)
    for name, schema in definitions["$defs"].items():
        components[f"pydantic.{name}"] = schema
    return renamed([*found], names), components


def _describe_decimals(value: Any) -> None:  # Any: JSON
    """Add to each ``Decimal`` what it may be."""
    if isinstance(value, dict):
        if value.get("format") == "decimal":
            value.setdefault("pattern", _DECIMAL)
        value = value.values()
    elif not isinstance(value, list):
        return
    for each in value:
        _describe_decimals(each)


def renamed(value: Any, names: Mapping[str, str]) -> Any:  # Any: JSON
    """Return JSON with references replaced; they stand in ``$ref``, and in discriminators."""
    if isinstance(value, dict):
        return {name: renamed(each, names) for name, each in value.items()}
    if isinstance(value, list):
        return [renamed(each, names) for each in value]
    return names.get(value, value) if isinstance(value, str) else value


def default_of(value: object) -> Schema:
    """Return the ``default`` of a schema, or nothing if it is None or cannot be written."""
    import msgspec  # noqa: PLC0415 (optional)

    if value is None:
        return {}
    try:
        built = msgspec.to_builtins(value)
        json.dumps(built, allow_nan=False)
    except (TypeError, ValueError):  # JSON has no infinity
        return {}
    return {"default": built}
