"""Finds the Python blocks of a documentation page, and runs them.

A page's blocks run in order in one fresh module, as a reader would type them. ``__name__`` is not
``"__main__"`` there, so a program that serves for ever behind the usual guard is only defined. A
block may use ``await`` at its top level; it is then run by ``trio.run``.

A comment directly above a block says that it is to be treated otherwise, as ``% test: MODE`` in
MyST or as an HTML comment, which GitHub hides, too:

.. code-block:: text

    % test: compile            the block is compiled, not run
    % test: skip-run REASON    the block is neither; it has to say why
    % test: file NAME          a file of a program that the page builds, of any language; it is
                               tested elsewhere
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import trio

if TYPE_CHECKING:
    from collections.abc import Iterator

Mode = Literal["run", "compile", "skip-run", "file"]

FENCE = re.compile(r"^\s*(`{3,}|~{3,})\s*([^`]*)$")
DIRECTIVE = re.compile(r"^\s*(?:%|<!--)\s*test:\s*(?P<mode>\S+)\s*(?P<reason>.*?)\s*(?:-->)?\s*$")
FILE = re.compile(
    r"^% test: file (?P<name>\S+)\n```\w+\n(?P<text>.*?^)```$", re.MULTILINE | re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Snippet:
    """One Python block. ``line`` is the line of the page on which its source begins, from 1."""

    source: str
    line: int
    mode: Mode


def mode_from_line(line: str) -> Mode:
    """Read how a block is to be treated off the line above it.

    Raises:
      ValueError: The comment is not one of the two known, or lacks its reason.
    """
    found = DIRECTIVE.match(line)
    if found is None:
        return "run"
    match found["mode"], found["reason"]:
        case "compile", "":
            return "compile"
        case "skip-run", "":
            msg = f"skip-run needs a reason: {line.strip()}"
            raise ValueError(msg)
        case "skip-run", _:
            return "skip-run"
        case "file", name if name:
            return "file"
        case _:
            msg = f"no such way to treat a block: {line.strip()}"
            raise ValueError(msg)


def snippets(page: str) -> Iterator[Snippet]:
    """Find the blocks fenced as ``python``; blocks of any other language are passed over.

    Raises:
      ValueError: Python is fenced in another way, where it would go unchecked, or a block never
        ends.
    """
    lines = page.splitlines()
    above = ""
    at = 0
    while at < len(lines):
        opening = FENCE.match(lines[at])
        if opening is None:
            above = lines[at] if lines[at].strip() else above
            at += 1
            continue
        fence, language = opening[1], opening[2].split(maxsplit=1)[:1]
        end = at + 1
        while end < len(lines) and lines[end].strip() != fence:
            end += 1
        if end == len(lines):
            msg = f"line {at + 1}: this block never ends"
            raise ValueError(msg)
        if language != ["python"] and re.search(r"\bpy(thon3?)?\b", opening[2]):
            msg = f"line {at + 1}: fence Python as ```python, so that it is run"
            raise ValueError(msg)
        if language == ["python"]:
            source = textwrap.dedent("\n".join(lines[at + 1 : end])) + "\n"
            yield Snippet(source=source, line=at + 2, mode=mode_from_line(above))
        elif DIRECTIVE.match(above) and mode_from_line(above) != "file":
            msg = f"line {at}: this comment stands above a block that is not Python"
            raise ValueError(msg)
        above = ""
        at = end + 1


def files(page: str) -> Iterator[tuple[str, str]]:
    """Find the files that a page shows: their names and what is in them."""
    for found in FILE.finditer(page):
        yield found["name"], found["text"]


def run_page(page: str, *, name: str, module: types.ModuleType, timeout: float) -> int:
    """Run the blocks of a page in a module, and count those that were run or compiled.

    Args:
      page: The text of the page.
      name: What tracebacks call the page; their line numbers are the page's.
      module: Where the blocks leave their names.
      timeout: Seconds, for each block that awaits.
    """
    count = 0
    for snippet in snippets(page):
        if snippet.mode in {"skip-run", "file"}:
            continue
        code = compile(
            # Padding, so that a traceback shows the line of the page.
            "\n" * (snippet.line - 1) + snippet.source,
            name,
            "exec",
            flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT,
            dont_inherit=True,
        )
        count += 1
        if snippet.mode == "run":
            _run(code, module, timeout)
    return count


def _run(code: types.CodeType, module: types.ModuleType, timeout: float) -> None:
    if not code.co_flags & inspect.CO_COROUTINE:
        exec(code, vars(module))
        return

    async def awaiting() -> None:
        with trio.fail_after(timeout):
            await types.FunctionType(code, vars(module))()

    trio.run(awaiting)
