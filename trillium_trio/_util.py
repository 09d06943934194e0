"""What several layers share: checks of settings, bytes of buffers."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from .exceptions import ConfigError

if TYPE_CHECKING:
    from array import array
    from mmap import mmap

    # collections.abc.Buffer, which says all that there are, comes with Python 3.12.
    Buffer: TypeAlias = bytes | bytearray | memoryview | array[Any] | mmap

__all__ = ["as_bytes", "byte_view", "check_count", "check_number"]


def byte_view(buffer: Buffer) -> memoryview:
    """Return a view of the bytes of a buffer, in which each item is one byte.

    It is a copy where the buffer has wider items, several dimensions or gaps.

    Raises:
      TypeError: It is no buffer.
    """
    view = memoryview(buffer)
    if view.itemsize == 1 and view.ndim == 1 and view.c_contiguous:
        return view
    return memoryview(view.tobytes())


def as_bytes(buffer: Buffer) -> bytes | memoryview:
    """Return the bytes that a buffer holds now; the result never changes.

    Only what is made of a `bytes` object cannot change, and is not copied.

    Raises:
      TypeError: It is no buffer.
    """
    if type(buffer) is bytes:
        return buffer
    view = byte_view(buffer)
    return view if type(view.obj) is bytes else view.tobytes()


def check_number(name: str, value: object, *, least: float) -> None:
    """Hold a setting in seconds to its type and range; ``inf`` is for ever.

    Raises:
      ConfigError: It is no number of at least ``least``.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and least <= value <= inf):  # type: ignore[operator]  # is_number says so
        raise ConfigError(f"{name} must be a number of seconds from {least:g}, not {value!r}")


def check_count(name: str, value: object, *, least: int) -> None:
    """Hold a size or a count to its type and range.

    Raises:
      ConfigError: It is no whole number of at least ``least``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} must be a whole number from {least}, not {value!r}")
