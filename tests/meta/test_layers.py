"""The layers of the package, and what each of them may touch.

A module imports only from lower layers or from its own folder, and another folder only by its
public name; everything may import the exceptions. The rules see what a reader sees: the source.
Imports below ``if TYPE_CHECKING:`` count like any other, because a type is an arrow in the picture
too. Within a folder no file imports one that imports it, directly or through others: a folder reads
from top to bottom.
"""

from __future__ import annotations

import ast
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.meta._tree import ROOT, package_sources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

LAYERS = """
L7  cli
L6  supervisor testing
L5  server     asgi        wsgi
L4  driver     handlers
L3  conn       listeners
L2  codec      transport
L1  swansong   http
L0  exceptions _log  _util  _version
"""

# Narrower than the layers allow: these folders import nothing of ours but what is named.
IMPORTS_ONLY = {"swansong": {"_log", "exceptions"}}

# Handlers are independent of one another, but for these, which stand on others.
STANDS_ON = {"admin": {"_event_stream"}, "channels": {"redis", "websocket"}}

# Plain values and parsers: no event loop and no socket.
SANS_IO = {"http", "codec"}
IO_MODULES = {"anyio", "asyncio", "select", "selectors", "socket", "ssl", "trio"}

# Where the process itself may be touched; a name ending in "/" stands for the whole folder.
ENVIRONMENT = ("server/_environment.py", "listeners/_inherited.py", "cli/_environment.py")
SIGNALS = ("server/_signals.py", "supervisor/_signals.py")
EXIT = ("cli/",)

# Files of one folder that import one another all the same, with the reason.
CIRCLES: dict[frozenset[str], str] = {}

# What is always there. Every other third party is an optional dependency.
CORE = {"anyio", "click", "h11", "outcome", "trio"}

OURS = "trillium_trio"
ROOT_FILES = {"__init__.py", "__main__.py"}
LEVEL = {
    name: int(line.split()[0][1:])
    for line in LAYERS.strip().splitlines()
    for name in line.split()[1:]
}


@dataclass(frozen=True, kw_only=True)
class Import:
    """One imported module, and the name taken from it (None for a plain ``import``)."""

    module: tuple[str, ...]
    name: str | None
    line: int
    in_function: bool

    @property
    def target(self) -> tuple[str, ...]:
        """The path below our package; ``from trillium_trio import codec`` aims at codec."""
        below = self.module[1:]
        return below if below or self.name is None else (self.name,)


def absolute(path: str, node: ast.ImportFrom) -> tuple[str, ...]:
    """Resolve the module of a ``from`` import, relative ones against the importing file."""
    named = tuple(node.module.split(".")) if node.module else ()
    if node.level == 0:
        return named
    package = (OURS, *path.split("/")[:-1])
    return (*package[: len(package) - node.level + 1], *named)


