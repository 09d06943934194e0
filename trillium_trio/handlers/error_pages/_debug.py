"""The page for developers: the traceback, with source and locals."""

from __future__ import annotations

import linecache
import re
import reprlib
from html import escape
from typing import TYPE_CHECKING

from ..._log import kind_of, text_of

if TYPE_CHECKING:
    from types import FrameType, TracebackType

__all__ = ["debug_page"]

# What should not even be on a developer's screen.
_SECRET = re.compile(r"pass|secret|token|key|auth|cookie|credential|session", re.IGNORECASE)
_MAX_FRAMES = 50
_CONTEXT_LINES = 3
_STYLE = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem;color:#222;background:#fff}"
    "pre,td{font:13px/1.5 ui-monospace,monospace}pre{background:#f4f4f4;padding:.5rem;"
    "overflow:auto;margin:.3rem 0}mark{background:#ffe08a;color:#222;display:block}"
    "summary{cursor:pointer}summary b{font-weight:600}td{vertical-align:top;padding:0 1rem 0 0;"
    "overflow-wrap:anywhere}td:first-child{color:#666;white-space:nowrap}h2{margin-top:2rem}"
    "@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#262626}"
    "td:first-child{color:#999}}"
)

_repr = reprlib.Repr()
_repr.maxstring = _repr.maxother = _repr.maxlong = 200
_repr.maxdict = _repr.maxlist = _repr.maxtuple = _repr.maxset = 20


def debug_page(error: BaseException, request: str) -> str:
    """Return a page of HTML about an exception and those that it came from.

    Args:
      error: The exception.
      request: What was asked.
    """
    name = f"{kind_of(error)}: {text_of(str, error)}"
    sections = [_section(each) for each in _chain(error)]
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(name)}</title><style>{_STYLE}</style>"
        f"<h1>{escape(name)}</h1><p>{escape(request)}</p>{''.join(sections)}</html>\n"
    )


def _chain(error: BaseException) -> list[BaseException]:
    """Return an exception and its causes, the first one last; and those in groups."""
    found: list[BaseException] = []
    todo: list[BaseException | None] = [error]
    while todo and len(found) < _MAX_FRAMES:
        each = todo.pop(0)
        if each is None or any(each is other for other in found):
            continue
        found.append(each)
        if isinstance(each, BaseExceptionGroup):
            todo += each.exceptions
        todo.append(each.__cause__ or (None if each.__suppress_context__ else each.__context__))
    return found


def _section(error: BaseException) -> str:
    frames = "".join(
        _frame(frame, line, is_open=is_last) for frame, line, is_last in _frames(error)
    )
    title = escape(f"{kind_of(error)}: {text_of(str, error)}")
    return f"<h2>{title}</h2>{frames}"


def _frames(error: BaseException) -> list[tuple[FrameType, int, bool]]:
    frames = []
    traceback: TracebackType | None = error.__traceback__
    while traceback is not None:
        frames.append((traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    frames = frames[-_MAX_FRAMES:]
    return [(*each, each is frames[-1]) for each in frames]


def _frame(frame: FrameType, line: int, *, is_open: bool) -> str:
    code = frame.f_code
    source = []
    for number in range(max(1, line - _CONTEXT_LINES), line + _CONTEXT_LINES + 1):
        text = escape(linecache.getline(code.co_filename, number).rstrip("\n")) or " "
        source.append(f"<mark>{text}</mark>" if number == line else f"{text}\n")
    rows = "".join(
        f"<tr><td>{escape(name)}<td>{escape(_value(name, value))}"
        for name, value in frame.f_locals.items()
    )
    return (
        f"<details{' open' if is_open else ''}><summary><b>{escape(code.co_qualname)}</b> "
        f"{escape(code.co_filename)}:{line}</summary>"
        f"<pre>{''.join(source)}</pre><table>{rows}</table></details>"
    )


def _value(name: str, value: object) -> str:
    """Return the text of a local. Its methods may do anything."""
    return "(hidden)" if _SECRET.search(name) else text_of(_repr.repr, value)
