"""The folders of the package by layer, and their imports as the sources have them."""

from __future__ import annotations

import ast
from pathlib import Path

from .svg import Drawing

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "trillium_trio"
OURS = "trillium_trio."

# Where a folder stands in its layer, from 0 to 3, so that no arrow crosses a box; and what it is.
PLACES: dict[str, tuple[float, str]] = {
    "cli": (2.1, "argv to Config"),
    "supervisor": (1.95, "many processes"),
    "testing": (0.65, "a server in memory"),
    "server": (1.95, "settings, drain, signals"),
    "asgi": (0, "ASGI both ways"),
    "wsgi": (1.0, "WSGI in threads"),
    "handlers": (0.42, "batteries"),
    "driver": (1.47, "runs one connection"),
    "conn": (1.0, "what handlers see"),
    "listeners": (3, "bind and accept"),
    "codec": (1.9, "bytes to values"),
    "transport": (3, "byte streams"),
    "swansong": (0, "graceful shutdown"),
    "http": (1.2, "HTTP as values"),
}
LEFT, STEP, WIDTH, HEIGHT, ROW = 126, 180, 156, 46, 78


def layers() -> list[list[str]]:
    """Read the table of layers off CONTRIBUTING.md: the folders that there are, from the top."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    rows = [
        line.split()[1:] for line in text.splitlines() if line[:1] == "L" and line[1:2].isdigit()
    ]
    return [[name for name in row if _exists(name)] for row in rows]


def base() -> set[str]:
    """Name the lowest layer. It is for all, so that arrows to it would say nothing."""
    return set(layers()[-1])


def _exists(name: str) -> bool:
    return (PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file()


def imports() -> dict[str, set[str]]:
    """Find for each folder the other folders that its files import."""
    found: dict[str, set[str]] = {}
    for path in sorted(PACKAGE.glob("*/*.py")):
        taken = found.setdefault(path.parent.name, set())
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            match node:
                case ast.ImportFrom(level=0, module=str(module)) if module.startswith(OURS):
                    taken.add(module.removeprefix(OURS).split(".")[0])
                # `from ..http import Body`, and `from .. import http`
                case ast.ImportFrom(level=2, module=str(module)):
                    taken.add(module.split(".")[0])
                case ast.ImportFrom(level=2, names=names):
                    taken.update(each.name for each in names)
    return {folder: taken - {folder} - base() for folder, taken in found.items()}


def reachable(graph: dict[str, set[str]], start: str) -> set[str]:
    """Find what a folder imports, and what that imports, and so on."""
    below = graph.get(start, set())
    return below.union(*(reachable(graph, each) for each in below))


def reduced(graph: dict[str, set[str]]) -> dict[str, set[str]]:
    """Leave out the arrows that follow from others."""
    return {
        folder: below - set().union(*(reachable(graph, each) for each in below))
        for folder, below in graph.items()
    }


def draw() -> Drawing:
    """Draw a layer below the other, and an arrow for each import that does not follow."""
    rows = layers()
    graph = reduced(imports())
    height = 56 + ROW * len(rows)
    drawing = Drawing(
        (760, height),
        title="The folders of trillium_trio by layer",
        description="; ".join(
            f"{folder} imports {', '.join(sorted(below))}"
            for folder, below in graph.items()
            if below
        ),
    )
    drawing.polygon((46, 46), (406, 4), (758, 46))
    drawing.text((404, 37), "trillium_trio", "code strong", anchor="middle")
    corners: dict[str, tuple[float, float]] = {}
    for row, folders in enumerate(rows):
        y = 58.0 + ROW * row
        drawing.text((0, y + 28), f"L{len(rows) - 1 - row}", "quiet")
        if set(folders) == base():
            lines = (", ".join(folders), "for all")
            drawing.box((46, y), (712, HEIGHT), lines, style="code strong")
            continue
        for folder in folders:
            place, what = PLACES[folder]
            x = LEFT + STEP * place
            drawing.box((x - WIDTH / 2, y), (WIDTH, HEIGHT), (folder, what), style="code strong")
            corners[folder] = (x, y)
    for folder, below in sorted(graph.items()):
        for number, each in enumerate(sorted(below, key=lambda name: corners[name][0])):
            (x, y), (to_x, to_y) = corners[folder], corners[each]
            # Side by side, in the order in which they arrive.
            x += (number - (len(below) - 1) / 2) * 24
            drawing.arrow((x, y + HEIGHT + 1), (to_x + (x - to_x) * 0.12, to_y - 2))
    return drawing
