r"""The regular lane: one strict pattern over a complete head, and the facts that frame it.

It takes origin-form targets, fields of visible ASCII, exactly one Host, at most one plain
Content-Length, at most one Connection of ``keep-alive`` or ``close``, and neither Transfer-Encoding
nor Expect. Most requests are like that. Other heads are not necessarily wrong: `_irregular` reads
them, more slowly, and finds the same facts.

The field lines stay one bytes object; most handlers never look at them.
"""

from __future__ import annotations

import re

from ..http import RequestHead

__all__ = ["read_regular"]

# Possessive throughout: only one way to match, so no backtracking. A group that has matched
# disables its own alternative, `(?(5)(?!))`, so that a repeated field matches nowhere.
# The first alternative excludes five names by their first letters and their rests, which is a fifth
# faster than by whole names; it also excludes "Cost", which only sends that to the other lane.
_HEAD = re.compile(
    rb"""
    (?!CONNECT[ ])                                          # its target has another form
    ([A-Z]++)                                               # 1: method
    [ ]
    (/[!\x22$->@-\[\]-~]*+ (?:\?[!\x22$-~]*+)?)             # 2: target, as in _target.py
    [ ]
    HTTP/1\.([01])                                          # 3: minor version
    \r\n
    (                                                       # 4: field lines
        (?:
            (?![HCTEhcte](?i:ost|ontent-length|onnection|ransfer-encoding|xpect):)
            [!\#$%&'*+.^_`|~0-9A-Za-z-]++:[ -~]*+\r\n
        |
            (?(5)(?!))(?i:host):[\t ]*+
            ((?:[\w.-]++(?::(?:[1-5]?[0-9]{1,4}+))?)?)       # 5: Host
            [\t ]*+\r\n
        |
            (?(6)(?!))(?i:content-length):[\t ]*+
            (0|[1-9][0-9]{0,17}+)                           # 6: Content-Length
            [\t ]*+\r\n
        |
            (?(7)(?!))(?i:connection):[\t ]*+
            ((?i:keep-alive|close))                         # 7: Connection
            [\t ]*+\r\n
        )++
    )
    (?(5)|(?!))                                             # there was a Host
    \r\n
    """,
    re.VERBOSE,
)


def read_regular(
    buffer: bytes | bytearray, start: int, end: int, max_target_bytes: int, max_headers: int
) -> RequestHead | None:
    """Read a complete head if it is a regular one within the limits.

    Args:
      buffer: The received bytes.
      start: The index of the request line.
      end: The index of the end of the empty line.
      max_target_bytes: Leave longer targets to the other lane.
      max_headers: Leave more fields to the other lane.
    """
    head = _HEAD.fullmatch(buffer, start, end)
    if head is None:
        return None
    method, target, minor, fields, _, length, option = head.groups()
    if len(target) > max_target_bytes:
        return None
    # No field is shorter than "A:" with its line break.
    if len(fields) > 4 * max_headers and fields.count(b"\n") > max_headers:
        return None
    is_current = minor == b"1"
    return RequestHead(
        method.decode(),
        target.decode(),
        "1.1" if is_current else "1.0",
        fields,
        None if length is None else int(length),
        is_current if option is None else option.lower() == b"keep-alive",
    )
