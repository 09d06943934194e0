"""A client of server-sent events, which reads them as browsers do."""

from __future__ import annotations

import codecs
import re
from typing import TYPE_CHECKING, Self, final

import h11
import trio

from ..handlers import Event
from ..http import Headers
from ._exchange import headers_of

if TYPE_CHECKING:
    from ._memory import MemoryStream
    from ._request import Request

__all__ = ["EventParser", "EventReader"]

# A CR at the end of the received text may be the first half of CR LF.
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\n|\r(?=.))", re.DOTALL)
_DIGITS = re.compile(r"[0-9]+")


@final
class EventParser:
    """Reads a stream of events as browsers do (WHATWG HTML, 9.2.6), in pieces of any size.

    Attributes:
      last_id: What a browser would send as ``Last-Event-ID``.
      retry: The last reconnection time that the stream sent, in seconds, or None.
    """

    def __init__(self) -> None:
        self.last_id: str = ""
        self.retry: float | None = None
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")("replace")
        self._text = ""
        self._data: list[str] = []
        self._type = ""
        self._id: str | None = None

    def feed(self, data: bytes) -> list[Event]:
        """Return the events that are complete now."""
        self._text += self._decoder.decode(data)
        events = []
        end = 0
        for line in _LINE.finditer(self._text):
            end = line.end()
            if line[1]:
                self._take(line[1])
            elif (event := self._dispatch()) is not None:
                events.append(event)
        self._text = self._text[end:]
        return events

    def _take(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._type = value
            case "id" if "\0" not in value:
                self._id = value
            case "retry" if _DIGITS.fullmatch(value):
                self.retry = int(value) / 1000

    def _dispatch(self) -> Event | None:
        if self._id is not None:
            self.last_id = self._id
        event = None
        if self._data:
            event = Event(
                data="\n".join(self._data), event=self._type or None, id=self.last_id or None
            )
        self._data, self._type = [], ""
        return event


@final
class EventReader:
    """The events of one response: an async iterator that ends with the stream.

    Attributes:
      parser: Has the last id and the reconnection time.
      status: Of the response, once the first event was awaited.
      headers: The same.
      is_whole: Whether the stream has ended properly, and was not cut.
    """

    def __init__(self, stream: MemoryStream, request: Request) -> None:
        self.parser: EventParser = EventParser()
        self.status: int = 0
        self.headers: Headers = Headers()
        self.is_whole: bool = False
        self._stream = stream
        self._request = request
        self._http: h11.Connection | None = None
        self._events: list[Event] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        """Return the next event.

        Raises:
          StopAsyncIteration: The stream has ended; `is_whole` says how.

        Cancellation:
          No event is lost.
        """
        if self._http is None:
            self._http, head = self._request.connection()
            rest = self._http.send(h11.EndOfMessage()) or b""
            await self._stream.send_all(head + rest)
        try:
            while not self._events:
                match self._http.next_event():
                    case h11.NEED_DATA:
                        self._http.receive_data(await self._stream.receive_some())
                    case h11.Response() as response:
                        self.status = response.status_code
                        self.headers = headers_of(response.headers.raw_items())
                    case h11.Data() as piece:
                        self._events += self.parser.feed(bytes(piece.data))
                    case end:
                        self.is_whole = isinstance(end, h11.EndOfMessage) or self.is_whole
                        raise StopAsyncIteration
        except (trio.BrokenResourceError, h11.RemoteProtocolError):
            raise StopAsyncIteration from None  # cut
        return self._events.pop(0)

    async def aclose(self) -> None:
        """Disconnect, as a browser does when its page is closed.

        Cancellation:
          Closed in any case.
        """
        await self._stream.aclose()

    def __repr__(self) -> str:
        return f"<EventReader {self._request.path} {self.status}>"
