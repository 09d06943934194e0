"""Loading what ``MODULE:ATTR`` names."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from typing import IO, TYPE_CHECKING, final

import click

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["CannotStart", "call_factory", "load_target"]


@final
class CannotStart(click.ClickException):
    """The server could not start: one line on stderr, below the traceback of its cause; status 3.

    Raised ``from None`` if the line is enough.
    """

    exit_code = 3

    def show(self, file: IO[str] | None = None) -> None:
        """Print it."""
        if self.__cause__ is not None:
            traceback.print_exception(self.__cause__, file=file)
        super().show(file)


def load_target(target: str, *, factory: bool, folder: str | None = None) -> object:
    """Import a module or a file and return the attribute, or what a factory returns.

    The current directory, or the file's, is importable from then on, as with ``python -m module``
    and ``python file.py``.

    Args:
      target: ``package.module:attribute`` or ``path/to/file.py:attribute``; the attribute may be
        dotted.
      factory: Call the attribute, without arguments.
      folder: Where modules are looked for first. Default: the current directory.

    Raises:
      CannotStart: There is no such module, file or attribute; the factory is not a plain function;
        or the application's code raised the ``__cause__``.
    """
    source, _, attribute = target.rpartition(":")
    if not source or not attribute:
        raise CannotStart(f"{target!r} is invalid: expected MODULE:ATTR or path/to/file.py:ATTR")
    try:
        if folder is not None:
            _make_importable(Path(folder).resolve())
        elif not source.endswith(".py"):
            _make_importable(Path.cwd())
        found: object = _load_file(source) if source.endswith(".py") else _load_module(source)
        for name in attribute.split("."):
            try:
                found = getattr(found, name)
            except AttributeError:
                raise CannotStart(f"{source} has no {attribute!r}") from None
    except CannotStart:
        raise
    except Exception as error:
        raise CannotStart(f"cannot load {target}: {error!r}") from error
    return call_factory(found, target) if factory else found


def call_factory(factory: object, target: str) -> object:
    """Return what a factory returns.

    Raises:
      CannotStart: It is not a plain function, or raised the ``__cause__``.
    """
    try:
        return _call(factory, target)
    except CannotStart:
        raise
    except Exception as error:
        raise CannotStart(f"cannot load {target}: {error!r}") from error


def _load_module(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Only for the requested module or one of its parent packages. Any other is one that the
        # module itself could not import, and the traceback shows where.
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        raise CannotStart(
            f"there is no module {error.name!r} in {sys.path[0]} or sys.path"
        ) from None


def _load_file(name: str) -> ModuleType:
    path = Path(name).resolve()
    if not path.is_file():
        raise CannotStart(f"there is no file {path}")
    _make_importable(path.parent)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None, "the name ends in .py"
    assert spec.loader is not None, "only a namespace package has no loader"
    module = importlib.util.module_from_spec(spec)
    # dataclasses and pickle look up the module of a class here.
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


def _make_importable(folder: Path) -> None:
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))


def _call(factory: object, target: str) -> object:
    if inspect.iscoroutinefunction(factory) or not callable(factory):
        raise CannotStart(f"{target} is not a factory: expected a plain function without arguments")
    result: object = factory()
    return result
