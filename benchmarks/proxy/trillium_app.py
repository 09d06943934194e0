"""Ours: a `Proxy` and nothing else. Arguments: the port, and that of the upstream."""

from __future__ import annotations

import sys

import trillium_trio as tt
from trillium_trio.handlers import Proxy


def main() -> None:
    """Serve until the end."""
    port, upstream = sys.argv[1:]
    http = tt.HttpConfig(max_body_bytes=1 << 40)
    config = tt.config().bind_tcp(f"127.0.0.1:{port}").with_http(http)
    config.run(Proxy(f"http://127.0.0.1:{upstream}"))


if __name__ == "__main__":
    main()
