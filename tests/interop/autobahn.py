"""Runs Autobahn's fuzzing client against our WebSockets, and compares with ``autobahn.json``.

Run as ``python -m tests.interop.autobahn [MODE ...]``; the modes are ``plain``, ``deflate`` and
``tls``. All of it takes a quarter of an hour, most of that the sections 12 and 13 of ``deflate``.
The suite needs CPython 2.7 (``python2.7``, found on the PATH), and is installed into a folder of
its own on first use. Fails if a case is worse than the file says; ``--update`` writes it.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import trillium_trio as tt
from tests.unit.transport._tls import server_context
from trillium_trio.handlers import WebSocket, WebSocketConn

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MODES", "RATCHET", "compare", "load"]

MODES = ("plain", "deflate", "tls")
RATCHET = Path(__file__).with_name("autobahn.json")
# The last that install together; later uploads lack files. wsaccel masks in C: without it
# the sections 12 and 13 take an hour.
SUITE = ("autobahntestsuite==0.8.2", "twisted==20.3.0", "autobahn==0.10.9", "wsaccel==0.6.2")
FOLDER = Path(tempfile.gettempdir()) / "autobahntestsuite-0.8.2"
WSTEST = "import sys; from autobahntestsuite.wstest import run; sys.exit(run())"
AGENT = "trillium-trio"
# All that the suite has: there is no section 8 or 11, and 12 and 13 are about compression.
PLAIN = [f"{section}.*" for section in (1, 2, 3, 4, 5, 6, 7, 9, 10)]
CASES = {"plain": PLAIN, "deflate": [*PLAIN, "12.*", "13.*"], "tls": PLAIN}
# How bad each is; what is not there is as good as can be.
BADNESS = {"OK": 0, "INFORMATIONAL": 0, "UNIMPLEMENTED": 1, "NON-STRICT": 2}
FAILED = 3

Results = dict[str, str]


class Recorded(TypedDict):
    """What was found in one mode: how many cases ran, and those that were not OK."""

    cases: int
    notes: Results


def load() -> dict[str, Recorded]:
    """Return what was found last, for each mode."""
    found: dict[str, Recorded] = json.loads(RATCHET.read_text(encoding="utf-8"))
    return found


def compare(expected: Mapping[str, str], results: Mapping[str, str]) -> list[str]:
    """Name the cases that are worse than expected."""
    return [
        f"{case}: {result}, was {expected.get(case, 'OK')}"
        for case, result in results.items()
        if BADNESS.get(result, FAILED) > BADNESS.get(expected.get(case, "OK"), FAILED)
    ]


async def echo(ws: WebSocketConn) -> None:
    async for message in ws:
        await ws.send(message)


def serve(mode: str, port: int) -> None:
    """Serve what the suite expects: an echo that takes its largest messages."""
    handler = WebSocket(
        echo,
        max_message_bytes=32 * 1024 * 1024,
        max_fragments=1 << 20,
        compression=mode == "deflate",
    )
    address = f"127.0.0.1:{port}"
    config = tt.config()
    if mode == "tls":
        config.bind_tls(address, server_context()).run(handler)
    else:
        config.bind_tcp(address).run(handler)


def python2() -> str:
    """Find CPython 2.7."""
    found = shutil.which("python2.7")
    if found is None:
        sys.exit("Autobahn's test suite needs python2.7, which is not on the PATH")
    return found


def install(python: str) -> None:
    """Install the suite unless that is done."""
    done = FOLDER / "zope" / "__init__.py"
    if not done.exists():
        subprocess.run(
            [python, "-m", "pip", "install", "--quiet", "--target", str(FOLDER), *SUITE],
            check=True,
        )
        # Without it a namespace package in a plain folder is not found.
        done.touch()


@contextmanager
def serving(mode: str) -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port: int = sock.getsockname()[1]
    command = [sys.executable, "-m", __spec__.name, "--serve", mode, str(port)]
    server = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert server.stderr is not None
    try:
        if "listening" not in (first := server.stderr.readline()):
            sys.exit(f"the server did not start: {first}")
        # A pipe that nobody reads fills, and stops the server in the middle of the suite.
        threading.Thread(target=server.stderr.read, daemon=True).start()
        yield port
    finally:
        server.terminate()
        server.wait()


def fuzz(mode: str, python: str, cases: list[str]) -> Recorded:
    """Run the suite; the cases that are not OK are in its order."""
    with tempfile.TemporaryDirectory() as folder, serving(mode) as port:
        scheme = "wss" if mode == "tls" else "ws"
        spec = Path(folder) / "spec.json"
        spec.write_text(
            json.dumps(
                {
                    "outdir": folder,
                    "servers": [{"agent": AGENT, "url": f"{scheme}://127.0.0.1:{port}"}],
                    "cases": cases,
                    "exclude-cases": [],
                    "exclude-agent-cases": {},
                }
            ),
            encoding="utf-8",
        )
        subprocess.run(
            [python, "-c", WSTEST, "-m", "fuzzingclient", "-s", str(spec)],
            env={**os.environ, "PYTHONPATH": str(FOLDER)},
            check=True,
        )
        index = json.loads((Path(folder) / "index.json").read_text(encoding="utf-8"))[AGENT]
    notes = {}
    for case in sorted(index, key=lambda name: [int(part) for part in name.split(".")]):
        worst = max(
            (index[case]["behavior"], index[case]["behaviorClose"]),
            key=lambda each: BADNESS.get(each, FAILED),
        )
        if BADNESS.get(worst, FAILED):
            notes[case] = worst
    print(f"{mode}: {len(index)} cases, {len(notes)} not OK")
    return {"cases": len(index), "notes": notes}


def main() -> int:
    """Run the modes that are asked for; 1 if a case is worse than it was."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modes", nargs="*", help=f"of {', '.join(MODES)} (default: all)")
    parser.add_argument("--serve", nargs=2, metavar=("MODE", "PORT"), help=argparse.SUPPRESS)
    parser.add_argument("--update", action="store_true", help="write what was found to the file")
    parser.add_argument("--cases", nargs="*", help="as 7.1.* (default: all)")
    options = parser.parse_args()
    if options.update and options.cases:
        parser.error("--update needs all cases")
    if options.serve:
        serve(options.serve[0], int(options.serve[1]))
        return 0
    python = python2()
    install(python)
    recorded = load()
    worse = []
    for mode in options.modes or MODES:
        found = fuzz(mode, python, options.cases or CASES[mode])
        worse += [f"{mode}: {each}" for each in compare(recorded[mode]["notes"], found["notes"])]
        recorded[mode] = found
    print("\n".join(worse) or "nothing is worse than it was")
    if options.update:
        RATCHET.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")
    return bool(worse) and not options.update


if __name__ == "__main__":
    sys.exit(main())
