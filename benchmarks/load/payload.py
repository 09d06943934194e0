"""What all programs answer, so that they differ in nothing else."""

from __future__ import annotations

__all__ = ["BLOCK_SECONDS", "DOWNLOAD_BYTES", "HELLO", "MEBIBYTE", "PIECE", "SLOW_SECONDS"]

HELLO = b"Hello, World!"
MEBIBYTE = bytes(1024 * 1024)
PIECE = bytes(64 * 1024)
DOWNLOAD_BYTES = 64 * 1024 * 1024
SLOW_SECONDS = 0.05
BLOCK_SECONDS = 0.5
