"""Compression: responses in a content coding that the client accepts.

.. code-block:: text

    response --> decide: status, fields, type, size --> as it is
                   |
                   | Accept-Encoding: zstd, br or gzip
                   |-- body in memory --> coded whole, kept if smaller
                   `-- stream, file ----> an encoder: each piece coded and flushed
"""

from __future__ import annotations

from ._handler import Compression

__all__ = ["Compression"]
