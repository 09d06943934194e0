"""The pictures of the documentation are as their descriptions, and the package, have them."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import TYPE_CHECKING

import pytest

from docs.diagrams import house
from docs.diagrams.__main__ import FOLDER, PICTURES
from tests.meta._tree import public_folders, relative
from tests.meta.test_layers import LEVEL

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("path", PICTURES, ids=relative)
def test_a_picture_is_up_to_date(path: Path) -> None:
    drawn = PICTURES[path]().render()
    assert path.read_text(encoding="utf-8") == drawn, "run: python -m docs.diagrams"
    assert ET.fromstring(drawn).tag == "{http://www.w3.org/2000/svg}svg"


def test_every_picture_has_a_description() -> None:
    assert sorted(FOLDER.glob("*.svg")) == sorted(PICTURES)


def test_the_house_shows_every_folder_in_its_layer() -> None:
    rows = house.layers()
    levels = {name: len(rows) - 1 - row for row, names in enumerate(rows) for name in names}
    assert {*public_folders(), *house.base()} == levels.keys()
    assert all(LEVEL[name] == level for name, level in levels.items())


def test_arrows_point_down() -> None:
    for folder, below in house.imports().items():
        assert all(LEVEL[each] < LEVEL[folder] for each in below), folder


def test_an_arrow_that_follows_from_others_is_left_out() -> None:
    graph = {"a": {"b", "c"}, "b": {"c"}, "c": set[str]()}
    assert house.reduced(graph) == {"a": {"b"}, "b": {"c"}, "c": set()}
    assert house.reachable(graph, "a") == {"b", "c"}
