"""Our server with files. Run as ``python -m benchmarks.load.trillium_files PORT``."""

from __future__ import annotations

import sys

import trillium_trio as tt
from benchmarks.load.payload import make_files
from trillium_trio.handlers import Router, Static

if __name__ == "__main__":
    with make_files() as folder:
        config = tt.config().with_address("127.0.0.1", int(sys.argv[1]))
        config.run(Router().get("/", "files").mount("/files", Static(folder)))
