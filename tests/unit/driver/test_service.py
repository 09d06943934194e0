"""What all connections share."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.driver._service import make_service

if TYPE_CHECKING:
    import pytest


async def test_the_date_line_is_rendered_once_per_second(monkeypatch: pytest.MonkeyPatch) -> None:
    service = make_service()
    now = 784111777.2
    monkeypatch.setattr("time.time", lambda: now)
    line = service.date_line()
    assert line == b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
    now = 784111777.9
    assert service.date_line() is line
    now = 784111778.0
    assert service.date_line() == b"date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
    now = 784111777.0
    assert service.date_line() == line, "a clock may be set back"
