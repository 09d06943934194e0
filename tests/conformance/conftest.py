"""Finds the corpora and makes one test case of each of theirs."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recorded connection and the verdict of the project that it comes from."""

    id: str
    data: bytes
    expect: str
    requests: list[dict[str, str]] | None
    difference: str | None


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--corpora", type=Path, default=None, help="a folder of request corpora")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "case" in metafunc.fixturenames:
        cases = load_cases(find_corpora(metafunc.config))
        metafunc.parametrize("case", cases, ids=lambda case: case.id)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    if collection_path.name == "test_corpora.py" and find_corpora(config) is None:
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


def load_differences() -> dict[str, str]:
    """Return, by the id of a case, why our verdict is another."""
    text = (HERE / "differences.json").read_text(encoding="utf-8")
    return {case: reason for reason, cases in json.loads(text).items() for case in cases}


def with_host(data: bytes) -> bytes:
    """Add the Host field to the first request: those who do not ask for it leave it out."""
    line, version, fields = data.partition(b" HTTP/1.1\r\n")
    if not version or b"\n" in line.strip() or b"\nhost" in b"\n" + fields.lower():
        return data
    return line + version + b"Host: h\r\n" + fields


def load_cases(corpora: Path | None) -> list[Case]:
    """Return the cases of all corpora. Ids that are not unique get a number."""
    differences = load_differences()
    seen: dict[str, int] = {}
    cases = []
    for path in [] if corpora is None else sorted(corpora.glob("*/cases.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            record: dict[str, Any] = json.loads(line)  # Any: it is JSON
            data = base64.b64decode(record["input_b64"])
            if record["expect"] != "reject":
                data = with_host(data)
            number = seen[record["id"]] = seen.get(record["id"], 0) + 1
            name = record["id"] if number == 1 else f"{record['id']} #{number}"
            cases.append(
                Case(
                    id=name,
                    data=data,
                    expect=record["expect"],
                    requests=record.get("requests"),
                    difference=differences.get(name),
                )
            )
    return cases
