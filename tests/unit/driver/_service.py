"""A service without a server."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import trillium_trio as tt
from trillium_trio.conn import Info, as_handler
from trillium_trio.driver import Service
from trillium_trio.http import TypeMap

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trillium_trio.conn import HandlerLike


class NoStarter:
    def start_background(
        self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]
    ) -> None:
        raise AssertionError(f"{fn} is started")

    def start_service(self, fn: Callable[..., Awaitable[object]], args: tuple[object, ...]) -> None:
        raise AssertionError(f"{fn} is started")


def make_service(
    handler: HandlerLike = None,
    *,
    exits: list[BaseException] | None = None,
    idle: list[str] | None = None,
    **http: float,
) -> Service:
    """Make a service.

    Args:
      handler: Its handler.
      exits: Gets what `Service.on_exit` is called with.
      idle: Gets a word for each call of `Service.on_idle`.
      http: Settings.
    """
    config = tt.config().with_http(tt.HttpConfig(**http))  # type: ignore[arg-type]  # also counts
    service = Service(
        as_handler(handler),
        info=Info(
            config=config,
            swansong=tt.Swansong(),
            listeners=(),
            shared=TypeMap(),
            starter=NoStarter(),
        ),
        keepalive_grace=0.5,
        on_exit=(exits if exits is not None else []).append,
        on_idle=lambda: (idle if idle is not None else []).append("idle"),
    )
    assert service.drain_time == inf
    return service
