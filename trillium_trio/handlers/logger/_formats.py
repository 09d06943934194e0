"""The formats that are not templates."""

from __future__ import annotations

from json.encoder import encode_basestring_ascii
from math import isfinite
from typing import TYPE_CHECKING

from ...conn import Outcome
from ...exceptions import ConfigError
from ._text import began, escape

if TYPE_CHECKING:
    from collections.abc import Callable

    from ...conn import Conn, Sent
    from ._fields import Fields

__all__ = ["combined", "common", "dev", "json_lines"]

_KEYS = frozenset(
    {"time", "peer", "method", "target", "version", "status", "bytes", "duration", "outcome"}
)
# Bound once: before Python 3.12, a member or its value takes 0.1 us to look up.
_COMPLETE = Outcome.COMPLETE
# By the first digit of the status: green, cyan, yellow, red.
_COLOURS = {2: "32", 3: "36", 4: "33", 5: "31"}


def common(fields: Fields) -> Callable[[Conn, Sent], str]:
    """Return a function that renders the Common Log Format."""
    local, target = fields.stamps.local, fields.target

    # Written out: a template costs 1 us more.
    def render(conn: Conn, sent: Sent) -> str:
        head = conn.head
        return (
            f"{escape(conn.peer_ip or '-')} - - {local(began(conn))} "
            f'"{escape(f"{head.method} {target(head)} HTTP/{head.version}")}" '
            f"{sent.status or '-'} {sent.body_bytes or '-'}"
        )

    return render


def combined(fields: Fields) -> Callable[[Conn, Sent], str]:
    """Return a function that renders the Combined Log Format."""
    first, second = common(fields), fields.compile(' "%(f)s" "%(a)s"')
    return lambda conn, sent: first(conn, sent) + second(conn, sent)


def dev(fields: Fields, *, colour: bool) -> Callable[[Conn, Sent], str]:
    """Return a function that renders a line for a developer's eyes."""

    def render(conn: Conn, sent: Sent) -> str:
        status = "-" if sent.status is None else str(sent.status)
        if colour:
            status = f"\033[{_COLOURS.get((sent.status or 0) // 100, '1')}m{status}\033[0m"
        request = escape(f"{conn.method} {fields.target(conn.head)}")
        line = f"{request} {status} {_duration(sent.duration)} {_size(sent.body_bytes)}"
        if sent.outcome is _COMPLETE:
            return line
        outcome = sent.outcome.value
        return f"{line} \033[31m{outcome}\033[0m" if colour else f"{line} {outcome}"

    return render


def _duration(seconds: float) -> str:
    if seconds < 0.01:
        return f"{seconds * 1e3:.2f}ms"
    return f"{seconds * 1e3:.0f}ms" if seconds < 10 else f"{seconds:.1f}s"


def _size(count: float) -> str:
    if count < 1024:
        return f"{count:.0f}B"
    return f"{count / 1024:.1f}KiB" if count < 1024 * 1024 else f"{count / 1024 / 1024:.1f}MiB"


def json_lines(fields: Fields) -> Callable[[Conn, Sent], str]:
    """Return a function that renders an object of JSON.

    Raises:
      ConfigError: One of the own fields has a name that is taken.
    """
    if taken := _KEYS & fields.own.keys():
        raise ConfigError(f"Logger.fields: json has {', '.join(sorted(taken))} already")
    utc, target = fields.stamps.utc, fields.target
    own = [(f", {encode_basestring_ascii(name)}: ", name) for name in fields.own]
    quote = encode_basestring_ascii

    def render(conn: Conn, sent: Sent) -> str:
        head, peer, status = conn.head, conn.peer_ip, sent.status
        line = (
            f'{{"time": "{utc(began(conn))}", '
            f'"peer": {"null" if peer is None else quote(peer)}, '
            f'"method": {quote(head.method)}, "target": {quote(target(head))}, '
            f'"version": "{head.version}", "status": {"null" if status is None else status}, '
            f'"bytes": {sent.body_bytes}, "duration": {sent.duration:.6f}, '
            f'"outcome": "{"complete" if sent.outcome is _COMPLETE else sent.outcome.value}"'
        )
        for key, name in own:
            line += key + _json(fields, fields.value(name, conn))
        # All other control characters are escaped by JSON.
        return f"{line}}}".replace("\x7f", "\\u007f")

    return render


def _json(fields: Fields, value: object) -> str:
    if value is None:
        return "null"
    if type(value) is bool:
        return "true" if value else "false"
    if type(value) is int or (type(value) is float and isfinite(value)):
        return repr(value)
    return encode_basestring_ascii(fields.text(value))
