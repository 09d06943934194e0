"""One input in several pieces, and what every error has to be."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trillium_trio.exceptions import HttpError

Pieces: TypeAlias = list[bytes]

# What a peer may write into the log: a reason, an excerpt of 64 bytes, of each of which repr() may
# make four characters, and a section of an RFC.
MAX_MESSAGE = 320


def splits(data: bytes) -> Iterator[Pieces]:
    """Yield the input whole, in two halves, and cut twice at places that depend on it alone."""
    yield [data]
    middle = len(data) // 2
    yield [data[:middle], data[middle:]]
    dice = random.Random(data)
    for most in (4, 16):
        ends = sorted(dice.randint(0, len(data)) for _ in range(most))
        yield [data[start:end] for start, end in zip([0, *ends], [*ends, len(data)], strict=True)]


def one_by_one(data: bytes) -> Pieces:
    """Cut into single bytes."""
    return [data[at : at + 1] for at in range(len(data))]


def check_splits(data: bytes, read: Callable[[Pieces], tuple[object, int]]) -> object:
    """Check that the input reads the same however it is cut, and is judged as early as it can be.

    Args:
      data: The input.
      read: Reads pieces up to the end of the message or an error. Returns the outcome, in a form
        that compares, and how many bytes it was given.

    Returns:
      The one outcome.
    """
    outcome, certain = read(one_by_one(data))
    for pieces in splits(data):
        given = 0
        for piece in pieces:
            given += len(piece)
            if given >= certain:
                break
        assert read(pieces) == (outcome, given), [len(piece) for piece in pieces]
    return outcome


def check_error(error: HttpError) -> tuple[type[HttpError], str]:
    """Check that an error can be answered and logged; return it in a form that compares."""
    assert 400 <= error.status <= 599, error.status
    message = str(error)
    assert len(message) <= MAX_MESSAGE, message
    check_message(error)
    return type(error), message


def check_message(error: Exception, *names: str) -> None:
    """Check that a message is one printable line that names these."""
    message = str(error)
    assert message.isprintable(), message
    assert all(name in message for name in names), message
