"""Writes each picture beside its source: ``python -m docs.diagrams``."""

from __future__ import annotations

from pathlib import Path

from . import connection, drain, house, swansongs, tasks

FOLDER = Path(__file__).parent

PICTURES = {
    FOLDER / f"{module.__name__.rpartition('.')[2]}.svg": module.draw
    for module in (connection, drain, house, swansongs, tasks)
}

if __name__ == "__main__":
    for path, draw in PICTURES.items():
        path.write_text(draw().render(), encoding="utf-8")
