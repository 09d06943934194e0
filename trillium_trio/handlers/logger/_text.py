"""Values as text that cannot forge a line, and times of day."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, final

import trio

if TYPE_CHECKING:
    from ...conn import Conn

__all__ = ["Stamps", "began", "escape"]

# Not visible ASCII, the space, or what ends a quoted value. A terminal obeys more than C0: C1, too.
_UNSAFE = re.compile(r"[^ !#-\[\]-~]")

# Always English; strftime would use the locale.
_MILLISECONDS = tuple(f".{each:03}Z" for each in range(1000))
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def escape(text: str) -> str:
    """Escape everything that could end a quoted value or a line, or control a terminal."""
    return text if _UNSAFE.search(text) is None else _UNSAFE.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    character = found[0]
    if character in '"\\':
        return f"\\{character}"
    code = ord(character)
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def began(conn: Conn) -> float:
    """Return the time of day at which a request came."""
    # Not its duration ago: a handler may continue after its response.
    return time.time() - (trio.current_time() - conn.start_time)


@final
class Stamps:
    """Times of day, rendered once per second."""

    __slots__ = ("_local", "_local_second", "_utc", "_utc_second")

    def __init__(self) -> None:
        self._local = self._utc = ""
        self._local_second = self._utc_second = -1

    def local(self, when: float) -> str:
        """Return a time as the Common Log Format has it, with its brackets."""
        second = int(when)
        if second != self._local_second:
            found = time.localtime(second)
            sign = "-" if found.tm_gmtoff < 0 else "+"
            hours, minutes = divmod(abs(found.tm_gmtoff) // 60, 60)
            self._local = (
                f"[{found.tm_mday:02}/{_MONTHS[found.tm_mon - 1]}/{found.tm_year:04}"
                f":{found.tm_hour:02}:{found.tm_min:02}:{found.tm_sec:02}"
                f" {sign}{hours:02}{minutes:02}]"
            )
            self._local_second = second
        return self._local

    def utc(self, when: float) -> str:
        """Return a time as in RFC 3339, in milliseconds."""
        second = int(when)
        if second != self._utc_second:
            self._utc = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._utc_second = second
        return self._utc + _MILLISECONDS[int((when - second) * 1000)]

    def __repr__(self) -> str:
        return f"<Stamps {self._local or self._utc}>"
