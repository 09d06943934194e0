"""The content codings, each with the library that it needs."""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, TypeAlias, final

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["LEVELS", "Coding", "Encoder", "load_coding"]

# For `zlib`: a window of 32 KiB, the format's only one, and the header and trailer of gzip.
_GZIP_WINDOW = 16 + 15
# The windows of streams, as powers of two. Their default of 2 to 4 MiB is memory that each stream
# holds, for one or two hundredths of the size.
_BROTLI_STREAM_WINDOW = 18
_ZSTD_STREAM_WINDOW = 17

LEVELS = {"zstd": range(1, 20), "br": range(12), "gzip": range(1, 10)}
"""The levels of each coding. Above 19, Zstandard's window exceeds 8 MiB (RFC 9659)."""

_MODULES = {
    "zstd": "compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd",
    "br": "brotli",
}
_EXTRAS = {"zstd": "zstd", "br": "brotli"}

Encoder: TypeAlias = tuple[Callable[[bytes | memoryview], bytes], Callable[[], bytes]]
"""Codes a stream: a function that codes a piece and flushes it, and one that returns the end."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Coding:
    """A content coding at a level.

    Attributes:
      name: As fields have it.
      compress: Codes a whole body.
      encoder: Begins to code a stream.
    """

    name: str
    compress: Callable[[bytes], bytes]
    encoder: Callable[[], Encoder]


def load_coding(name: str, level: int) -> Coding:
    """Return a coding, and import its library.

    Args:
      name: One of `LEVELS`.
      level: In its range.

    Raises:
      ImportError: The library is missing; with the command that installs it.
    """
    make = {"zstd": _zstd, "br": _brotli, "gzip": _gzip}[name]
    return make(level)


def _load(name: str) -> ModuleType:
    module = _MODULES[name]
    try:
        # By its name, because the one of Zstandard depends on the version of Python.
        return import_module(module)
    except ImportError as error:
        raise ImportError(
            f"the coding {name!r} needs the library {module}: "
            f"pip install 'trillium-trio[{_EXTRAS[name]}]'",
            name=module,
        ) from error


def _gzip(level: int) -> Coding:
    def encoder() -> Encoder:
        compressor = zlib.compressobj(level, zlib.DEFLATED, _GZIP_WINDOW)

        def encode(piece: bytes | memoryview) -> bytes:
            return compressor.compress(piece) + compressor.flush(zlib.Z_SYNC_FLUSH)

        return encode, compressor.flush

    return Coding(
        name="gzip",
        compress=lambda data: zlib.compress(data, level, _GZIP_WINDOW),
        encoder=encoder,
    )


def _brotli(level: int) -> Coding:
    brotli = _load("br")

    def encoder() -> Encoder:
        compressor = brotli.Compressor(quality=level, lgwin=_BROTLI_STREAM_WINDOW)

        def encode(piece: bytes | memoryview) -> bytes:
            coded: bytes = compressor.process(piece) + compressor.flush()
            return coded

        return encode, compressor.finish

    return Coding(
        name="br",
        compress=lambda data: brotli.compress(data, quality=level),
        encoder=encoder,
    )


def _zstd(level: int) -> Coding:
    zstd = _load("zstd")
    parameter = zstd.CompressionParameter
    options = {
        parameter.compression_level: level,
        parameter.window_log: _ZSTD_STREAM_WINDOW,
    }

    def encoder() -> Encoder:
        compressor = zstd.ZstdCompressor(options=options)

        def encode(piece: bytes | memoryview) -> bytes:
            coded: bytes = compressor.compress(piece, compressor.FLUSH_BLOCK)
            return coded

        return encode, compressor.flush

    return Coding(
        name="zstd",
        compress=lambda data: zstd.compress(data, level),
        encoder=encoder,
    )
