"""What a client does with a content coding: it decodes whatever has come so far."""

from __future__ import annotations

import sys
import zlib
from importlib import import_module
from typing import Any

__all__ = ["CODINGS", "Decoder", "decode"]

CODINGS = ("zstd", "br", "gzip")

# Any: their modules have other names before Python 3.14, or no types.
zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
brotli: Any = import_module("brotli")


class Decoder:
    """Decodes a stream piece by piece."""

    def __init__(self, coding: str) -> None:
        # Any: each library has its own class.
        self._decoder: Any = {
            "zstd": zstd.ZstdDecompressor,
            "br": brotli.Decompressor,
            "gzip": lambda: zlib.decompressobj(31),
        }[coding]()
        self._is_brotli = coding == "br"

    def feed(self, data: bytes) -> bytes:
        """Return what can be decoded with these bytes."""
        if not data:
            return b""  # Zstandard's refuses nothing, if it gets it often
        if not self._is_brotli:
            decoded: bytes = self._decoder.decompress(data)
            return decoded
        # It returns 32 KiB at a time.
        pieces = [self._decoder.process(data)]
        while pieces[-1] and not self._decoder.is_finished():
            pieces.append(self._decoder.process(b""))
        return b"".join(pieces)

    @property
    def is_whole(self) -> bool:
        """Whether the end has come, and nothing after it."""
        if self._is_brotli:
            return bool(self._decoder.is_finished())
        return bool(self._decoder.eof and not self._decoder.unused_data)


def decode(coding: str, data: bytes) -> bytes:
    """Decode a whole body, and check that it is whole."""
    decoder = Decoder(coding)
    decoded = decoder.feed(data)
    assert decoder.is_whole
    return decoded
