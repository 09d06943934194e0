"""The cases of the corpora, and where our verdict is another on purpose."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from tests.conformance._reading import Reading, Seen

HERE = Path(__file__).parent

# What a corpus knows of a request: any of method, target, version and body_b64.
Known: TypeAlias = dict[str, str]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One recorded connection and the verdict of the project that it comes from.

    Attributes:
      corpus: The folder that it is from.
      expect: ``accept``, ``reject`` or ``incomplete``; anything else is no verdict.
      difference: Why our verdict is another, or None.
    """

    id: str
    corpus: str
    data: bytes
    expect: str
    requests: list[Known] | None
    difference: str | None

    @property
    def has_verdict(self) -> bool:
        return self.expect in {"accept", "reject", "incomplete"}

    def agrees(self, reading: Reading) -> bool:
        """Tell whether a connection went the way its project expects."""
        is_refused = isinstance(reading.ending, int)
        match self.expect:
            case "reject":
                return is_refused
            case "incomplete":
                return reading.ending in {"incomplete", "idle"}
            case "accept":
                return not is_refused and are_the_requests(reading.requests, self.requests)
            case _:
                return True


def are_the_requests(ours: list[Seen], theirs: list[Known] | None) -> bool:
    """Compare requests in what the corpus knows of them; an empty value is not known."""
    if theirs is None:
        return bool(ours)
    return len(ours) == len(theirs) and all(
        our.body == base64.b64decode(value)
        if key == "body_b64"
        else not value or getattr(our, key) == value
        for our, their in zip(ours, theirs, strict=True)
        for key, value in their.items()
    )


def load_reasons() -> dict[str, list[str]]:
    """Return, by the reason, the ids of the cases whose verdict is not ours."""
    reasons: dict[str, list[str]] = json.loads(
        (HERE / "differences.json").read_text(encoding="utf-8")
    )
    return reasons


def load_differences() -> dict[str, str]:
    """Return, by the id of a case, why our verdict is another."""
    return {case: reason for reason, cases in load_reasons().items() for case in cases}


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
                    corpus=path.parent.name,
                    data=data,
                    expect=record["expect"],
                    requests=record.get("requests"),
                    difference=differences.get(name),
                )
            )
    return cases
