"""Helpers of several layers: checks of settings, bytes of buffers, imports at need."""

from __future__ import annotations

import inspect
import sys
from importlib import import_module
from math import inf
from typing import TYPE_CHECKING, Any, TypeAlias

from .exceptions import ConfigError

if TYPE_CHECKING:
    from array import array
    from collections.abc import Callable, Mapping
    from mmap import mmap

    # collections.abc.Buffer, which covers all buffers, needs Python 3.12.
    Buffer: TypeAlias = bytes | bytearray | memoryview | array[Any] | mmap

__all__ = [
    "as_bytes",
    "byte_view",
    "check_count",
    "check_number",
    "imported_when_asked",
    "takes_arguments",
]


def byte_view(buffer: Buffer) -> memoryview:
    """Return a view of a buffer whose items are single bytes.

    It views a copy if the buffer has wider items, several dimensions or gaps.

    Raises:
      TypeError: It is not a buffer.
    """
    view = memoryview(buffer)
    if view.itemsize == 1 and view.ndim == 1 and view.c_contiguous:
        return view
    return memoryview(view.tobytes())


def as_bytes(buffer: Buffer) -> bytes | memoryview:
    """Return the current bytes of a buffer; the result never changes.

    Copies the bytes unless the buffer is, or views, a `bytes` object, which is immutable.

    Raises:
      TypeError: It is not a buffer.
    """
    if type(buffer) is bytes:
        return buffer
    view = byte_view(buffer)
    return view if type(view.obj) is bytes else view.tobytes()


def check_number(name: str, value: object, *, least: float) -> None:
    """Check the type and range of a setting in seconds; ``inf`` means for ever.

    Raises:
      ConfigError: It is not a number of at least ``least``.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (is_number and least <= value <= inf):  # type: ignore[operator]  # is_number says so
        raise ConfigError(f"{name} must be a number of seconds from {least:g}, not {value!r}")


def check_count(name: str, value: object, *, least: int) -> None:
    """Check the type and range of a size or a count.

    Raises:
      ConfigError: It is not an integer of at least ``least``.
    """
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} must be a whole number from {least}, not {value!r}")


def takes_arguments(value: object, count: int) -> bool:
    """Whether a value can be called with so many positional arguments, as far as that is known."""
    if not callable(value):
        return False
    try:
        inspect.signature(value).bind(*range(count))
    except (TypeError, ValueError):
        return False
    return True


def imported_when_asked(package: str, names: Mapping[str, str]) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package that imports a name when somebody asks for it.

    PEP 562. No name may also be that of a module: importing that would hide it.

    Args:
      package: The package's ``__name__``.
      names: For each of its modules the names that are exported from it, separated by spaces.
    """
    homes = {name: home for home, several in names.items() for name in several.split()}

    def import_it(name: str) -> object:
        home = homes.get(name)
        if home is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f".{home}", package), name)
        setattr(sys.modules[package], name, value)
        return value

    return import_it
