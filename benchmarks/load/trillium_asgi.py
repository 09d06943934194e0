"""Our server with the application of `asgi_app`. Run as ``... trillium_asgi PORT``."""

from __future__ import annotations

import sys

import trillium_trio as tt
from benchmarks.load.asgi_app import app
from benchmarks.load.payload import DOWNLOAD_BYTES
from trillium_trio.asgi import Asgi

if __name__ == "__main__":
    config = tt.config().with_http(tt.HttpConfig(max_body_bytes=2 * DOWNLOAD_BYTES))
    config.with_address("127.0.0.1", int(sys.argv[1])).run(Asgi(app))
