"""What the figures were measured on. Nothing here names a machine, a user or a path."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from benchmarks.servers import Server

__all__ = ["RESULTS", "describe", "note", "write_results"]

RESULTS = Path(__file__).resolve().parent / "results"


def describe(servers: Iterable[Server]) -> dict[str, object]:
    """Describe Python, packages, processor and date."""
    packages = {package for server in servers for package in server.packages} | {"trio", "h11"}
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release().split('-')[0]} {platform.machine()}",
        "cpu": _cpu_model(),
        "cores": os.cpu_count(),
        # Of the last minute; above 0.3 somebody else was at work and the figures are noisy.
        "load_before": round(os.getloadavg()[0], 2),
        "packages": {package: version(package) for package in sorted(packages)},
    }


def _cpu_model() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.processor() or "unknown"


def note(environment: Mapping[str, object]) -> str:
    """Render `describe` as one Markdown paragraph."""
    packages = environment["packages"]
    assert isinstance(packages, dict)
    versions = ", ".join(f"{name} {number}" for name, number in packages.items())
    return (
        f"{environment['date']}, {environment['python']}, {environment['system']}, "
        f"{environment['cpu']}, {environment['cores']} cores, "
        f"load average before {environment['load_before']}; {versions}."
    )


def write_results(folder: Path, name: str, raw: Mapping[str, object], table: str) -> None:
    """Write ``name.json``, the raw figures, and ``name.md``, the table made of them."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps(raw, indent=1) + "\n", encoding="utf-8")
    (folder / f"{name}.md").write_text(table, encoding="utf-8")
