"""What the runners of other projects' suites share: fetch a suite, run it, compare.

A suite is the folder of tests in an sdist of PyPI. It is unpacked outside of this repository, and
run by a pytest of its own. Each failing test is in a JSON file, with the reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict
from xml.etree import ElementTree

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Recorded", "Results", "compare", "fetch", "load", "run_pytest"]

HERE = Path(__file__).parent
FOLDER = Path(tempfile.gettempdir()) / "trillium-trio-suites"


class Recorded(TypedDict):
    """What a suite has found.

    The version of the project, how many tests have passed in each mode, and why others fail.
    """

    version: str
    passed: dict[str, int]
    failures: dict[str, str]


class Results(TypedDict):
    """What one run has found: how many tests have passed, and which have failed."""

    passed: int
    failed: list[str]


def load(name: str) -> Recorded:
    """Return what was recorded of a suite."""
    recorded: Recorded = json.loads((HERE / f"{name}.json").read_text(encoding="utf-8"))
    return recorded


def fetch(name: str, version: str) -> Path:
    """Return the folder of a project's sources, downloaded on first use."""
    folder = FOLDER / f"{name}-{version}"
    if not folder.exists():
        FOLDER.mkdir(exist_ok=True)
        options = ["--quiet", "--no-deps", "--no-binary", name, "--dest", str(FOLDER)]
        command = [sys.executable, "-m", "pip", "download", *options, f"{name}=={version}"]
        subprocess.run(command, check=True)
        with tarfile.open(FOLDER / f"{name}-{version}.tar.gz") as archive:
            archive.extractall(FOLDER, filter="data")
    return folder


def install(*requirements: str) -> Path:
    """Return a folder with packages that only a suite needs, installed on first use."""
    folder = FOLDER / "-".join(sorted(requirements))
    if not folder.exists():
        options = ["--quiet", "--no-deps", "--target", str(folder)]
        command = [sys.executable, "-m", "pip", "install", *options, *requirements]
        subprocess.run(command, check=True)
    return folder


def run_pytest(
    folder: Path,
    arguments: Sequence[str],
    *,
    path: Sequence[Path],
    environ: Mapping[str, str] | None = None,
) -> Results:
    """Run pytest in a folder, with other folders to import from.

    Returns:
      What it has found; tests that were skipped, or are expected to fail, count as neither.
    """
    with tempfile.TemporaryDirectory() as temporary:
        report = Path(temporary) / "report.xml"
        options = ["-q", "--no-header", "-p", "no:randomly", "-p", "no:cacheprovider", "--tb=line"]
        command = [sys.executable, "-m", "pytest", *options, f"--junitxml={report}", *arguments]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path))}
        environment |= environ or {}
        subprocess.run(command, cwd=folder, env=environment, check=False)
        if not report.exists():
            sys.exit(f"pytest has written no report of {folder}")
        tree = ElementTree.parse(report)
    results: Results = {"passed": 0, "failed": []}
    for case in tree.iter("testcase"):
        outcome = {each.tag for each in case}
        if outcome & {"failure", "error"}:
            results["failed"].append(f"{case.get('classname')}.{case.get('name')}")
        elif "skipped" not in outcome:
            results["passed"] += 1
    return results


def compare(recorded: Recorded, mode: str, found: Results) -> list[str]:
    """Name what is worse than recorded: tests that fail for no known reason, and missing ones."""
    worse = [
        f"{mode}: {each} fails" for each in found["failed"] if each not in recorded["failures"]
    ]
    if found["passed"] < recorded["passed"][mode]:
        worse.append(f"{mode}: {found['passed']} passed, were {recorded['passed'][mode]}")
    return worse
