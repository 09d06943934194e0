"""What several files of these tests share."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from tests.e2e._supervised import Supervised, save

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.e2e._supervised import Start


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start supervisors of version v1, which are killed at the end."""
    save(tmp_path, "v1")
    with ExitStack() as stack:

        def start(*arguments: str, workers: int = 2, **environ: str) -> Supervised:
            supervised = Supervised(tmp_path, *arguments, workers=workers, **environ)
            stack.callback(supervised.process.kill)
            return supervised

        yield start
