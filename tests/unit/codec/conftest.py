"""Heads are read through both lanes: what the regular one takes, the other has to read alike."""

from __future__ import annotations

import pytest

from trillium_trio.codec import _head


@pytest.fixture(params=["both lanes", "irregular only"])
def lanes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "irregular only":
        monkeypatch.setattr(_head, "read_regular", lambda *_: None)
