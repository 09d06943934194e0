"""Any form that an independent encoder writes comes back, and any bytes are read alike."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.property._forms import (
    LIMITS,
    MULTIPART,
    URLENCODED,
    Field,
    File,
    check_form,
    encode,
    read_form,
)
from trillium_trio.handlers import Forms
from trillium_trio.handlers.forms import PartReader

if TYPE_CHECKING:
    import random

ANY = Forms(spool_bytes=1 << 20)
TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
# Not what is encoded itself, nor what reads as another way of quoting.
NAMES = TEXT.filter(lambda name: not any(each in name for each in ("%", "\\")))
# Without what is taken from the names of files.
FILENAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc"], exclude_characters="/\\%"),
    min_size=1,
    max_size=20,
)
KINDS = st.sampled_from([None, "text/plain", "application/octet-stream"])
BOUNDARIES = st.sampled_from(["b", "-" * 27 + "186454651713519341951581030105", "a'()+_,-./:=?b"])
# What looks like the end of a part, or begins it.
NEARLY = [b"\r\n", b"\r", b"\n", b"-", b"--", b"\r\n--", b"\r\n-", b"a", b"\0", b"\r\r\n--x"]
CONTENTS = st.one_of(
    st.binary(max_size=60),
    st.lists(st.sampled_from(NEARLY), max_size=12).map(b"".join),
)
FIELDS: st.SearchStrategy[Field] = st.tuples(NAMES, TEXT)
FILES: st.SearchStrategy[File] = st.tuples(NAMES, FILENAMES, KINDS, CONTENTS)


def pieces_of(data: bytes, dice: random.Random) -> list[bytes]:
    """Cut anywhere, often into tiny pieces."""
    pieces = []
    while data:
        size = dice.choice([1, 2, 3, dice.randint(1, 80)])
        pieces.append(data[:size])
        data = data[size:]
    return pieces


def grouped(parts: list[Field | File]) -> list[Field | File]:
    """Put the fields first, and those of one name together, in the order of their first."""
    found: list[Field | File] = []
    for length in (2, 4):
        names = dict.fromkeys(each[0] for each in parts if len(each) == length)
        for name in names:
            found += [each for each in parts if len(each) == length and each[0] == name]
    return found


@given(
    st.lists(st.one_of(FIELDS, FILES), max_size=6),
    BOUNDARIES,
    st.sampled_from([b"", b"\r\n", b"a preamble\r\n"]),
    st.sampled_from([b"", b"an epilogue", b"--b\r\n"]),
    st.randoms(use_true_random=False),
)
def test_a_multipart_form_comes_back(
    parts: list[Field | File], boundary: str, before: bytes, after: bytes, dice: random.Random
) -> None:
    body = encode(parts, boundary)
    # An encoder chooses a boundary that is not in what it sends.
    if body.count(b"\r\n--" + boundary.encode()) > len(parts):
        return
    body = before + body + after
    kind = f'multipart/form-data; boundary="{boundary}"'
    for pieces in ([body], pieces_of(body, dice)):
        assert read_form(pieces, kind, ANY) == grouped(parts)


@given(st.lists(FIELDS, max_size=6), st.randoms(use_true_random=False))
def test_an_urlencoded_form_comes_back(fields: list[Field], dice: random.Random) -> None:
    body = "&".join(f"{quote_plus(name)}={quote_plus(value)}" for name, value in fields).encode()
    for pieces in ([body], pieces_of(body, dice)):
        assert read_form(pieces, URLENCODED, ANY) == grouped([*fields])


WORDS = [b"--b", b"--", b"\r\n", b"\r", b"\n", b"x", b" ", b":", b'"', b";", b"\xff", b"%41", b"=&"]
WORDS += [b"--b\r\n", b"\r\n--b\r\n", b"\r\n--b--", b"Content-Disposition: form-data", b"; name=a"]
WORDS += [b'; filename="x"', b"\r\n\r\n", b"Content-Type: text/plain\r\n", b"Content-Length: 3"]
WORDS += [
    encode([("a", "1")], "b").removesuffix(b"--b--\r\n"),
    encode([("f", "x", None, b"2")], "b"),
]


@given(st.lists(st.sampled_from(WORDS), max_size=12).map(b"".join), st.booleans())
def test_any_bytes_are_read_alike_however_they_are_cut(body: bytes, is_multipart: bool) -> None:
    check_form(body, MULTIPART if is_multipart else URLENCODED)


def test_a_reader_that_looks_at_the_pieces_would_be_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = b"x" * 40 + encode([("a", "1")], "b")
    check_form(body, MULTIPART)
    monkeypatch.setattr(PartReader, "_from_first_boundary", lambda _, chunk: chunk)
    with pytest.raises(AssertionError):
        check_form(body, MULTIPART)


def test_the_encoder_writes_what_the_limits_refuse() -> None:
    with pytest.raises(Exception, match="more than 3 fields"):
        read_form([encode([("a", "1")] * 4, "b")], MULTIPART, LIMITS)
