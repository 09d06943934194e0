"""``python -m trillium_trio``: the command line; see `trillium_trio.cli`."""

from __future__ import annotations

from .cli import main

if __name__ == "__main__":
    main()
