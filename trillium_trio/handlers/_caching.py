"""Conditional requests: 304 for a client that has the current version, 412 before a lost update."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, final

from ..conn import Handler
from ..exceptions import ConfigError, HttpError
from ..http import (
    EntityTag,
    Status,
    Validators,
    judge_preconditions,
    parse_http_date,
    reason_phrase,
)

if TYPE_CHECKING:
    from ..conn import Conn

__all__ = ["CachingHeaders", "check_preconditions"]

# RFC 9110, 15.4.5: a 304 has the fields that caches need, and does not describe content.
_OF_CONTENT = (
    *("content-type", "content-length", "content-encoding", "content-language"),
    *("content-range", "accept-ranges"),
)
_VALIDATORS = ("etag", "last-modified")


@final
class CachingHeaders(Handler):
    """Answers 304 if the client has the current version, and 412 if a precondition fails.

    It compares the ETag and Last-Modified that the response has when it is sent with the
    preconditions of the request (RFC 9110, 13), for GET and HEAD. The handler has then run: what it
    saves is the transfer. Put it behind a handler that compresses, so that it sees plain bodies.

    Args:
      etag: Make an ETag for responses that have none and whose body is in memory: ``"strong"``
        says that the bytes are the same, ``"weak"`` that a handler in front may still recode them.
        Default: None, make none.

    Raises:
      ConfigError: ``etag`` is anything else.
    """

    def __init__(self, *, etag: Literal["weak", "strong"] | None = None) -> None:
        if etag not in {"weak", "strong", None}:
            raise ConfigError(f"CachingHeaders.etag is 'weak', 'strong' or None, not {etag!r}")
        self._makes_etag = etag is not None
        self._is_weak = etag == "weak"

    async def before_send(self, conn: Conn) -> Conn:
        """Answer 304 or 412 instead, if the preconditions say so.

        Cancellation:
          That of closing a body which will not be sent.
        """
        status = conn.status
        if status is None:
            status = Status.NOT_FOUND if conn.raw_body is None else Status.OK
        if conn.method not in {"GET", "HEAD"} or not 200 <= status <= 299:
            return conn
        if self._makes_etag and status == Status.OK:
            self._make_etag(conn)
        fields = conn.raw_headers
        if fields is None:
            current = Validators()
        else:
            current = Validators(
                EntityTag.parse(fields.get("etag") or ""),
                parse_http_date(fields.get("last-modified") or ""),
            )
        answer = judge_preconditions(conn.method, conn.request_headers, current)
        if answer is not None:
            await _replace(conn, answer)
        return conn

    def _make_etag(self, conn: Conn) -> None:
        data = conn.response_body.data
        if not data and (data is None or conn.method == "HEAD"):
            return
        fields = conn.response_headers
        if "etag" in fields:
            return
        if any("no-store" in each.lower() for each in fields.get_all("cache-control")):
            return
        fields.set("etag", str(EntityTag.of_content(data, is_weak=self._is_weak)))


async def _replace(conn: Conn, answer: Status) -> None:
    """Replace a response by a 304 or 412.

    Cancellation:
      That of closing the body.
    """
    await conn.response_body.aclose()
    is_failed = answer == Status.PRECONDITION_FAILED
    fields = conn.response_headers
    for name in (*_OF_CONTENT, *_VALIDATORS) if is_failed else _OF_CONTENT:
        fields.remove(name)
    conn.with_status(answer).with_body(f"{reason_phrase(answer)}\n" if is_failed else None)


def check_preconditions(
    conn: Conn,
    *,
    etag: EntityTag | str | None = None,
    last_modified: float | None = None,
    exists: bool = True,
) -> None:
    """Check that a request may be performed on the current version, before it changes anything.

    This prevents lost updates: a client sends If-Match with the version that it has read, and
    ``If-None-Match: *`` to create what does not exist yet (RFC 9110, 13.1). To rule out a race, the
    check and the change have to be one transaction.

    Args:
      conn: The request.
      etag: The current entity tag; a `str` as the field has it, such as ``'"a"'``.
      last_modified: When the resource was modified last, in seconds since the epoch.
      exists: Whether there is a current version.

    Raises:
      HttpError: 412, the request must not be performed. Answerable.
      ValueError: ``etag`` is not an entity tag.
    """
    if isinstance(etag, str):
        parsed = EntityTag.parse(etag)
        if parsed is None:
            raise ValueError(f"{etag!r} is not an entity tag (RFC 9110, 8.8.3)")
        etag = parsed
    current = Validators(etag, last_modified, exists)
    if judge_preconditions(conn.method, conn.request_headers, current) == (
        Status.PRECONDITION_FAILED
    ):
        raise HttpError(Status.PRECONDITION_FAILED)
