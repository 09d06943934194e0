"""Finds the corpora and makes one test case of each of theirs."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from tests.conformance._cases import HERE, load_cases
from tests.conformance._http11probe import PROBES
from tests.conformance._page import Page
from tests.conformance._probing import Outcome, send_all


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--corpora", type=Path, default=None, help="a folder of request corpora")
    parser.addoption(
        "--write-table",
        action="store_true",
        help="rewrite what the tests find in docs/reference/conformance.md; not with -n",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    for name in {"case", "accepted_case"}.intersection(metafunc.fixturenames):
        cases = load_cases(find_corpora(metafunc.config))
        if name == "accepted_case":
            cases = [case for case in cases if case.expect == "accept"]
        metafunc.parametrize(name, cases, ids=lambda case: case.id)

    if "traversal_list" in metafunc.fixturenames:
        lists = find_traversal_lists(metafunc.config)
        metafunc.parametrize("traversal_list", lists, ids=lambda path: path.stem)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.name == "test_corpora.py" and find_corpora(config) is None:
        return True
    if collection_path.name == "test_traversal_lists.py" and not find_traversal_lists(config):
        return True
    return None


def find_corpora(config: pytest.Config) -> Path | None:
    """Return the folder of corpora: the one that was named, or the one that is here."""
    # With a default: from the root of the repository this file is found too late to add options.
    named = config.getoption("--corpora", default=None)
    if named is not None:
        return Path(named)
    here = HERE / "corpora"
    return here if here.is_dir() else None


def find_traversal_lists(config: pytest.Config) -> list[Path]:
    """Return the lists of paths that try to leave a folder, if they are here."""
    corpora = find_corpora(config)
    return [] if corpora is None else sorted((corpora / "traversal").glob("*.txt"))


@pytest.fixture(scope="session")
def page(pytestconfig: pytest.Config) -> Page:
    return Page(rewrites=pytestconfig.getoption("--write-table", default=False))


@pytest.fixture(scope="session")
def outcomes() -> dict[str, Outcome]:
    """What each case of Http11Probe got."""
    return trio.run(send_all, PROBES)
