"""Dates in HTTP's format."""

from __future__ import annotations

import time

__all__ = ["http_date"]

# Always English; strftime would use the locale.
_DAYS = (b"Mon", b"Tue", b"Wed", b"Thu", b"Fri", b"Sat", b"Sun")
_MONTHS = (
    *(b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun"),
    *(b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"),
)


def http_date(timestamp: float) -> bytes:
    """Return an IMF-fixdate (RFC 9110, 5.6.7), such as ``Sun, 06 Nov 1994 08:49:37 GMT``.

    Args:
      timestamp: Seconds since the epoch; the fraction is dropped.
    """
    year, month, day, hour, minute, second, weekday, *_ = time.gmtime(timestamp)
    return b"%s, %02d %s %04d %02d:%02d:%02d GMT" % (
        *(_DAYS[weekday], day, _MONTHS[month - 1], year),
        *(hour, minute, second),
    )
