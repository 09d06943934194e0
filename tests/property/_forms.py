"""Reading a form without a server, and an encoder that shares nothing with the reader."""

from __future__ import annotations

import io
import re
from collections import deque
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.fuzz._splits import check_error, one_by_one, splits
from trillium_trio.conn import Conn
from trillium_trio.exceptions import ContentTooLarge, HttpError
from trillium_trio.handlers import Forms
from trillium_trio.http import Headers, HttpConfig, RequestHead

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fuzz._splits import Pieces
    from trillium_trio.handlers import Form

Field = tuple[str, str]
File = tuple[str, str, str | None, bytes]

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
_BARE_LINE_FEED = re.compile(rb"(?<!\r)\n")
# A few hundred bytes can pass each. Not that of the whole body: it comes before what is malformed
# in the same piece, and behind what was malformed in an earlier one.
LIMITS = Forms(max_fields=3, max_text_bytes=40, max_files=2, max_file_bytes=30)


class Source:
    """A body without a length that arrives in these pieces."""

    length = None
    trailers = Headers()

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = deque(pieces)
        self._received = 0

    @property
    def is_complete(self) -> bool:
        return not self._pieces

    async def receive(self, max_bytes: int) -> bytes:
        while self._pieces:
            if piece := self._pieces.popleft():
                self._received += len(piece)
                if self._received > max_bytes:
                    raise ContentTooLarge("the body is too large")
                return piece
        return b""


def read_form(pieces: Pieces, kind: str, forms: Forms) -> list[Field | File]:
    """Return the fields and then the files of a form, those of one name together.

    Raises:
      HttpError: It is refused.
    """
    head = RequestHead("POST", "/", "1.1", Headers([("host", "x"), ("content-type", kind)]))
    # Any: a conn asks its link for nothing else here.
    link: Any = SimpleNamespace(info=SimpleNamespace(config=SimpleNamespace(http=HttpConfig())))
    conn = Conn(link, head, Source(pieces), 0.0).with_state(forms._mark)
    # It waits for nothing but the source, which never does.
    reading = Forms.of(conn).read()
    try:
        reading.send(None)
    except StopIteration as end:
        return _contents(end.value)
    raise AssertionError("it has waited")


def _contents(form: Form) -> list[Field | File]:
    found: list[Field | File] = [(name, each) for name in form for each in form.get_all(name)]
    for name in form.files:
        for each in form.get_files(name):
            assert isinstance(each.file, io.BytesIO)
            assert each.size == len(each.file.getvalue())
            found.append((name, each.filename, each.content_type, each.file.getvalue()))
    return found


def check_form(data: bytes, kind: str) -> None:
    """Check that any bytes are a form or refused, and read alike however they are cut."""
    bytewise = _outcome(one_by_one(data), kind)
    for pieces in splits(data):
        outcome = _outcome(pieces, kind)
        # The parser refuses a line feed in the head of a part, but only if a piece ends behind it.
        if 400 in (outcome, bytewise) and _BARE_LINE_FEED.search(data):
            continue
        assert outcome == bytewise, [len(piece) for piece in pieces]


def _outcome(pieces: Pieces, kind: str) -> object:
    try:
        found = read_form(pieces, kind, LIMITS)
    except HttpError as error:
        check_error(error)
        return error.status if error.status in {400, 413, 415} else error
    text = [each for each in found if len(each) == 2]
    assert len(text) <= 3
    assert len(found) - len(text) <= 2
    assert sum(len(name.encode()) + len(value.encode()) for name, value in text) <= 40
    for each in found:
        if len(each) == 4:
            assert len(each[3]) <= 30
            assert not set(each[1]) & set("/\\\0\n\r")
    return found


def encode(parts: Iterable[Field | File], boundary: str) -> bytes:
    """Write a form as browsers do (WHATWG HTML, 4.10.21.8)."""
    lines: list[bytes] = []
    for each in parts:
        lines.append(b"--" + boundary.encode())
        disposition = f'Content-Disposition: form-data; name="{_escaped(each[0])}"'
        if len(each) == 2:
            lines += [disposition.encode(), b"", each[1].encode()]
        else:
            _, filename, kind, data = each
            lines.append(f'{disposition}; filename="{_escaped(filename)}"'.encode())
            if kind is not None:
                lines.append(f"Content-Type: {kind}".encode())
            lines += [b"", data]
    return b"\r\n".join([*lines, b"--" + boundary.encode() + b"--", b""])


def _escaped(name: str) -> str:
    for character in '\n\r"':
        name = name.replace(character, f"%{ord(character):02X}")
    return name
