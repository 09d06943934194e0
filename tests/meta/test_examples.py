"""Examples are short programs that can be imported, and every one of them is executed somewhere."""

from __future__ import annotations

import ast
import importlib.util
import re
from typing import TYPE_CHECKING

from tests.meta._snippets import snippets
from tests.meta._tree import ROOT, TESTS, parse, relative

if TYPE_CHECKING:
    from collections.abc import Iterator

# What a reader takes in at one glance.
MAX_LINES = 60

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))

# The one that is a package; `tests/e2e/test_shop.py` executes it.
SHOP = sorted((ROOT / "examples" / "shop").glob("*.py"))
MAX_LINES_OF_SHOP = 650
MAX_LINES_OF_A_FILE = 125


def is_main_guard(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test) == "__name__ == '__main__'"


def side_effects(tree: ast.Module) -> Iterator[int]:
    """Find the lines that do something at import, other than define, import and assign."""
    allowed = (
        ast.Import
        | ast.ImportFrom
        | ast.FunctionDef
        | ast.AsyncFunctionDef
        | ast.ClassDef
        | ast.Assign
        | ast.AnnAssign
    )
    for node in tree.body:
        is_string = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if not (isinstance(node, allowed) or is_string or is_main_guard(node)):
            yield node.lineno


def test_an_example_only_defines_when_imported() -> None:
    for example in EXAMPLES:
        tree = parse(example)
        assert ast.get_docstring(tree), relative(example)
        assert list(side_effects(tree)) == [], relative(example)
        spec = importlib.util.spec_from_file_location(example.stem, example)
        assert spec is not None
        assert spec.loader is not None
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


def test_an_example_is_short() -> None:
    lengths = {relative(each): len(each.read_text("utf-8").splitlines()) for each in EXAMPLES}
    assert {name: length for name, length in lengths.items() if length > MAX_LINES} == {}


def test_the_shop_is_not_long_either() -> None:
    lengths = [len(each.read_text("utf-8").splitlines()) for each in SHOP]
    assert 0 < sum(lengths) <= MAX_LINES_OF_SHOP
    assert max(lengths) <= MAX_LINES_OF_A_FILE
    for example in SHOP:
        tree = parse(example)
        assert ast.get_docstring(tree), relative(example)
        assert list(side_effects(tree)) == [], relative(example)


def test_an_example_is_executed_by_a_test() -> None:
    driver = TESTS / "e2e" / "test_examples.py"
    text = driver.read_text(encoding="utf-8") if EXAMPLES else ""
    named = set(re.findall(r"\w+", text))
    assert [relative(each) for each in EXAMPLES if each.stem not in named] == []


def test_the_readme_names_files_that_exist() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"\b(?:examples|docs|benchmarks)/[\w/-]+\.\w+", readme))
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_readme_shows_the_program_that_it_starts() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    [name] = re.findall(r"python (examples/\w+\.py)$", readme, re.MULTILINE)
    [shown, *_] = snippets(readme)
    started = parse(ROOT / name)
    # The program has a docstring of its own, and its blank lines are the formatter's.
    assert ast.unparse(ast.parse(shown.source)) == ast.unparse(
        ast.Module(body=started.body[1:], type_ignores=[])
    )


def test_the_checker_sees_side_effects() -> None:
    tree = ast.parse(
        '"""Doc."""\nimport trio\nx = 1\nprint(x)\nif x:\n    pass\n'
        'if __name__ == "__main__":\n    trio.run(main)\nwith x:\n    pass\n'
    )
    assert list(side_effects(tree)) == [4, 5, 9]
