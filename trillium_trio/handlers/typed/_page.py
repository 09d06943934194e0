"""The description as a page: HTML with its style, no script, nothing loaded from anywhere."""

from __future__ import annotations

import json
from base64 import b64encode
from hashlib import sha256
from html import escape
from typing import TYPE_CHECKING, Any, TypeAlias, final

from ._problem import PROBLEM_TYPE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["CONTENT_SECURITY_POLICY", "page_of"]

Json: TypeAlias = dict[str, Any]
"""An object of the document. Any: as JSON."""

_REF = "#/components/schemas/"

_STYLE = """
:root { color-scheme: light dark; --line: #d8dee4; --soft: #f4f6f8; --text: #1b1f24;
  --faint: #59636e; --link: #0b57c9; --page: #fff; --get: #0b6e4f; --post: #0b57c9; --put: #8a5200;
  --patch: #6f42c1; --delete: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --line: #343b44; --soft: #1c2128; --text: #e6edf3;
  --faint: #9aa4af; --link: #79b8ff; --page: #13171c; --get: #4cc38a; --post: #79b8ff;
  --put: #e3a64b; --patch: #c4a5ff; --delete: #ff8f87; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; background: var(--page);
  color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .25rem; }
h1 small { color: var(--faint); font-size: 1rem; font-weight: normal; }
h2 { font-size: 1.25rem; margin: 2rem 0 .5rem; }
h3 { font-size: .9rem; margin: 1.25rem 0 .25rem; color: var(--faint); }
p { margin: .5rem 0; white-space: pre-line; }
a { color: var(--link); }
code, pre { font: .875rem/1.5 ui-monospace, monospace; }
pre { background: var(--soft); border-radius: 6px; margin: .5rem 0; overflow-x: auto;
  padding: .75rem; overflow-wrap: normal; }
details, section.type { border: 1px solid var(--line); border-radius: 8px; margin: .5rem 0; }
summary { cursor: pointer; display: flex; flex-wrap: wrap; gap: .25rem .75rem; list-style: none;
  padding: .6rem .75rem; align-items: baseline; }
summary::-webkit-details-marker { display: none; }
summary:focus-visible, a:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
summary code { font-weight: 600; }
summary span { color: var(--faint); }
details[open] > summary { border-bottom: 1px solid var(--line); background: var(--soft);
  border-radius: 8px 8px 0 0; }
.in { padding: .25rem .75rem .75rem; }
.method { min-width: 4.5rem; font: 700 .8rem/1.5 ui-monospace, monospace; }
.get, .head { color: var(--get); } .post { color: var(--post); } .put { color: var(--put); }
.patch { color: var(--patch); } .delete { color: var(--delete); }
dl { margin: .25rem 0; display: grid; grid-template-columns: minmax(8rem, 14rem) 1fr; }
dt, dd { margin: 0; padding: .35rem 0; border-top: 1px solid var(--line); }
dt { padding-right: .75rem; } dd span, dt span { color: var(--faint); font-size: .875rem; }
section.type { padding: .25rem .75rem .75rem; } section.type h3 { color: var(--text);
  margin-top: .5rem; }
@media (max-width: 36rem) { dl { display: block; } dd { border-top: 0; padding-top: 0; } }
"""

_HASH = b64encode(sha256(_STYLE.encode()).digest()).decode()

CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{_HASH}'; base-uri 'none'; frame-ancestors 'none'"
)
"""The page needs nothing but its own style, so it may have nothing else."""


def page_of(document: Json, *, link: str) -> str:
    """Return a page that shows an OpenAPI document made by `document_of`.

    Args:
      document: The document.
      link: The URL of the document, relative to the page.
    """
    return _Page(document).render(link)


