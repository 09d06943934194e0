"""The description of an API: OpenAPI 3.1, from the routes and their functions."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias, final

from ..._log import callable_name
from ...conn import walk_handlers
from ...exceptions import ConfigError
from ...http import reason_phrase
from ._handler import Api
from ._negotiation import FORM, JSON
from ._parameters import MISSING
from ._problem import PROBLEM_TYPE
from ._schemas import default_of, renamed, schemas_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...conn import Handler
    from ._outcomes import Outcome
    from ._parameters import Parameter
    from ._schemas import Schema

__all__ = ["HasRoutes", "document_of"]

Json: TypeAlias = dict[str, Any]
"""An object of the document. Any: as JSON."""

_REF = "#/components/schemas/"
# Ends the name of a component that differs when it is sent.
_OUTPUT = ".Output"
_PARAM = re.compile(r"\{([^{}:]+)(?::([^{}]*))?\}")
# Those that an OpenAPI document can describe, and those of a route for all methods.
_METHODS = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH", "TRACE")
_ALL = ("GET", "PUT", "POST", "DELETE", "PATCH")

# What the router's converters match. The names of your own are unknown here.
_CONVERTED: dict[str, Schema] = {
    "int": {"type": "integer", "minimum": 0},
    "float": {"type": "number", "minimum": 0},
    "uuid": {"type": "string", "format": "uuid"},
    "str": {"type": "string", "minLength": 1},
    "path": {"type": "string"},
}

# A full name, as those of all components before they are shortened.
_PROBLEM = "trillium_trio.Problem"
_PROBLEM_SCHEMA: Schema = {
    "title": "Problem",
    "description": "What is wrong with a request (RFC 9457).",
    "type": "object",
    "properties": {
        "type": {"type": "string", "format": "uri-reference"},
        "title": {"type": "string"},
        "status": {"type": "integer", "minimum": 400, "maximum": 599},
        "detail": {"type": "string"},
        "errors": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "in": {"enum": ["path", "query", "header", "cookie", "body"]},
                    "parameter": {"type": "string"},
                    "pointer": {"type": "string", "description": "Into the body (RFC 6901)."},
                    "detail": {"type": "string"},
                },
                "required": ["in", "detail"],
            },
        },
    },
    "required": ["status"],
}


class HasRoutes(Protocol):
    """A router, as far as a description needs it."""

    def routes(self) -> Iterable[tuple[Sequence[str] | None, str, Handler]]:
        """Yield methods, template and handler of each route."""


def document_of(router: HasRoutes, *, title: str, version: str, description: str | None) -> Json:
    """Return the document.

    Raises:
      ConfigError: Two types cannot be told apart by their full names.
    """
    return _Builder().build(router, title=title, version=version, description=description)


@final
class _Builder:
    """Collects the operations, and the types that they name.

    A type stands as an empty schema until all are known, because the names of components depend on
    one another.
    """

    def __init__(self) -> None:
        self._ids: set[str] = set()
        # Types, the schemas to fill, and what these have besides. Any: annotations.
        self._requested: list[tuple[Any, Schema, Schema]] = []
        self._returned: list[tuple[Any, Schema, Schema]] = []

    def build(
        self, router: HasRoutes, *, title: str, version: str, description: str | None
    ) -> Json:
        info = {"title": title, "version": version, "description": description}
        paths: dict[str, Json] = {}
        # OpenAPI has one path for templates that differ in the names of their parameters only.
        known: dict[str, str] = {}
        for methods, template, handler in router.routes():
            found = [each for each in walk_handlers(handler) if isinstance(each, Api)]
            if not found:
                continue
            path = _PARAM.sub(r"{\1}", template)
            shape = _PARAM.sub("{}", template)
            if known.setdefault(shape, path) != path:
                raise ConfigError(
                    f"{path} and {known[shape]} are one path in a description; name their "
                    "parameters alike"
                )
            item = paths.setdefault(path, {})
            for method in _ALL if methods is None else methods:
                if method in _METHODS and method.lower() not in item:
                    item[method.lower()] = self._operation(found[0], template)
        components = self._fill()
        document = {
            "openapi": "3.1.0",
            "info": {name: value for name, value in info.items() if value is not None},
            "paths": paths,
            "components": {"schemas": components},
        }
        return _shortened(document)

    def _fill(self) -> dict[str, Schema]:
        """Fill the schemas; return the components that they refer to."""
        places = [*self._requested, *self._returned]
        types = [type_ for type_, _, _ in places]
        try:
            # Both for all types, so that the names of components are the same.
            requested, components = schemas_of(types, is_response=False)
            returned, answers = schemas_of(types, is_response=True)
        except TypeError as error:
            raise ConfigError(f"the types of this API cannot be described: {error}") from error
        # A model of pydantic may be another one when it is sent. Then all that refer to it are.
        changed = {name for name, each in answers.items() if components.get(name) != each}
        while True:
            wider = changed | {name for name, each in answers.items() if changed & _refs(each)}
            if wider == changed:
                break
            changed = wider
        names = {f"{_REF}{each}": f"{_REF}{each}{_OUTPUT}" for each in changed}
        for name in changed:
            components[f"{name}{_OUTPUT}"] = renamed(answers[name], names)
        count = len(self._requested)
        schemas = requested[:count] + [renamed(each, names) for each in returned[count:]]
        for (_, place, extra), schema in zip(places, schemas, strict=True):
            place.update({**extra, **schema})
        components[_PROBLEM] = _PROBLEM_SCHEMA
        return components

    def _add(self, type_: Any, extra: Schema | None = None) -> Schema:  # Any: an annotation
        """Return the schema of what is received; it is empty until `_fill`."""
        place: Schema = {}
        self._requested.append((type_, place, extra or {}))
        return place

    # -- operations ----------------------------------------------------------------------------

    def _operation(self, api: Api, template: str) -> Json:
        summary, _, description = (inspect.getdoc(api.fn) or "").partition("\n")
        in_path = dict(_PARAM.findall(template))
        taken = [each for each in api.parameters if each.source == "argument"]
        parameters = [self._path_parameter(name, kind, taken) for name, kind in in_path.items()]
        parameters += [
            self._parameter(each)
            for each in api.parameters
            if each.source in {"query", "header", "cookie"}
            or (each.source == "argument" and each.name not in in_path)
        ]
        operation: Json = {
            "operationId": self._unique(api),
            "summary": summary,
            "description": description.strip(),
            "tags": list(api.tags),
            "parameters": parameters,
        }
        operation = {name: value for name, value in operation.items() if value}
        bodies = [each for each in api.parameters if each.source in {"body", "form"}]
        for each in bodies:
            operation["requestBody"] = self._body(each)
        places = {each["in"] for each in parameters}
        operation["responses"] = self._answers(api, places=places, bodies=bodies)
        return operation

    def _unique(self, api: Api) -> str:
        base = re.sub(r"\W+", "_", callable_name(api.fn).rpartition(".")[2])
        name, count = base, 1
        while name in self._ids:
            count += 1
            name = f"{base}_{count}"
        self._ids.add(name)
        return name

    def _path_parameter(self, name: str, kind: str, taken: list[Parameter]) -> Json:
        schema: Schema = dict(_CONVERTED.get(kind or "str", {}))
        for each in taken:
            if each.name == name and each.type is not str:
                schema = self._add(each.type, schema if schema.get("minimum") == 0 else {})
        return {"name": name, "in": "path", "required": True, "schema": schema}

    def _parameter(self, parameter: Parameter) -> Json:
        place = "query" if parameter.source == "argument" else parameter.source
        extra = {} if parameter.default is MISSING else default_of(parameter.default)
        found = {
            "name": parameter.key,
            "in": place,
            "schema": self._add(parameter.type, extra),
        }
        return {**found, "required": True} if parameter.default is MISSING else found

    def _body(self, parameter: Parameter) -> Json:
        if parameter.type is bytes:
            content: Json = {"*/*": {}}
        else:
            media_type = FORM if parameter.source == "form" else JSON
            content = {media_type: {"schema": self._add(parameter.type)}}
        return {"content": content, "required": parameter.default is MISSING}

    def _answers(self, api: Api, *, places: set[str], bodies: list[Parameter]) -> Json:
        answers: Json = {}
        for outcome in api.outcomes.all:
            answer = answers.setdefault(str(outcome.status), {"description": outcome.description})
            if outcome.media_type is not None:
                content = self._content(outcome)
                before = answer.setdefault("content", {}).setdefault(outcome.media_type, content)
                if before is not content:
                    before["schema"] = {"anyOf": [before["schema"], content["schema"]]}
        statuses = [404] if "path" in places else []
        if places - {"path"}:
            statuses.append(422)
        if bodies:
            is_decoded = bodies[0].type is not bytes
            statuses += [400, 413, 415, 422] if is_decoded else [400, 413]
        if api.outcomes.media_type is not None:
            statuses.append(406)
        for status in statuses:
            answers.setdefault(str(status), _problem(status))
        if "path" in places:
            # Where the router finds no route, the answer is not ours.
            contents = answers["404"].setdefault("content", {})
            contents.setdefault("text/plain", {"schema": {"type": "string"}})
        answers = dict(sorted(answers.items()))
        if api.outcomes.decides:
            answers["default"] = {"description": "What the function decides"}
        return answers

    def _content(self, outcome: Outcome) -> Json:
        if outcome.media_type == PROBLEM_TYPE:
            return {"schema": {"$ref": f"{_REF}{_PROBLEM}"}}
        if outcome.media_type == "application/octet-stream":
            return {"schema": {}}
        place: Schema = {}
        self._returned.append((outcome.type, place, {}))
        return {"schema": place}


def _problem(status: int) -> Json:
    return {
        "description": reason_phrase(status),
        "content": {PROBLEM_TYPE: {"schema": {"$ref": f"{_REF}{_PROBLEM}"}}},
    }


def _shortened(document: Json) -> Json:
    """Leave out components that nothing refers to, and modules in names that are unique without."""
    schemas = document["components"]["schemas"]
    todo, used = _refs(document["paths"]), set[str]()
    while todo:
        used |= todo
        todo = {ref for each in todo for ref in _refs(schemas[each])} - used
    # One that is only sent needs no name of its own for that.
    full = {
        each: base if (base := each.removesuffix(_OUTPUT)) not in used else each for each in used
    }
    short = [_short(each) for each in full.values()]
    names = {
        name: _short(each) if short.count(_short(each)) == 1 else each
        for name, each in full.items()
    }
    document["components"]["schemas"] = {
        names[each]: schemas[each] for each in sorted(used, key=names.__getitem__)
    }
    refs = {f"{_REF}{name}": f"{_REF}{shorter}" for name, shorter in names.items()}
    shortened: Json = renamed(document, refs)
    return shortened


def _short(name: str) -> str:
    *_, last = name.removesuffix(_OUTPUT).split(".")
    return f"{last}Output" if name.endswith(_OUTPUT) else last


def _refs(value: Any) -> set[str]:  # Any: JSON
    return {each.removeprefix(_REF) for each in _strings(value) if each.startswith(_REF)}


def _strings(value: Any) -> Iterator[str]:  # Any: JSON
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _strings(each)
