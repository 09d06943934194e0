"""Small habits: no sleeping, no test that hides another, nothing left for later."""

from __future__ import annotations

import ast
import io
import re
import tokenize
import tomllib
from collections import Counter
from typing import TYPE_CHECKING

import trillium_trio
from tests.meta._tree import PACKAGE, ROOT, TESTS, parsed_tests, relative

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Sleeping in a thread takes real time whatever the clock; these are virtual under a mock clock.
ASYNC_SLEEPS = {"sleep", "sleep_until"}
VIRTUAL_CLOCKS = {"autojump_clock", "mock_clock", "MockClock"}


def sleeps(tree: ast.Module) -> Iterator[int]:
    """Find the lines on which a test module waits for real time to pass."""
    has_virtual_clock = any(
        name in VIRTUAL_CLOCKS for node in ast.walk(tree) for name in names_in(node)
    )
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="time"), attr="sleep"):
                yield node.lineno
            case ast.ImportFrom(module="time", names=names):
                if any(each.name == "sleep" for each in names):
                    yield node.lineno
            case ast.Attribute(value=ast.Name(id="trio" | "anyio" | "asyncio"), attr=name):
                if name in ASYNC_SLEEPS and not has_virtual_clock:
                    yield node.lineno
            case ast.ImportFrom(module="trio" | "anyio" | "asyncio", names=names):
                if not has_virtual_clock and any(each.name in ASYNC_SLEEPS for each in names):
                    yield node.lineno


def names_in(node: ast.AST) -> Iterator[str]:
    """Name what an expression, an argument or an import names."""
    match node:
        case ast.Name(id=name) | ast.Attribute(attr=name) | ast.arg(arg=name):
            yield name
        case ast.ImportFrom(names=names):
            yield from (each.name for each in names)
        case ast.Constant(value=str(name)):
            # pytest.mark.usefixtures("autojump_clock")
            yield name


def hidden_tests(body: list[ast.stmt]) -> Iterator[str]:
    """Find the names that a module or class binds twice, so that the first test never runs."""
    definitions = [
        node
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
    ]
    counts = Counter(node.name for node in definitions if node.name.lower().startswith("test"))
    yield from (name for name, count in counts.items() if count > 1)
    for node in definitions:
        if isinstance(node, ast.ClassDef):
            yield from hidden_tests(node.body)


def is_unwelcome(comment: str) -> bool:
    """Tell whether a comment puts something off, or silences a tool without a reason."""
    return bool(
        re.search(r"\b(TODO|FIXME|XXX)\b|pragma:\s*no cover", comment)
        or re.fullmatch(r"#\s*type:\s*ignore(\[[\w, -]*\])?\s*", comment)
    )


def unwelcome_comments(source: str) -> Iterator[int]:
    """Find the lines with a comment that puts something off or silences a tool."""
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and is_unwelcome(token.string):
            yield token.start[0]


def test_no_test_sleeps_outside_e2e() -> None:
    found = [
        f"{relative(path)}:{line}"
        for path, tree in parsed_tests()
        if not path.is_relative_to(TESTS / "e2e")
        for line in sleeps(tree)
    ]
    assert found == []


def test_no_test_hides_another() -> None:
    found = [
        f"{relative(path)}: {name}"
        for path, tree in parsed_tests()
        for name in hidden_tests(tree.body)
    ]
    assert found == []


def test_every_folder_of_tests_is_a_package() -> None:
    # Otherwise two files of one name clash, and tests/unit/http would shadow the standard library.
    folders = {path.parent for path in TESTS.rglob("*.py")}
    assert sorted(relative(each) for each in folders if not (each / "__init__.py").exists()) == []


def test_nothing_is_left_for_later() -> None:
    folders: tuple[Path, ...] = (PACKAGE, TESTS, ROOT / "examples", ROOT / "benchmarks")
    found = [
        f"{relative(path)}:{line}"
        for folder in folders
        for path in sorted(folder.rglob("*.py"))
        for line in unwelcome_comments(path.read_text(encoding="utf-8"))
    ]
    assert found == []


def test_the_changelog_has_a_place_for_the_next_change() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.search(r"^## \[Unreleased\]$", changelog, re.MULTILINE)


def test_the_version_is_written_down_alike() -> None:
    # Twice on purpose: reading the installed metadata would cost every start some milliseconds.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert trillium_trio.__version__ == project["version"]


def test_a_fresh_machine_takes_one_line_to_run_and_one_to_test() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [run, test] = re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL)
    for command in (run, test):
        assert command.count("\n") == 1
        # A system's own Python may refuse installs outside a virtual environment.
        assert command.startswith("python3 -m venv .venv && .venv/bin/pip install ")
    assert f"<!-- test command -->\n```sh\n{test}" in readme, "where .ci/run looks for it"
    assert test in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")


def test_the_checker_sees_sleep() -> None:
    def lines(source: str) -> list[int]:
        return list(sleeps(ast.parse(source)))

    assert lines("import time\ntime.sleep(1)") == [2]
    assert lines("from time import sleep") == [1]
    assert lines("async def test_x(autojump_clock):\n    time.sleep(1)") == [2]
    assert lines("async def test_x():\n    await trio.sleep(1)") == [2]
    assert lines("from trio import sleep") == [1]
    assert lines("async def test_x(autojump_clock):\n    await trio.sleep(1)") == []
    assert lines("clock = trio.testing.MockClock()\nasync def f():\n    await trio.sleep(1)") == []
    assert lines("async def test_x():\n    await trio.sleep_forever()") == []


def test_the_checker_sees_hidden_tests() -> None:
    source = "def test_a(): ...\ndef test_a(): ...\nclass TestB:\n def test_c(self): ...\n"
    assert list(hidden_tests(ast.parse(source).body)) == ["test_a"]
    assert list(hidden_tests(ast.parse(source + " def test_c(self): ...").body)) == [
        "test_a",
        "test_c",
    ]


def test_the_checker_sees_unwelcome_comments() -> None:
    # Written in halves, so that this file passes its own rule.
    later, uncovered, silenced = "TO" + "DO", "pragma: no " + "cover", "type: " + "ignore"
    lines = [
        f"a = 1  # {later}: more",
        f"b = 1  # {uncovered}",
        f"c = 1  # {silenced}[misc]",
        f"d = 1  # {silenced}[misc]  # the stubs are wrong",
        f's = "# {later}"',
    ]
    assert list(unwelcome_comments("\n".join(lines))) == [1, 2, 3]
