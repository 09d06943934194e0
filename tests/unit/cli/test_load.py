"""From MODULE:ATTR to what it names."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from trillium_trio import Server
from trillium_trio.cli._load import CannotStart, load_target

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("target", ["cli_app:hello", "cli_app:folder.hello", "cli_app.py:hello"])
def test_a_target_is_found_from_the_current_directory(target: str) -> None:
    hello = load_target(target, factory=False)
    assert getattr(hello, "__qualname__", None) == "folder.hello"


def test_a_file_finds_what_stands_beside_it(
    application: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (application / "inner").mkdir()
    (application / "inner" / "cli_inner.py").write_text("import cli_beside as app\n", "utf-8")
    (application / "inner" / "cli_beside.py").write_text("answer = 'hello'\n", "utf-8")
    for name in ("cli_inner", "cli_beside"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert load_target("inner/cli_inner.py:app.answer", factory=False) == "hello"


def test_a_factory_is_called() -> None:
    assert isinstance(load_target("cli_app:make", factory=True), Server)


@pytest.mark.parametrize(
    ("target", "complaint"),
    [
        ("cli_app", "expected MODULE:ATTR"),
        (":app", "expected MODULE:ATTR"),
        ("cli_app:", "expected MODULE:ATTR"),
        ("no_such_module:app", "no module 'no_such_module'"),
        ("cli_app.inner:app", "no module 'cli_app.inner'"),
        ("no_such_file.py:app", "no_such_file.py"),
        ("cli_app:nothing", "cli_app has no 'nothing'"),
        ("cli_app:folder.nothing", "cli_app has no 'folder.nothing'"),
    ],
)
def test_what_is_not_there_is_one_line(target: str, complaint: str) -> None:
    with pytest.raises(CannotStart, match=complaint) as caught:
        load_target(target, factory=False)
    assert caught.value.__cause__ is None
    assert "\n" not in caught.value.message


@pytest.mark.parametrize("attribute", ["make_later", "number"])
def test_a_factory_is_a_plain_function(attribute: str) -> None:
    with pytest.raises(CannotStart, match="is not a factory"):
        load_target(f"cli_app:{attribute}", factory=True)


@pytest.mark.parametrize(
    ("target", "cause"), [("cli_broken:app", ImportError), ("cli_app:fails", ZeroDivisionError)]
)
def test_what_the_application_raises_is_shown(
    target: str, cause: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(CannotStart) as caught:
        load_target(target, factory=True)
    assert isinstance(caught.value.__cause__, cause)
    caught.value.show()
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].startswith(f"Error: cannot load {target}: {cause.__name__}") or (
        "ModuleNotFoundError" in lines[-1]
    )
