"""Dates as HTTP writes them."""

from __future__ import annotations

import time
from typing import final

__all__ = ["DateCache", "http_date"]

# English whatever the locale, which is why strftime will not do.
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


@final
class DateCache:
    """Renders the Date field once per second. Keep one per server."""

    __slots__ = ("_line", "_second")

    def __init__(self) -> None:
        self._second: int | None = None
        self._line = b""

    def line(self, now: float) -> bytes:
        r"""Return ``date: ...\r\n``.

        Args:
          now: Seconds since the epoch, of a clock that may also be set back.
        """
        second = int(now)
        if second != self._second:
            self._line = b"date: %s\r\n" % http_date(second)
            self._second = second
        return self._line

    def __repr__(self) -> str:
        return f"<DateCache {self._line!r}>"
