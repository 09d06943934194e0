"""What is taken for an ASGI application."""

from __future__ import annotations

from typing import Any

import pytest

from trillium_trio.asgi import is_asgi


async def app(scope: Any, receive: Any, send: Any) -> None: ...


async def handler(conn: Any) -> Any: ...


async def wide(conn: Any, *rest: Any) -> Any: ...


class App:
    async def __call__(self, scope: Any, receive: Any, send: Any) -> None: ...


class Handler:
    async def __call__(self, conn: Any) -> Any: ...


@pytest.mark.parametrize("value", [app, App(), App().__call__])
def test_an_application_is_called_with_three_arguments(value: object) -> None:
    assert is_asgi(value)


@pytest.mark.parametrize("value", [handler, wide, Handler(), App, "text", None, 3])
def test_nothing_else_is_one(value: object) -> None:
    assert not is_asgi(value)