def imports(path: str, tree: ast.Module) -> Iterator[Import]:
    """Find every import of a module, wherever it stands."""

    def visit(node: ast.AST, in_function: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            for alias in node.names:
                module = tuple(alias.name.split("."))
                yield Import(module=module, name=None, line=node.lineno, in_function=in_function)
        elif isinstance(node, ast.ImportFrom):
            module = absolute(path, node)
            for alias in node.names:
                yield Import(
                    module=module, name=alias.name, line=node.lineno, in_function=in_function
                )
        inside = in_function or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for child in ast.iter_child_nodes(node):
            yield from visit(child, inside)

    return visit(tree, in_function=False)


def check_own_import(path: str, found: Import) -> Iterator[str]:
    """Check one import of our own package: the layer, the public name, the siblings."""
    home = path.split("/", maxsplit=1)[0].removesuffix(".py")
    target = found.target
    if path in ROOT_FILES:
        level = max(LEVEL.values()) + 1
    elif home in LEVEL:
        level = LEVEL[home]
    else:
        yield "this folder is missing in the table of layers"
        return
    if not target:
        yield "imports the whole package; name the folder"
        return
    folder = target[0]
    if folder == home:
        siblings = target[1:] or ((found.name,) if found.name else ())
        own_folder = path.split("/")[1:-1]
        is_own = bool(own_folder) and [*siblings[:1]] == own_folder
        below = STANDS_ON.get(own_folder[0], set()) if own_folder else set()
        stands_on_it = len(siblings) == 1 and siblings[0] in below
        is_free = is_own or stands_on_it
        if home == "handlers" and path != "handlers/__init__.py" and not is_free:
            yield f"a handler imports its sibling {'.'.join(siblings)}"
        return
    if folder not in LEVEL:
        yield f"imports {folder}, which is in no layer"
        return
    if LEVEL[folder] >= level and folder != "exceptions":
        yield f"{home} (L{level}) imports {folder} (L{LEVEL[folder]}), which is not below it"
    if home in IMPORTS_ONLY and folder not in IMPORTS_ONLY[home]:
        allowed = ", ".join(sorted(IMPORTS_ONLY[home]))
        yield f"{home} may import only {allowed} of ours, not {folder}"
    taken = found.name if len(found.module) > 1 else None
    if len(target) > 1 or (taken or "").startswith("_"):
        yield f"imports a private part of {folder}; import its public name"


def check_import(path: str, found: Import) -> Iterator[str]:
    """Check one import of one module against every rule that needs no other module."""
    root = found.module[0]
    home = path.split("/", maxsplit=1)[0]
    if root == OURS:
        yield from check_own_import(path, found)
    if home in SANS_IO and root in IO_MODULES:
        yield f"{home} does no I/O, but imports {root}"
    if root == "signal" and path not in SIGNALS:
        yield f"only {' and '.join(SIGNALS)} import signal"
    if found.in_function and not is_optional(root):
        yield f"imports {root} inside a function; only an optional dependency may be"
    taken = (root, found.name)
    if taken in {("os", "environ"), ("os", "environb"), ("os", "getenv")}:
        yield from check_process("os.environ", path)
    if taken in {("sys", "exit"), ("os", "_exit")}:
        yield from check_process("exit", path)


def check_process(what: str, path: str) -> Iterator[str]:
    """Check that the environment is read, and the process ended, only where that is allowed."""
    allowed = ENVIRONMENT if what == "os.environ" else EXIT
    if not path.startswith(allowed):
        yield f"{what} belongs in {' or '.join(allowed)}"


def check_use(path: str, node: ast.AST) -> Iterator[str]:
    """Check one expression or statement for touching the process."""
    match node:
        case ast.Attribute(value=ast.Name(id="os"), attr="environ" | "environb" | "getenv"):
            yield from check_process("os.environ", path)
        case ast.Attribute(value=ast.Name(id="sys"), attr="exit"):
            yield from check_process("exit", path)
        case ast.Attribute(value=ast.Name(id="os"), attr="_exit"):
            yield from check_process("exit", path)
        case ast.Raise(exc=ast.Name(id="SystemExit") | ast.Call(func=ast.Name(id="SystemExit"))):
            yield from check_process("exit", path)


def is_optional(root: str) -> bool:
    """Tell an optional dependency from what is always there."""
    return root != OURS and root not in CORE and root not in sys.stdlib_module_names


def violations(sources: Mapping[str, str]) -> list[str]:
    """Check modules, given as path below the package and source, against all the rules."""
    found: list[str] = []
    importers: dict[str, set[str]] = {}
    for path, source in sources.items():
        tree = ast.parse(source, filename=path)
        for each in imports(path, tree):
            found += [f"{path}:{each.line}: {text}" for text in check_import(path, each)]
            if is_optional(each.module[0]):
                importers.setdefault(each.module[0], set()).add(place(path))
        for node in ast.walk(tree):
            line = getattr(node, "lineno", 0)
            found += [f"{path}:{line}: {text}" for text in check_use(path, node)]
    for root, paths in sorted(importers.items()):
        if len(paths) > 1:
            places = ", ".join(sorted(paths))
            found.append(f"{root} is optional; one place imports it, not {places}")
    return found


def place(path: str) -> str:
    """Return where an optional dependency may be imported: a file, or the folder of a handler."""
    home, *rest = path.split("/")
    return f"{home}/{rest[0]}/" if home == "handlers" and len(rest) > 1 else path


def siblings(path: str, found: Import, known: Collection[str]) -> Iterator[str]:
    """Find the files of its own folder that an import takes something from."""
    folder, _, _ = path.rpartition("/")
    home, target = tuple(folder.split("/")), found.target
    if folder and target[: len(home)] == home:
        below = target[len(home) :]
        for name in (*below[:1], *([found.name] if found.name and not below else [])):
            sibling = f"{folder}/{name}.py"
            if sibling in known:
                yield sibling


def circles(sources: Mapping[str, str]) -> set[frozenset[str]]:
    """Find the files of each folder that reach one another through imports."""
    below = {
        path: {
            sibling
            for each in imports(path, ast.parse(source, filename=path))
            for sibling in siblings(path, each, sources)
        }
        for path, source in sources.items()
        if not path.endswith("__init__.py")
    }
    reach = {path: set(direct) for path, direct in below.items()}
    while True:
        wider = {
            path: seen.union(*(reach.get(each, set()) for each in seen))
            for path, seen in reach.items()
        }
        if wider == reach:
            break
        reach = wider
    return {
        frozenset(other for other in reach[path] if path in reach.get(other, set()))
        for path in reach
        if path in reach[path]
    }


def test_the_package_keeps_its_layers() -> None:
    assert violations(package_sources()) == []


def test_no_files_of_a_folder_import_each_other() -> None:
    assert circles(package_sources()) == set(CIRCLES)


@pytest.mark.parametrize("typing", ["", "if TYPE_CHECKING:\n    "])
@pytest.mark.parametrize("home", ["conn", "handlers/x"])
def test_the_checker_finds_a_circle_of_any_length(home: str, typing: str) -> None:
    sources = {
        f"{home}/__init__.py": "from ._a import A\nfrom ._b import B",
        f"{home}/_a.py": f"{typing}from ._b import B",
        f"{home}/_b.py": "from . import _c",
        f"{home}/_c.py": f"from trillium_trio.{home.replace('/', '.')}._a import A",
        f"{home}/_d.py": "from ._a import A",
    }
    assert circles(sources) == {frozenset({f"{home}/_a.py", f"{home}/_b.py", f"{home}/_c.py"})}


LAWFUL = {
    "a lower layer by its public name": ("codec/_head.py", "from trillium_trio.http import Body"),
    "the exceptions": ("swansong/_guard.py", "from trillium_trio.exceptions import MisuseError"),
    "the exceptions, from beside them": ("_util.py", "from .exceptions import TrilliumError"),
    "its own folder": ("codec/_head.py", "from trillium_trio.codec._framing import framing"),
    "its own folder, relative": ("codec/_head.py", "from ._framing import framing"),
    "a folder from the package": ("server/_run.py", "from trillium_trio import swansong"),
    "a folder by import": ("server/_run.py", "import trillium_trio.swansong"),
    "a folder that re-exports its files": ("handlers/__init__.py", "from ._router import Router"),
    "a handler that is a folder": ("handlers/x/_y.py", "from ._z import z\nfrom . import _z"),
    "the package that re-exports": ("__init__.py", "from trillium_trio.testing import TestServer"),
    "the main module": ("__main__.py", "from trillium_trio.cli import main"),
    "a core dependency": ("codec/_head.py", "import h11"),
    "the environment, in its place": ("server/_environment.py", "import os\nos.environ['PORT']"),
    "inherited descriptors": ("listeners/_inherited.py", "from os import environ"),
    "signals, in their place": ("server/_signals.py", "import signal"),
    "exit from the command line": ("cli/_main.py", "import sys\nsys.exit(0)"),
    "SystemExit caught": ("driver/_errors.py", "try: f()\nexcept SystemExit: raise"),
    "an optional dependency, late": ("asgi/_h2.py", "def load():\n    import h2.connection"),
}

UNLAWFUL = {
    "a higher layer": (
        "http/_body.py",
        "from trillium_trio.codec import read_head",
        "http (L1) imports codec (L2), which is not below it",
    ),
    "a higher layer for its types": (
        "http/_body.py",
        "if TYPE_CHECKING:\n    from trillium_trio.conn import Conn",
        "http (L1) imports conn (L3)",
    ),
    "the same layer": (
        "asgi/_app.py",
        "from trillium_trio.server import Config",
        "asgi (L5) imports server (L5)",
    ),
    "the lowest layer": (
        "exceptions.py",
        "from trillium_trio._util import ago",
        "exceptions (L0) imports _util (L0)",
    ),
    "a handler that imports the server": (
        "handlers/_x.py",
        "from ..server import Config",
        "handlers (L4) imports server (L5)",
    ),
    "the top": ("server/_run.py", "from trillium_trio import Conn", "Conn, which is in no layer"),
    "the top by import": ("server/_run.py", "import trillium_trio", "imports the whole package"),
    "a private file": (
        "conn/_conn.py",
        "from trillium_trio.codec._head import read_head",
        "imports a private part of codec",
    ),
    "a private file by import": (
        "conn/_conn.py",
        "import trillium_trio.codec._head",
        "imports a private part of codec",
    ),
    "a private file from its folder": (
        "conn/_conn.py",
        "from trillium_trio.codec import _head",
        "imports a private part of codec",
    ),
    "a private file, relative": (
        "conn/_conn.py",
        "from ..codec._head import read_head",
        "imports a private part of codec",
    ),
    "swansong of anything but exceptions": (
        "swansong/_guard.py",
        "from trillium_trio._util import ago",
        "swansong may import only _log, exceptions of ours, not _util",
    ),
    "a sibling handler": (
        "handlers/_router.py",
        "from ._static import Static",
        "a handler imports its sibling _static",
    ),
    "a sibling of a handler that is a folder": (
        "handlers/x/_y.py",
        "from .._static import Static",
        "a handler imports its sibling _static",
    ),
    "a folder beside a handler that is one": (
        "handlers/x/_y.py",
        "from ..static import Static",
        "a handler imports its sibling static",
    ),
    "a sibling handler by name": (
        "handlers/_router.py",
        "from trillium_trio.handlers import Static",
        "a handler imports its sibling Static",
    ),
    "trio in http": ("http/_body.py", "import trio", "http does no I/O, but imports trio"),
    "trio in codec for its types": (
        "codec/_body.py",
        "if TYPE_CHECKING:\n    import trio.abc",
        "codec does no I/O, but imports trio",
    ),
    "sockets in codec": ("codec/_body.py", "from socket import AF_INET", "but imports socket"),
    "ssl in codec": ("codec/_body.py", "import ssl", "but imports ssl"),
    "the environment": (
        "server/_config.py",
        "import os\nport = os.environ['PORT']",
        "os.environ belongs in server/_environment.py or listeners/_inherited.py",
    ),
    "getenv": ("server/_config.py", "import os\nos.getenv('PORT')", "os.environ belongs in"),
    "environ by name": ("cli/_main.py", "from os import environ", "os.environ belongs in"),
    "signals": ("server/_run.py", "from signal import SIGTERM", "_signals.py import signal"),
    "exit": ("server/_run.py", "import sys\ndef f(): sys.exit(1)", "exit belongs in cli/"),
    "exit by name": ("server/_run.py", "from sys import exit as leave", "exit belongs in cli/"),
    "os._exit": ("server/_run.py", "import os\nos._exit(1)", "exit belongs in cli/"),
    "SystemExit": ("__main__.py", "raise SystemExit(main())", "exit belongs in cli/"),
    "an import inside a function": (
        "conn/_conn.py",
        "def late() -> None:\n    import json",
        "imports json inside a function",
    ),
    "an import inside a method": (
        "conn/_conn.py",
        "class C:\n    async def f(self):\n        from trillium_trio.http import Body",
        "imports trillium_trio inside a function",
    ),
    "a folder that the table misses": (
        "novel/_x.py",
        "from trillium_trio.http import Body",
        "this folder is missing in the table",
    ),
    "an import that the table misses": (
        "conn/_conn.py",
        "from trillium_trio.novel import X",
        "novel, which is in no layer",
    ),
}


@pytest.mark.parametrize("case", LAWFUL)
def test_the_checker_lets_the_lawful_pass(case: str) -> None:
    path, source = LAWFUL[case]
    assert violations({path: source}) == []


@pytest.mark.parametrize("case", UNLAWFUL)
def test_the_checker_catches(case: str) -> None:
    path, source, complaint = UNLAWFUL[case]
    [found] = violations({path: source})
    assert found.startswith(f"{path}:")
    assert complaint in found


def test_the_checker_catches_an_optional_dependency_in_two_places() -> None:
    assert violations({"asgi/_a.py": "import h2", "conn/_b.py": "import h2.events"}) == [
        "h2 is optional; one place imports it, not asgi/_a.py, conn/_b.py"
    ]
    two_handlers = {"handlers/x/_a.py": "import h2", "handlers/y/_b.py": "import h2"}
    assert violations(two_handlers) == [
        "h2 is optional; one place imports it, not handlers/x/, handlers/y/"
    ]
    assert violations({f"handlers/x/{name}.py": "import h2" for name in ("_a", "_b")}) == []


def test_every_folder_stands_in_the_table() -> None:
    homes = {path.split("/")[0].removesuffix(".py") for path in package_sources() if "/" in path}
    assert homes <= LEVEL.keys()


def test_contributors_are_shown_the_same_table() -> None:
    assert LAYERS in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
