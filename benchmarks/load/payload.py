"""What all programs answer, so that they differ in nothing else."""

from __future__ import annotations

import json
import tempfile
import time
from pathlib import Path

__all__ = [
    "BLOCK_SECONDS",
    "DOCUMENT",
    "DOWNLOAD_BYTES",
    "HELLO",
    "KEY",
    "MEBIBYTE",
    "PIECE",
    "SLOW_SECONDS",
    "make_files",
]

HELLO = b"Hello, World!"
MEBIBYTE = bytes(1024 * 1024)
PIECE = bytes(64 * 1024)
DOWNLOAD_BYTES = 64 * 1024 * 1024
SLOW_SECONDS = 0.05
BLOCK_SECONDS = 0.5


def make_files() -> tempfile.TemporaryDirectory[str]:
    """Return a folder with a file of 1 KiB and one of 1 MiB, which are not new any more."""
    folder = tempfile.TemporaryDirectory()
    Path(folder.name, "kibibyte.css").write_bytes(bytes(1024))
    Path(folder.name, "mebibyte.bin").write_bytes(MEBIBYTE)
    # A file that has just changed is not kept in memory, and these stand for old ones.
    time.sleep(2.1)
    return folder


KEY = "0123456789abcdef0123456789abcdef"
"""Of signed sessions."""

# 20 KB, like the list of a page of an API.
DOCUMENT = json.dumps(
    [{"id": n, "name": f"item {n}", "tags": ["a", "b"], "price": n * 1.25} for n in range(310)]
).encode()
