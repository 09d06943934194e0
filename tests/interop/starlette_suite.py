"""Runs Starlette's own tests through our server, and compares with ``starlette.json``.

Run as ``python -m tests.interop.starlette_suite``, which takes a minute. The tests are those of the
installed version, on the backend trio. Their client's requests go to a server of ours, in memory;
see ``plugins/starlette_over_trillium.py``. They run in two modes: ``lane``, as ever, and ``h11``,
where h11 reads every request head. Left out are the tests of the client itself, and those of
WebSockets, which do not use its requests. Fails if a test fails without a reason in the file, or
fewer pass.
"""

from __future__ import annotations

import importlib.metadata
import sys

from tests.interop._suite import HERE, compare, fetch, install, load, run_pytest

__all__ = ["MODES", "main"]

MODES = {"lane": [], "h11": ["--no-lane"]}
# pytest-trio would take over the tests that are anyio's.
OPTIONS = ["-p", "no:trio", "-p", "starlette_over_trillium", "-k", "not asyncio", "tests"]
LEFT_OUT = ["tests/test_testclient.py", "tests/test_websockets.py"]


def main() -> int:
    """Run the suite in each mode; 1 if something is worse than recorded."""
    recorded = load("starlette")
    version = importlib.metadata.version("starlette")
    if version != recorded["version"]:
        print(f"starlette {version} is installed; recorded is {recorded['version']}")
    folder = fetch("starlette", version)
    extras = install("opentelemetry-sdk", "opentelemetry-semantic-conventions")
    worse = []
    for mode, options in MODES.items():
        arguments = [*OPTIONS, *(f"--ignore={each}" for each in LEFT_OUT), *options]
        found = run_pytest(folder, arguments, path=[HERE / "plugins", extras])
        print(f"{mode}: {found['passed']} passed, {len(found['failed'])} failed")
        worse += compare(recorded, mode, found)
    print("\n".join(worse) or "nothing is worse than recorded")
    return bool(worse)


if __name__ == "__main__":
    sys.exit(main())
