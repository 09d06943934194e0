"""What a function answers with, by its annotation: for the description, and for Accept."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from dataclasses import dataclass
from types import UnionType
from typing import TYPE_CHECKING, Any, Literal, Union, final, get_args, get_origin

from ..._log import callable_name
from ...conn import Conn
from ...exceptions import ConfigError
from ...http import reason_phrase
from ._negotiation import JSON, JSON_LINES
from ._problem import PROBLEM_TYPE
from ._schemas import schemas_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Outcome", "Outcomes", "outcomes_of"]

_STREAMS = {AsyncGenerator, AsyncIterable, AsyncIterator}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One response that a function may give.

    Attributes:
      status: Its status.
      media_type: Of its body; None: it has none.
      type: Of its value, or of each value of a stream.
      description: For people.
    """

    status: int
    media_type: str | None
    type: Any  # Any: an annotation
    description: str


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Outcomes:
    """What a function answers with.

    Attributes:
      all: In the order in which they are annotated.
      media_type: What a client must accept; None: anything.
      decides: Whether the function may answer with its conn, and so with anything.
    """

    all: tuple[Outcome, ...]
    media_type: str | None
    decides: bool


def outcomes_of(
    fn: Callable[..., object],
    hints: Mapping[str, Any],  # Any: annotations
    *,
    status: int | None,
    responses: Mapping[int, object],
) -> Outcomes:
    """Read them off the annotation of a function's result, and the other responses it names.

    Raises:
      ConfigError: A type cannot be encoded. The message names the function.
    """
    annotation = hints.get("return", Any)
    found = list(_outcomes(annotation, status))
    media_types = {each.media_type for each in found} - {None}
    decides = any(part is Conn for part in _parts(annotation))
    [media_type] = media_types if len(media_types) == 1 and not decides else {None}
    for code, given in responses.items():
        is_text = isinstance(given, str)
        error = "" if is_text or code < 400 else reason_phrase(code)
        found.append(
            Outcome(
                status=int(code),
                media_type=(PROBLEM_TYPE if code >= 400 else None) if is_text else JSON,
                type=None if is_text else given,
                description=str(given) if is_text else error or reason_phrase(code),
            )
        )
    try:
        schemas_of([each.type for each in found if each.media_type == JSON], is_response=True)
    except TypeError as error:
        name = callable_name(fn)
        raise ConfigError(f"the result of {name} has a type without JSON: {error}") from error
    is_negotiated = media_type in {JSON, JSON_LINES}
    return Outcomes(
        all=tuple(found),
        media_type=media_type if is_negotiated else None,
        decides=decides,
    )


def _outcomes(annotation: Any, status: int | None) -> Iterator[Outcome]:  # Any: an annotation
    for part in _parts(annotation):
        if get_origin(part) is tuple and len(get_args(part)) == 2:
            code, value = get_args(part)
            codes = get_args(code) if get_origin(code) is Literal else (status,)
            for each in codes:
                yield from _outcomes(value, each)
        elif part is type(None):
            yield _outcome(status or 204, None, None)
        elif part is str:
            yield _outcome(status or 200, "text/plain", str)
        elif part is bytes:
            yield _outcome(status or 200, "application/octet-stream", bytes)
        elif get_origin(part) in _STREAMS:
            yield _outcome(status or 200, JSON_LINES, get_args(part)[0])
        elif part is not Conn:
            # Each alone: decoding could not tell some types apart, but these are only encoded.
            yield _outcome(status or 200, JSON, part)


def _outcome(status: int, media_type: str | None, type_: Any) -> Outcome:  # Any: an annotation
    description = reason_phrase(status) or str(status)
    return Outcome(status=status, media_type=media_type, type=type_, description=description)


def _parts(annotation: Any) -> tuple[Any, ...]:  # Any: annotations
    is_union = get_origin(annotation) in {Union, UnionType}
    return get_args(annotation) if is_union else (annotation,)
