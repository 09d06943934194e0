"""What a function returns, as a response."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Any, TypeAlias, final

from ..._log import kind_of
from ...conn import Conn
from ...http import Body
from ._codec import encoder
from ._negotiation import JSON, JSON_LINES

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

__all__ = ["Responder", "responder_of"]

Responder: TypeAlias = "Callable[[Conn, object], Conn]"
"""Puts a result on the conn."""


def responder_of(status: int | None, *, stops: bool) -> Responder:
    """Return the function that answers with a result.

    Args:
      status: Of the response, unless the function returns one. None: what the conn has, else 200,
        or 204 for None.
      stops: Whether a stream ends at the stop.
    """
    encode = encoder()

    def respond(conn: Conn, result: object) -> Conn:
        if result is conn:
            return conn
        code = status
        if type(result) is tuple:
            code, result = _split(result)
        if result is None:
            return conn.with_status(code or conn.status or 204).halt()
        if code is None:
            code = conn.status or 200
        if type(result) is str or type(result) is bytes:
            body: str | bytes | Body = result
        elif hasattr(type(result), "__aiter__"):
            # Asked like this, because `isinstance` with an abstract class is slow.
            assert isinstance(result, AsyncIterable)
            _set_type(conn, JSON_LINES)
            body = Body.streaming(_Lines(conn, result, encode, stops=stops))
        elif isinstance(result, Conn):
            raise TypeError("the function returned another conn than it was given")
        else:
            body = encode(result)
            _set_type(conn, JSON)
        return conn.ok(body) if code == 200 else conn.ok(body).with_status(code)

    return respond


def _split(result: tuple[object, ...]) -> tuple[int, object]:
    if len(result) == 2 and isinstance(result[0], int) and not isinstance(result[0], bool):
        return result[0], result[1]
    raise TypeError(
        "a tuple is a status and a value, such as (201, item), not "
        f"({', '.join(kind_of(each) for each in result)}); return a list for an array"
    )


def _set_type(conn: Conn, media_type: str) -> None:
    headers = conn.response_headers
    if "content-type" not in headers:
        headers.set("content-type", media_type)


@final
class _Lines:
    """A stream of JSON lines: each value is sent at once; the source is always closed."""

    def __init__(
        self,
        conn: Conn,
        values: AsyncIterable[object],
        encode: Callable[[object], bytes],
        *,
        stops: bool,
    ) -> None:
        self._values = values
        self._encode = encode
        is_head = conn.method == "HEAD"
        self._iterator: AsyncIterator[Any] | None = None  # Any: what JSON can hold
        if not is_head:
            self._iterator = conn.swansong.interrupt(values) if stops else aiter(values)

    def __aiter__(self) -> _Lines:
        return self

    async def __anext__(self) -> bytes:
        if self._iterator is None:
            raise StopAsyncIteration
        return self._encode(await anext(self._iterator)) + b"\n"

    async def aclose(self) -> None:
        for each in (self._iterator, self._values):
            close = getattr(each, "aclose", None)
            if close is not None:
                await close()
