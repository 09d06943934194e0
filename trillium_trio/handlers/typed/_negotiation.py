"""Media types: what the client accepts, and what its body is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...http import media_weight
from ._problem import Problem

if TYPE_CHECKING:
    from ...conn import Conn

__all__ = ["FORM", "JSON", "JSON_LINES", "check_accept", "check_content_type"]

JSON = "application/json"
JSON_LINES = "application/jsonl"
FORM = "application/x-www-form-urlencoded"


def check_accept(conn: Conn, media_type: str) -> None:
    """Check that the client accepts a media type (RFC 9110, 12.5.1).

    Raises:
      Problem: It does not: 406.
    """
    if not media_weight(conn.request_headers.get_all("accept"), media_type):
        raise Problem(406, f"this resource answers with {media_type}")


def check_content_type(conn: Conn, media_type: str) -> None:
    """Check the media type of the body; for JSON, also those that end with ``+json`` are.

    A body without Content-Type is refused as well: browsers send such requests to other origins
    without asking.

    Raises:
      Problem: It is another one: 415. Accept says which it should be (RFC 9110, 15.5.16).
    """
    field = conn.request_headers.get("content-type") or ""
    name = field.partition(";")[0].strip().lower()
    if name == media_type:
        return
    if media_type == JSON and name.startswith("application/") and name.endswith("+json"):
        return
    raise Problem(415, f"the body must be {media_type}", headers={"accept": media_type})
