"""What the package shows: a folder is public, a file in it is private, a name is exported once.

The order of ``__all__`` is ruff's to keep (RUF022). Ruff does not look for docstrings in private
files, though, and every file of ours is one; so documentation is checked here, on what a folder
exports.
"""

from __future__ import annotations

import abc
import ast
import dataclasses
import enum
import importlib
import inspect
import subprocess
import sys
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, final

import pytest

from tests.meta._tree import PACKAGE, ROOT, parse, public_folders, relative

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Made for derivation although nothing in them is abstract. `Config` derives from `Settings`.
DERIVABLE = {"Channel", "Handler", "OnConn", "Settings"}

# What the files of these folders need besides what they export.
NOT_PUBLIC = {
    "": {"_VERSION"},
    "handlers": {"TYPE_CHECKING", "__dir__", "__getattr__", "_imported_when_asked"},
}

FOLDERS = public_folders()
MODULES = ["trillium_trio", *(f"trillium_trio.{name}" for name in ("exceptions", *FOLDERS))]


def source_of(module: str) -> Path:
    """Find the file that defines the exports of a public module."""
    path = ROOT.joinpath(*module.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def exported(module: str) -> list[str]:
    """Read ``__all__`` off the source: a literal list of strings."""
    for node in parse(source_of(module)).body:
        match node:
            case ast.Assign(targets=[ast.Name(id="__all__")], value=value):
                names = ast.literal_eval(value)
                assert isinstance(names, list)
                return names
    pytest.fail(f"{relative(source_of(module))} has no __all__")


def bound_names(body: list[ast.stmt]) -> Iterator[str]:
    """Find the names that the statements of an ``__init__.py`` bind, whatever the statement."""
    for node in body:
        for child in ast.walk(node):
            match child:
                case ast.Import(names=names):
                    yield from (each.asname or each.name.split(".", 1)[0] for each in names)
                case ast.ImportFrom(module="__future__"):
                    pass
                case ast.ImportFrom(names=names):
                    yield from (each.asname or each.name for each in names)
                case ast.Name(id=name, ctx=ast.Store()):
                    yield name
                case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                    yield name
                case ast.ClassDef(name=name):
                    yield name


@pytest.mark.parametrize("folder", FOLDERS)
def test_the_files_of_a_folder_are_private(folder: str) -> None:
    files = [path.name for path in (PACKAGE / folder).rglob("*.py")]
    assert [name for name in files if not name.startswith("_")] == []


@pytest.mark.parametrize("module", MODULES)
def test_all_names_what_is_there(module: str) -> None:
    names = exported(module)
    assert len(names) == len(set(names))
    there = importlib.import_module(module)
    assert [name for name in names if not hasattr(there, name)] == []
    assert [name for name in names if name.startswith("_") and name != "__version__"] == []


@pytest.mark.parametrize("folder", ["", *FOLDERS])
def test_no_public_name_leaks(folder: str) -> None:
    path = PACKAGE / folder / "__init__.py"
    bound = {name for name in bound_names(parse(path).body) if name != "__all__"}
    module = ".".join(filter(None, ("trillium_trio", folder)))
    assert bound - NOT_PUBLIC.get(folder, set()) == set(exported(module))


def test_no_name_of_a_handler_is_that_of_a_module() -> None:
    # Importing the module would hide the name, see `imported_when_asked`.
    modules = {path.stem for path in (PACKAGE / "handlers").iterdir()}
    assert modules.isdisjoint(exported("trillium_trio.handlers"))


def test_handlers_are_imported_when_they_are_asked_for() -> None:
    code = (
        "import sys, trillium_trio as tt\n"
        "def loaded(): return {n for n in sys.modules if n.startswith('trillium_trio.handlers.')}\n"
        "assert loaded() == {'trillium_trio.handlers._sync'}, loaded()\n"
        "from trillium_trio.handlers import Static\n"
        "assert tt.handlers.Static is Static\n"
        "assert 'trillium_trio.handlers.static' in loaded()\n"
        "assert 'trillium_trio.handlers.router' not in loaded(), loaded()\n"
        "try: tt.handlers.Statik\n"
        "except AttributeError as error: assert 'Statik' in str(error)\n"
        "else: raise AssertionError\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("module", MODULES)
def test_every_public_module_explains_itself(module: str) -> None:
    assert inspect.getdoc(importlib.import_module(module))


def is_documented(thing: Any) -> bool:
    """Tell whether somebody wrote a docstring; those that Python makes up do not count."""
    if isinstance(thing, type):
        written = vars(thing).get("__doc__") or ""
        # What dataclasses and named tuples make up, and what an enum has up to Python 3.11.
        return bool(written) and not written.startswith((f"{thing.__name__}(", "An enumeration."))
    return bool(inspect.getdoc(thing))


def public_members(cls: type) -> Iterator[tuple[str, Any]]:
    """Find the methods and properties that a class itself defines."""
    for name, member in vars(cls).items():
        function = getattr(member, "__func__", member)
        if not name.startswith("_") and (
            inspect.isroutine(function) or isinstance(function, property)
        ):
            # Through the class, so that an override inherits the docstring of what it overrides.
            yield f"{cls.__name__}.{name}", getattr(cls, name)


def undocumented(name: str, thing: Any) -> Iterator[str]:
    """Name what lacks a docstring: a class, its members, or a function."""
    if not is_documented(thing):
        yield name
    if isinstance(thing, type):
        yield from (each for each, member in public_members(thing) if not is_documented(member))


def silent_about_cancellation(name: str, thing: Any) -> Iterator[str]:
    """Name the async functions whose docstring does not say what a cancellation leaves."""
    members = public_members(thing) if isinstance(thing, type) else [(name, thing)]
    for each, member in members:
        if inspect.iscoroutinefunction(member) and "Cancellation:" not in str(
            inspect.getdoc(member)
        ):
            yield each


def has_comment(name: str, folder: Path) -> bool:
    """Tell whether a constant has a comment above or a string below, wherever it is assigned."""
    for path in folder.rglob("*.py") if folder.is_dir() else [folder]:
        lines = path.read_text(encoding="utf-8").splitlines()
        body = parse(path).body
        for node, below in zip(body, [*body[1:], None], strict=True):
            match node:
                case ast.Assign(targets=[ast.Name(id=target)]) if target == name:
                    pass
                case ast.AnnAssign(target=ast.Name(id=target)) if target == name:
                    pass
                case _:
                    continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                return True
            return lines[node.lineno - 2].startswith("#")
    return False


@pytest.mark.parametrize("module", MODULES[1:])
def test_every_public_name_is_documented(module: str) -> None:
    home = importlib.import_module(module)
    path = ROOT.joinpath(*module.split("."))
    bare: list[str] = []
    for name in exported(module):
        thing = getattr(home, name)
        if inspect.isroutine(thing) or isinstance(thing, type):
            bare += undocumented(name, thing)
        elif not has_comment(name, path if path.is_dir() else path.with_suffix(".py")):
            bare.append(name)
    assert bare == []


@pytest.mark.parametrize("module", MODULES[1:])
def test_every_public_async_function_speaks_of_cancellation(module: str) -> None:
    home = importlib.import_module(module)
    silent: list[str] = []
    for name in exported(module):
        silent += silent_about_cancellation(name, getattr(home, name))
    assert silent == []


def is_closed(cls: type) -> bool:
    """Tell whether a class is either ``@final`` or meant for derivation."""
    return (
        getattr(cls, "__final__", False)
        or inspect.isabstract(cls)
        or getattr(cls, "_is_protocol", False)
        or issubclass(cls, BaseException | enum.Enum)
        or (issubclass(cls, tuple) and hasattr(cls, "_fields"))
        or cls.__name__ in DERIVABLE
    )


@pytest.mark.parametrize("module", MODULES[1:])
def test_a_concrete_class_is_final(module: str) -> None:
    home = importlib.import_module(module)
    things = {name: getattr(home, name) for name in exported(module)}
    classes = {name: thing for name, thing in things.items() if isinstance(thing, type)}
    assert [name for name, cls in classes.items() if not is_closed(cls)] == []


@pytest.mark.parametrize("folder", ["exceptions", *FOLDERS])
def test_a_public_folder_has_a_reference_page(folder: str) -> None:
    page = ROOT / "docs" / "reference" / f"{folder}.md"
    assert f"automodule:: trillium_trio.{folder}\n" in page.read_text(encoding="utf-8")


# The checks above are themselves checked on the classes below.


class Bare:
    async def wait(self) -> None:
        pass

    @property
    def age(self) -> float:
        return 0.0

    @classmethod
    def of(cls) -> Bare:
        return cls()


class Told(Bare):
    """Is documented, and inherits nothing that is.

    Note: derived, so not final either.
    """

    async def wait(self) -> None:
        """Wait.

        Cancellation:
          Nothing is lost.
        """


@dataclasses.dataclass
class Point:
    x: int


class Colour(enum.Enum):
    RED = 1


class Pair(NamedTuple):
    left: int


class Readable(Protocol):
    """Reads."""


class Base(abc.ABC):
    """Is derived from."""

    @abc.abstractmethod
    def run(self) -> None:
        """Run."""


@final
class Leaf(Base):
    """Overrides without saying it again."""

    def run(self) -> None:
        pass


def test_the_checker_finds_missing_docstrings() -> None:
    assert list(undocumented("Bare", Bare)) == ["Bare", "Bare.wait", "Bare.age", "Bare.of"]
    assert [list(undocumented("x", cls)) for cls in (Point, Colour, Pair)] == [["x"]] * 3
    assert [list(undocumented("x", cls)) for cls in (Told, Base, Leaf)] == [[]] * 3


def test_the_checker_finds_silence_about_cancellation() -> None:
    assert list(silent_about_cancellation("Bare", Bare)) == ["Bare.wait"]
    assert list(silent_about_cancellation("Told", Told)) == []


def test_the_checker_tells_open_classes() -> None:
    assert not is_closed(Told)
    assert not is_closed(Point)
    for cls in (Leaf, Base, Readable, Pair, Colour, KeyError):
        assert is_closed(cls)


def test_the_checker_sees_leaks() -> None:
    source = (
        "import trio\nfrom ._x import a as b\nif True:\n    c = 1\ndef f(): pass\nclass D: pass"
    )
    assert set(bound_names(ast.parse(source).body)) == {"trio", "b", "c", "f", "D"}


def test_the_checker_sees_the_comment_of_a_constant(tmp_path: Path) -> None:
    path = tmp_path / "_x.py"
    path.write_text('import os\nA = 1\n# Why.\nB = 2\nC: int = 3\n"""Why."""\n', encoding="utf-8")
    assert [has_comment(name, tmp_path) for name in "ABC"] == [False, True, True]
