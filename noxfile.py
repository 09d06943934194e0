"""Everything there is to check, each in an environment that it sets up itself.

``nox`` runs the tests on every Python that is installed, once more with the lowest versions of what
is required, and the static checks. Asked for by name: ``nox -s bench`` runs the benchmarks,
``nox -s fuzz`` the fuzzers, ``nox -s soak`` the soak, ``nox -s autobahn`` Autobahn's test suite.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tomllib
from pathlib import Path

import nox

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

# The peers that the benchmarks compare with; those that are missing are left out of the tables.
PEERS = ["aiohttp", "granian", "hypercorn[trio]", "starlette", "uvicorn[standard]"]

# Extras that no application installs.
FOR_DEVELOPERS = {"dev", "docs", "fuzz", "interop"}

nox.options.sessions = [
    "tests",
    "lowest",
    "lint",
    "typing",
    "completeness",
    "docs",
    "build",
]
nox.options.error_on_missing_interpreters = False


def select_pyenv_versions() -> None:
    """Make the shims of pyenv work for each version that it has installed.

    A shim is on the PATH even while its version is not selected, and then fails when it is called.
    """
    pyenv = shutil.which("pyenv")
    if pyenv is None:
        return
    command = [pyenv, "versions", "--bare", "--skip-aliases"]
    versions = subprocess.check_output(command, text=True).split()  # noqa: S603  # all literal
    wanted = [each for python in PYTHONS for each in versions if each.startswith(f"{python}.")]
    os.environ["PYENV_VERSION"] = ":".join([*wanted, "system"])


select_pyenv_versions()


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests; arguments after ``--`` go to pytest."""
    session.install("-e", ".[dev]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows; arguments go to pytest."""
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    required = [*project["dependencies"]]
    required += [each for name in extras if name not in FOR_DEVELOPERS for each in extras[name]]
    pins = [each.replace(">=", "==") for each in required]
    session.install("-e", ".[dev]", *pins)
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and formatting."""
    session.install("ruff>=0.9")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types, strictly."""
    session.install("-e", ".[dev]")
    session.run("mypy", "--strict")


@nox.session
def docs(session: nox.Session) -> None:
    """Build the documentation; a warning is an error."""
    session.install("-e", ".[docs]")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build/html")


@nox.session
def completeness(session: nox.Session) -> None:
    """Check that every public name has a type that type checkers cannot read in two ways."""
    # Not editable: pyright looks for the package, and for py.typed in it, where it is installed.
    # With the extras whose types are in signatures.
    session.install(".[otel,postgres,redis,templates,websockets]", "pyright[nodejs]>=1.1.400")
    # Away from the sources, which it would look at instead.
    session.chdir(session.create_tmp())
    session.run("pyright", "--ignoreexternal", "--verifytypes", "trillium_trio")


@nox.session
def build(session: nox.Session) -> None:
    """Build wheel and sdist, check what they say, and run the command that the wheel installs."""
    session.install("build>=1.2", "twine>=6")
    shutil.rmtree("dist", ignore_errors=True)
    session.run("python", "-m", "build")
    session.run("twine", "check", "--strict", *map(str, Path("dist").iterdir()))
    [wheel] = Path("dist").glob("*.whl")
    fresh = Path(session.create_tmp()) / "venv"
    session.run("python", "-m", "venv", "--clear", str(fresh))
    session.run(str(fresh / "bin/pip"), "install", "-q", str(wheel), external=True)
    session.run(str(fresh / "bin/trillium-trio"), "--help", external=True)


@nox.session
def bench(session: nox.Session) -> None:
    """Run the benchmarks beside the peers; arguments after ``--`` go to compare.py."""
    session.install(".", *PEERS)
    session.run("python", "benchmarks/compare.py", *session.posargs)


# The fuzzer has no later one yet.
@nox.session(python="3.11")
def fuzz(session: nox.Session) -> None:
    """Fuzz each target in turn; arguments after ``--`` go to ``python -m tests.fuzz``."""
    session.install("-e", ".[fuzz]")
    session.run("python", "-m", "tests.fuzz", *session.posargs)


@nox.session
def autobahn(session: nox.Session) -> None:
    """Run Autobahn's fuzzing client, which needs a python2.7; arguments go to the script."""
    session.install("-e", ".[websockets]")
    session.run("python", "-m", "tests.interop.autobahn", *session.posargs)


@nox.session
def suites(session: nox.Session) -> None:
    """Run the suites of Starlette and of gunicorn's ASGI compliance against our server."""
    session.install("-e", ".[dev]")
    session.run("python", "-m", "tests.interop.starlette_suite")
    session.run("python", "-m", "tests.interop.gunicorn_compliance")


@nox.session
def soak(session: nox.Session) -> None:
    """Soak one process in mixed traffic; arguments after ``--`` go to soak.py (two minutes)."""
    session.install(".")
    session.run("python", "benchmarks/soak.py", *session.posargs)
