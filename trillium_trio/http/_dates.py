"""Dates in HTTP's format."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

__all__ = ["http_date", "parse_http_date"]

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


_MONTH = f"(?P<month>{'|'.join(name.decode() for name in _MONTHS)})"
_TIME = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
# RFC 9110, 5.6.7: IMF-fixdate, then the two obsolete forms, of RFC 850 and of asctime.
_FORMS = tuple(
    re.compile(form, re.ASCII)
    for form in (
        rf"[A-Z][a-z]{{2}}, (?P<day>\d\d) {_MONTH} (?P<year>\d{{4}}) {_TIME} GMT",
        rf"[A-Z][a-z]{{5,8}}, (?P<day>\d\d)-{_MONTH}-(?P<year>\d\d) {_TIME} GMT",
        rf"[A-Z][a-z]{{2}} {_MONTH} (?P<day>[ \d]\d) {_TIME} (?P<year>\d{{4}})",
    )
)


def parse_http_date(text: str) -> int | None:
    """Return the seconds since the epoch of an HTTP-date (RFC 9110, 5.6.7), or None.

    All three forms are read. The name of the day is not compared with the date. The two-digit year
    of RFC 850's form is of 1970 to 2069.
    """
    for form in _FORMS:
        found = form.fullmatch(text)
        if found is not None:
            break
    else:
        return None
    year, day = int(found["year"]), int(found["day"])
    if year < 100 and len(found["year"]) == 2:
        year += 1900 if year >= 70 else 2000
    month = _MONTHS.index(found["month"].encode()) + 1
    # A leap second is written as 60, which `datetime` does not know.
    second = 59 if found["second"] == "60" else int(found["second"])
    try:
        moment = datetime(
            year, month, day, int(found["hour"]), int(found["minute"]), second, tzinfo=UTC
        )
    except ValueError:
        return None  # such as 30 February
    return int(moment.timestamp())
