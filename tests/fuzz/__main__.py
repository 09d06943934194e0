"""Fuzz one target, or all, guided by coverage: ``python -m tests.fuzz heads --seconds 600``.

Needs atheris (``pip install -e '.[fuzz]'``). What is interesting is kept in ``.fuzz/`` at the root
and is where the next run begins. A finding ends the run with status 77, its input left in the
target's corpus as ``crash-...``, ``slow-unit-...`` or ``timeout-...``: name it, fix it, keep it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["trillium_trio", "h11"]):
    from tests.fuzz._targets import CORPUS, HERE, TARGETS

_FOUND = HERE.parents[1] / ".fuzz"
# Longer inputs are the same again: the small limits of the targets are passed well before.
_MAX_BYTES = 512


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=TARGETS, help="default: one after another")
    parser.add_argument("--seconds", type=int, default=600, help="for each target (600)")
    parser.add_argument("--found", type=Path, default=_FOUND, help="where to keep what is new")
    args = parser.parse_args()
    if args.target is not None:
        fuzz(args.target, args.seconds, args.found / args.target)
    # A process each: libFuzzer ends the one that it runs in.
    command = [sys.executable, "-m", "tests.fuzz", f"--seconds={args.seconds}"]
    # All of them, whatever one finds; a negative status is a signal.
    statuses = [subprocess.call([*command, f"--found={args.found}", name]) for name in TARGETS]
    return max(map(abs, statuses))


def fuzz(name: str, seconds: int, found: Path) -> None:
    """Run one target. Does not return."""
    found.mkdir(parents=True, exist_ok=True)
    options = [
        f"-max_total_time={seconds}",
        f"-max_len={_MAX_BYTES}",
        f"-dict={HERE / 'http.dict'}",
        f"-artifact_prefix={CORPUS / name}/",
        # Seconds and megabytes: nothing here may come anywhere near.
        "-timeout=10",
        "-rss_limit_mb=1024",
        "-print_final_stats=1",
    ]
    # The first folder is written to, the second only read.
    atheris.Setup([sys.argv[0], *options, str(found), str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    sys.exit(main())
