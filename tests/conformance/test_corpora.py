"""Each recorded connection, whole and byte by byte, held against its project's verdict."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from tests.conformance.conftest import find_corpora, load_cases, load_differences
from trillium_trio.codec import ChunkedReader, HeadLimits, LengthReader, is_head_started, read_head
from trillium_trio.exceptions import HttpError

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pytest

    from tests.conformance.conftest import Case
    from trillium_trio.http import RequestHead


@dataclass(kw_only=True)
class Connection:
    """A connection without I/O: what a server would see, and how it would end."""

    requests: list[dict[str, object]] = field(default_factory=list)
    ending: Literal["idle", "incomplete", "closed"] | tuple[int, str] = "idle"

    _buffer: bytes = b""
    _body: ChunkedReader | LengthReader | None = None
    _keep_alive: bool = True

    def receive(self, data: bytes) -> None:
        """Take what came, as far as it goes."""
        if self.ending not in {"idle", "incomplete"}:
            return  # bytes behind a request that closes are discarded, behind an error never read
        self._buffer += data
        try:
            while self._step():
                pass
        except HttpError as error:
            self.ending = error.status, str(error)

    def _step(self) -> bool:
        if self._body is None:
            result = read_head(self._buffer, HeadLimits())
            if result is None:
                self.ending = "incomplete" if is_head_started(self._buffer) else "idle"
                return False
            head, used = result
            self._buffer = self._buffer[used:]
            self._begin(head)
        assert self._body is not None
        decoded, self._buffer = self._body.feed(self._buffer)
        body = self.requests[-1]["body"]
        assert isinstance(body, bytes)
        self.requests[-1]["body"] = body + decoded
        if not self._body.is_complete:
            self.ending = "incomplete"
            return False
        self._body = None
        self.ending = "idle" if self._keep_alive else "closed"
        return self._keep_alive and bool(self._buffer)

    def _begin(self, head: RequestHead) -> None:
        self._body = ChunkedReader() if head.is_chunked else LengthReader(head.content_length or 0)
        # Behind an upgrade, bytes are another protocol's.
        self._keep_alive = head.keep_alive and not head.wants_upgrade
        self.requests.append(
            {"method": head.method, "target": head.target, "version": head.version, "body": b""}
        )


def run(pieces: Iterable[bytes]) -> Connection:
    connection = Connection()
    for piece in pieces:
        connection.receive(piece)
    return connection


def agrees(case: Case, connection: Connection) -> bool:
    """Tell whether a connection went the way the case expects."""
    is_refused = isinstance(connection.ending, tuple)
    match case.expect:
        case "reject":
            return is_refused
        case "incomplete":
            return connection.ending in {"incomplete", "idle"}
        case "accept":
            return not is_refused and are_the_requests(connection.requests, case.requests)
        case _:
            # A probe has no verdict, and either is fine.
            return True


def are_the_requests(ours: list[dict[str, object]], theirs: list[dict[str, str]] | None) -> bool:
    """Compare requests in what the corpus knows of them."""
    if theirs is None:
        return bool(ours)
    return len(ours) == len(theirs) and all(
        our[key] == (value if value else our[key])
        if key != "body_b64"
        else our["body"] == base64.b64decode(value)
        for our, their in zip(ours, theirs, strict=True)
        for key, value in their.items()
    )


def test_case(case: Case) -> None:
    whole = run([case.data])
    bytewise = run(case.data[at : at + 1] for at in range(len(case.data)))
    assert bytewise.ending == whole.ending
    if not isinstance(whole.ending, tuple):
        assert bytewise.requests == whole.requests
    if case.difference is None:
        assert agrees(case, whole), f"expected {case.expect}: {whole}"
    else:
        assert not agrees(case, whole), "strike this case from differences.json"


def test_every_difference_is_one_of_a_case(pytestconfig: pytest.Config) -> None:
    names = {case.id for case in load_cases(find_corpora(pytestconfig))}
    assert load_differences().keys() <= names
