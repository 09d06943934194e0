"""What somebody makes of the bytes of one connection; and what the codec makes of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trillium_trio.codec import ChunkedReader, HeadLimits, LengthReader, is_head_started, read_head
from trillium_trio.exceptions import HttpError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trillium_trio.http import RequestHead


@dataclass(kw_only=True)
class Seen:
    """One request whose head was complete, and as much of its body as was decoded."""

    method: str
    target: str
    version: str
    body: bytes = b""
    is_whole: bool = False


@dataclass(kw_only=True)
class Reading:
    """How a connection was understood.

    Attributes:
      ending: ``idle`` (between requests), ``incomplete`` (within one), ``closed`` (nothing more was
        read on purpose), the status of a refusal, or in words what should not have happened.
    """

    requests: list[Seen] = field(default_factory=list)
    ending: int | str = "idle"

    def refuse(self, status: int) -> None:
        """End with a refusal.

        How much of a body was handed on before the error depends on how it came, so it is dropped.
        """
        self.ending = status
        if self.requests and not self.requests[-1].is_whole:
            self.requests[-1].body = b""


def read_with_codec(pieces: Iterable[bytes]) -> Reading:
    """Read a connection without any I/O."""
    connection = _Connection()
    for piece in pieces:
        connection.receive(piece)
    return connection.reading


class _Connection:
    def __init__(self) -> None:
        self.reading = Reading()
        self._buffer = b""
        self._body: ChunkedReader | LengthReader | None = None
        self._keep_alive = True

    def receive(self, data: bytes) -> None:
        """Take what came, as far as it goes."""
        if self.reading.ending not in {"idle", "incomplete"}:
            return  # bytes behind a request that closes are discarded, behind an error never read
        self._buffer += data
        try:
            while self._step():
                pass
        except HttpError as error:
            self.reading.refuse(error.status)

    def _step(self) -> bool:
        reading = self.reading
        if self._body is None:
            result = read_head(self._buffer, HeadLimits())
            if result is None:
                reading.ending = "incomplete" if is_head_started(self._buffer) else "idle"
                return False
            head, used = result
            self._buffer = self._buffer[used:]
            self._begin(head)
        assert self._body is not None
        decoded, self._buffer = self._body.feed(self._buffer)
        request = reading.requests[-1]
        request.body += decoded
        request.is_whole = self._body.is_complete
        if not request.is_whole:
            reading.ending = "incomplete"
            return self._body.is_paused
        self._body = None
        reading.ending = "idle" if self._keep_alive else "closed"
        return self._keep_alive and bool(self._buffer)

    def _begin(self, head: RequestHead) -> None:
        self._body = ChunkedReader() if head.is_chunked else LengthReader(head.content_length or 0)
        # Behind an upgrade, bytes are another protocol's.
        self._keep_alive = head.keep_alive and not head.wants_upgrade
        self.reading.requests.append(
            Seen(method=head.method, target=head.target, version=head.version)
        )
