"""What runs for contributors elsewhere: workflows, issue forms, hooks. Here they are only read."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from ruamel.yaml import YAML

from tests.meta._tree import ROOT, parse, relative

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
CHOOSER = GITHUB / "ISSUE_TEMPLATE" / "config.yml"
FORMS = sorted(set((GITHUB / "ISSUE_TEMPLATE").glob("*.yml")) - {CHOOSER})

SCHEMAS = {
    **dict.fromkeys(WORKFLOWS, "vendor.github-workflows"),
    **dict.fromkeys(FORMS, "vendor.github-issue-forms"),
    CHOOSER: "vendor.github-issue-config",
}


def load(path: Path) -> Any:  # a YAML file can hold anything
    return YAML(typ="safe").load(path)


def steps(workflow: Path) -> Iterator[dict[str, Any]]:
    for job in load(workflow)["jobs"].values():
        yield from job["steps"]


def validation(path: Path, schema: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def nox_pythons() -> list[str]:
    """Read ``PYTHONS`` off the noxfile."""
    for node in parse(ROOT / "noxfile.py").body:
        match node:
            case ast.Assign(targets=[ast.Name(id="PYTHONS")], value=value):
                return list(ast.literal_eval(value))
    pytest.fail("noxfile.py has no PYTHONS")


def nox_sessions() -> set[str]:
    """Name the functions of the noxfile that are sessions."""
    return {
        node.name
        for node in parse(ROOT / "noxfile.py").body
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    }


@pytest.mark.parametrize("path", SCHEMAS, ids=relative)
def test_workflows_and_forms_are_valid(path: Path) -> None:
    result = validation(path, SCHEMAS[path])
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_schemas_reject_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "ci.yml"
    path.write_text("on: push\njobs:\n  tests:\n    steps: []\n", encoding="utf-8")
    assert validation(path, "vendor.github-workflows").returncode == 1
    assert validation(path, "vendor.github-issue-forms").returncode == 1


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=relative)
def test_a_workflow_has_least_permissions_and_every_job_a_timeout(workflow: Path) -> None:
    content = load(workflow)
    # What a job needs beyond this it asks for itself.
    assert content["permissions"] in ({}, {"contents": "read"})
    assert [name for name, job in content["jobs"].items() if "timeout-minutes" not in job] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=relative)
def test_actions_are_pinned_to_a_major_version(workflow: Path) -> None:
    used = [step["uses"] for step in steps(workflow) if "uses" in step]
    assert [each for each in used if not re.search(r"@(release/)?v\d+$", each)] == []


def test_the_versions_of_python_are_the_same_everywhere() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    classified = [
        each.rpartition(" :: ")[2]
        for each in project["classifiers"]
        if each.startswith("Programming Language :: Python :: 3.")
    ]
    matrix = load(GITHUB / "workflows" / "ci.yml")["jobs"]["tests"]["strategy"]["matrix"]
    assert nox_pythons() == matrix["python"] == classified
    assert project["requires-python"] == f">={nox_pythons()[0]}"


def test_ci_runs_sessions_that_exist() -> None:
    matrix = load(GITHUB / "workflows" / "ci.yml")["jobs"]["checks"]["strategy"]["matrix"]
    assert set(matrix["session"]) <= nox_sessions()
    assert {each["session"] for each in matrix["include"]} <= set(matrix["session"])


def test_hooks_run_commands_that_ci_runs() -> None:
    [hooks] = [each["hooks"] for each in load(ROOT / ".pre-commit-config.yaml")["repos"][1:]]
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    commands = [each["entry"].removesuffix(" --force-exclude") for each in hooks]
    checks = [each for each in commands if "check-jsonschema" not in each]
    assert [each for each in checks if each not in ci] == []
    assert len(checks) == 3