@final
class _Page:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._schemas: Json = document["components"]["schemas"]

    def render(self, link: str) -> str:
        info = self._document["info"]
        title = escape(info["title"])
        version = f"<small>{escape(info['version'])}</small>"
        head = (
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
            '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<header>\n"
            f"<h1>{title} {version}</h1>"
        )
        parts = [
            head,
            *_text(info.get("description")),
            f'<p><a href="{escape(link)}">OpenAPI document</a></p>\n</header>\n<main>',
        ]
        for tag, operations in self._groups().items():
            parts.append(f"<h2>{escape(tag)}</h2>")
            for method, path, operation in operations:
                parts += self._operation(method, path, operation)
        if self._schemas:
            parts.append("<h2>Types</h2>")
        for name, schema in self._schemas.items():
            parts += self._type(name, schema)
        return "\n".join([*parts, "</main>\n</body>\n</html>\n"])

    def _groups(self) -> dict[str, list[tuple[str, str, Json]]]:
        items = self._document["paths"].values()
        has_tags = any("tags" in operation for item in items for operation in item.values())
        untagged = ["Other operations" if has_tags else "Operations"]
        groups: dict[str, list[tuple[str, str, Json]]] = {}
        for path, item in self._document["paths"].items():
            for method, operation in item.items():
                for tag in operation.get("tags", untagged):
                    groups.setdefault(tag, []).append((method, path, operation))
        return groups

    # -- operations ----------------------------------------------------------------------------

    def _operation(self, method: str, path: str, operation: Json) -> Iterator[str]:
        yield (
            f'<details>\n<summary><span class="method {method}">{method.upper()}</span>'
            f"<code>{escape(path)}</code><span>{escape(operation.get('summary', ''))}</span>"
            '</summary>\n<div class="in">'
        )
        yield from _text(operation.get("description"))
        parameters = operation.get("parameters", ())
        if parameters:
            yield "<h3>Parameters</h3>\n<dl>"
            for each in parameters:
                yield from self._field(
                    each["name"],
                    each["schema"],
                    notes=[each["in"], *_required(is_required=each.get("required", False))],
                )
            yield "</dl>"
        body = operation.get("requestBody")
        if body is not None:
            yield "<h3>Body</h3>\n<dl>"
            for media_type, content in body["content"].items():
                yield from self._field(
                    media_type, content.get("schema", {}), _required(is_required=body["required"])
                )
            yield "</dl>"
            yield from self._sample(body["content"])
        yield "<h3>Responses</h3>\n<dl>"
        for status, answer in operation["responses"].items():
            text = escape(answer["description"])
            for media_type, content in answer.get("content", {}).items():
                name = self._name(content.get("schema", {}))
                # A problem is one word, because nearly every operation has several.
                kind = "" if media_type == PROBLEM_TYPE else f"<code>{escape(media_type)}</code> "
                text += f"<br>{kind}{name}" if kind else f": {name}"
            yield f"<dt><code>{escape(status)}</code></dt><dd>{text}</dd>"
        yield "</dl>\n</div>\n</details>"

    def _sample(self, contents: Json) -> Iterator[str]:
        for media_type, content in contents.items():
            if media_type.endswith("json"):
                sample = json.dumps(self._example(content["schema"], ()), indent=2)
                yield f"<pre>{escape(sample)}</pre>"

    # -- types ---------------------------------------------------------------------------------

    def _type(self, name: str, schema: Json) -> Iterator[str]:
        yield f'<section class="type" id="{escape(name)}">\n<h3><code>{escape(name)}</code></h3>'
        yield from _text(schema.get("description"))
        fields = schema.get("properties")
        if fields is None:
            yield f"<p>{self._name(schema)}</p>"
        else:
            required = schema.get("required", ())
            yield "<dl>"
            for each, inner in fields.items():
                yield from self._field(each, inner, _required(is_required=each in required))
            yield "</dl>"
        yield "</section>"

    def _field(self, name: str, schema: Json, notes: Iterable[str]) -> Iterator[str]:
        details = [self._name(schema), *_limits(schema)]
        text = ", ".join(details)
        described = schema.get("description")
        if described:
            text += f"<br>{escape(described)}"
        note = ", ".join(notes)
        yield f"<dt><code>{escape(name)}</code> <span>{escape(note)}</span></dt><dd>{text}</dd>"

    def _name(self, schema: Json) -> str:
        """Return a schema in a few words, as HTML."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_REF)
            return f'<a href="#{escape(name)}"><code>{escape(name)}</code></a>'
        for key in ("anyOf", "oneOf", "allOf"):
            if key in schema:
                word = " and " if key == "allOf" else " or "
                return word.join(self._name(each) for each in schema[key])
        values = schema.get("enum", [schema["const"]] if "const" in schema else None)
        if values is not None:
            return " or ".join(f"<code>{escape(json.dumps(each))}</code>" for each in values)
        kind = schema.get("type", "any value")
        if kind == "array":
            return f"array of {self._name(schema.get('items', {}))}"
        if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
            return f"object of {self._name(schema['additionalProperties'])}"
        kind = " or ".join(kind) if isinstance(kind, list) else kind
        return escape(f"{kind} ({schema['format']})" if "format" in schema else kind)

    def _example(self, schema: Json, seen: tuple[str, ...]) -> Any:  # Any: JSON
        """Return a value that the schema allows, as far as it is simple."""
        if "$ref" in schema:
            name = schema["$ref"].removeprefix(_REF)
            return None if name in seen else self._example(self._schemas[name], (*seen, name))
        given: list[object] = [schema[key] for key in ("default", "const") if key in schema]
        given += [*schema.get("examples", ()), *schema.get("enum", ())]
        if given:
            return given[0]
        choices = [each for key in ("anyOf", "oneOf", "allOf") for each in schema.get(key, ())]
        if choices:
            return self._example(choices[0], seen)
        match schema.get("type"):
            case "object":
                fields = schema.get("properties", {})
                return {name: self._example(each, seen) for name, each in fields.items()}
            case "array":
                item = self._example(schema.get("items", {}), seen)
                return [] if item is None else [item]
        return _plain_example(schema)


def _plain_example(schema: Json) -> object:
    match schema.get("type"):
        case "integer" | "number":
            return schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        case "boolean":
            return False
        case "string":
            return _STRINGS.get(schema.get("format", ""), "text")
    return None


_STRINGS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00",
    "duration": "PT1H",
    "uuid": "8a2b6c1e-5f6d-4b1a-9c3e-2f4d5a6b7c8d",
    "decimal": "1.50",
    "email": "ann@example.com",
    "uri": "https://example.com/",
}

_LIMITS = {
    "minimum": "at least",
    "exclusiveMinimum": "more than",
    "maximum": "at most",
    "exclusiveMaximum": "less than",
    "multipleOf": "a multiple of",
    "minLength": "characters at least",
    "maxLength": "characters at most",
    "pattern": "matches",
    "minItems": "items at least",
    "maxItems": "items at most",
    "default": "default",
}


def _limits(schema: Json) -> list[str]:
    return [
        f"{words} <code>{escape(json.dumps(schema[key]))}</code>"
        for key, words in _LIMITS.items()
        if key in schema
    ]


def _required(*, is_required: bool) -> list[str]:
    return [] if is_required else ["optional"]


def _text(text: str | None) -> Iterator[str]:
    if text:
        yield f"<p>{escape(text)}</p>"
