"""The argument that is the request's body."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import parse_qs

from ...conn import check_json_depth
from ...exceptions import BadRequest
from ._codec import (
    FINITE,
    REFUSALS,
    body_faults,
    decoder_of,
    form_converter,
    form_fields,
    is_finite,
    pointer_of,
    why_malformed,
)
from ._negotiation import FORM, JSON, check_content_type
from ._parameters import MISSING
from ._problem import Fault, Problem, invalid

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from ...conn import Conn
    from ._parameters import Parameter

__all__ = ["BodyReader", "body_reader_of"]

BodyReader: TypeAlias = "Callable[[Conn], Coroutine[object, object, Any]]"
"""Reads and decodes a body. Any: as annotated."""

# As many as a careful form has; each costs more memory than its bytes.
_MAX_FIELDS = 1000


def body_reader_of(parameter: Parameter) -> BodyReader:
    """Return the function that reads the body for this parameter; it raises `Problem`."""
    if parameter.type is bytes:
        return _read_bytes
    is_form = parameter.source == "form"
    media_type = FORM if is_form else JSON
    parse = _form_parser(parameter.type) if is_form else _json_parser(parameter.type)
    default = parameter.default

    async def read(conn: Conn) -> Any:  # Any: as annotated
        body = conn.request_body
        if default is not MISSING and body.length == 0:
            return default
        # Compared here, because nearly every request has exactly this.
        if conn.request_headers.get("content-type") != media_type:
            check_content_type(conn, media_type)
        data = await body.read(body.max_json_bytes)
        return parse(data) if data or default is MISSING else default

    return read


async def _read_bytes(conn: Conn) -> bytes:
    return await conn.request_body.read()


def _json_parser(type_: Any) -> Callable[[bytes], Any]:  # Any: the type and its values
    decode = decoder_of(type_)

    def parse(data: bytes) -> Any:  # Any: as above
        try:
            check_json_depth(data)
            if not data.isascii():
                data.decode()  # msgspec does not look at the text of unknown fields
            return decode(data)
        except BadRequest as error:
            raise Problem(400, "the JSON is nested too deeply") from error
        except REFUSALS as error:
            faults = body_faults(error, type_)
            if faults is None:
                raise Problem(400, f"the body is not JSON: {why_malformed(error)}") from error
            raise invalid(422, faults) from error

    return parse


def _form_parser(type_: Any) -> Callable[[bytes], Any]:  # Any: the type and its values
    convert = form_converter(type_)
    known = form_fields(type_)

    def parse(data: bytes) -> Any:  # Any: as above
        try:
            fields = parse_qs(
                data.decode("ascii"),
                keep_blank_values=True,
                strict_parsing=bool(data),
                errors="strict",
                max_num_fields=_MAX_FIELDS,
            )
        except ValueError as error:
            raise Problem(400, f"the body is not {FORM}") from error
        given: dict[str, str | list[str]] = {}
        faults = []
        for name, texts in fields.items():
            # Whether unknown ones are ignored is the type's decision.
            given[name] = texts[0] if name in known.single else texts
            detail = None
            if name in known.single and len(texts) > 1:
                detail = f"is given {len(texts)} times; expected once"
            elif name in known.numbers and not all(map(is_finite, texts)):
                detail = FINITE
            if detail is not None:
                faults.append(Fault(place="body", name=pointer_of([name]), detail=detail))
        if faults:
            raise invalid(422, faults)
        try:
            return convert(given)
        except REFUSALS as error:
            raise invalid(422, body_faults(error, type_) or ()) from error

    return parse
