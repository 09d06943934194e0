"""Conditional requests: what becomes of a request with preconditions (RFC 9110, 13)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from ._dates import parse_http_date
from ._entity_tag import EntityTag, parse_entity_tags
from ._status import Status

if TYPE_CHECKING:
    from collections.abc import Callable

    from ._headers import Headers

__all__ = ["Validators", "if_range_holds", "judge_preconditions"]


@final
@dataclass(frozen=True, slots=True)
class Validators:
    """What identifies the current version of a resource.

    Args:
      etag: Its entity tag, if it has one.
      last_modified: When it was modified last, in seconds since the epoch; the fraction is dropped,
        as in the field. None: unknown.
      exists: Whether it has a current version at all.
    """

    etag: EntityTag | None = None
    last_modified: float | None = None
    exists: bool = True


_READING = frozenset({"GET", "HEAD"})
# RFC 9110, 13.2.1: they neither select nor modify a representation.
_UNCONDITIONAL = frozenset({"CONNECT", "OPTIONS", "TRACE"})


def _if_match(text: str, current: Validators) -> bool | None:
    if text == "*":
        return current.exists
    etag = current.etag
    return etag is not None and any(map(etag.is_same, parse_entity_tags(text)))


def _if_none_match(text: str, current: Validators) -> bool | None:
    if text == "*":
        return not current.exists
    etag = current.etag
    return etag is None or not any(map(etag.is_equivalent, parse_entity_tags(text)))


def _if_unmodified_since(text: str, current: Validators) -> bool | None:
    date = parse_http_date(text)
    if date is None or current.last_modified is None:
        return None
    return int(current.last_modified) <= date


def _if_modified_since(text: str, current: Validators) -> bool | None:
    is_unmodified = _if_unmodified_since(text, current)
    return None if is_unmodified is None else not is_unmodified


@final
@dataclass(frozen=True, slots=True)
class _Step:
    """One line of the table.

    Attributes:
      field: The field that is evaluated, in lower case.
      unless: The field which, if it is there, replaces this one; or the empty string.
      holds: Whether the precondition holds; None: it is to be ignored.
      reading, writing: The answer, by method, if it does not hold; None: go on.
    """

    field: str
    unless: str
    holds: Callable[[str, Validators], bool | None]
    reading: Status | None
    writing: Status | None


_FAILED, _NOT_MODIFIED = Status.PRECONDITION_FAILED, Status.NOT_MODIFIED
# RFC 9110, 13.2.2, steps 1 to 4; step 5 is `if_range_holds`.
_STEPS = (
    _Step("if-match", "", _if_match, _FAILED, _FAILED),
    _Step("if-unmodified-since", "if-match", _if_unmodified_since, _FAILED, _FAILED),
    _Step("if-none-match", "", _if_none_match, _NOT_MODIFIED, _FAILED),
    _Step("if-modified-since", "if-none-match", _if_modified_since, _NOT_MODIFIED, None),
)
_FIELDS = frozenset(step.field for step in _STEPS)


def judge_preconditions(
    method: str, fields: Headers, current: Validators, *, status: int = 200
) -> Status | None:
    """Return 304 or 412 if a precondition of the request decides its answer, else None.

    .. code-block:: text

        If-Match             strong    fails: 412
        If-Unmodified-Since  date      fails: 412                      unless there is If-Match
        If-None-Match        weak      fails: 304 for GET and HEAD, else 412
        If-Modified-Since    date      fails: 304 for GET and HEAD     unless there is If-None-Match

    A date that cannot be read is ignored, and so is each date if the resource has none. Of a list
    of entity tags, what follows the first malformed member is not read.

    Args:
      method: Of the request. CONNECT, OPTIONS and TRACE have no preconditions.
      fields: Of the request.
      current: Of the resource, before the request changes it.
      status: The status without preconditions: they count only if it is 2xx or 412.
    """
    present = _FIELDS.intersection(fields)
    if not present or method in _UNCONDITIONAL:
        return None
    if not (200 <= status <= 299 or status == _FAILED):
        return None
    for step in _STEPS:
        if step.field not in present or step.unless in present:
            continue
        if step.holds(_joined(fields, step.field), current) is False:
            answer = step.reading if method in _READING else step.writing
            if answer is not None:
                return answer
    return None


def if_range_holds(fields: Headers, current: Validators) -> bool:
    """Whether the Range of a request counts (RFC 9110, 13.1.5): it has no If-Range, or it matches.

    The entity tag has to be the same and strong, or the date exactly that of the last modification.
    Anything else does not match, and the answer is the whole representation.
    """
    if "if-range" not in fields:
        return True
    text = _joined(fields, "if-range")
    tag = EntityTag.parse(text)
    if tag is not None:
        return current.etag is not None and tag.is_same(current.etag)
    date = parse_http_date(text)
    return (
        date is not None
        and current.last_modified is not None
        and date == int(current.last_modified)
    )


def _joined(fields: Headers, name: str) -> str:
    """Return the value of a field that may be in several lines (RFC 9110, 5.3)."""
    return ", ".join(fields.get_all(name))
