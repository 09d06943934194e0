"""``--admin``: the admin page beside what the command line serves."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, final

import click

from ..conn import as_handler, walk_handlers
from ..exceptions import ConfigError
from ..handlers import Figures, Metrics, MetricsPage, ProcessSource
from ..listeners import parse_bind
from ..server import ServerHandle, serving
from ..supervisor import AdminSettings
from ._load import CannotStart
from ._options import is_given

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping
    from typing import Any

    from ..conn import Handler, HandlerLike
    from ..server import Server

__all__ = ["admin_from", "beside", "measured"]


def admin_from(context: click.Context, target: str) -> AdminSettings | None:
    """Return where the admin page is to be; None: nowhere.

    Raises:
      click.UsageError: An option has no effect, or names no address.
    """
    values = context.params
    if not values["admin"]:
        for name in ("admin_token", "admin_host", "metrics"):
            if is_given(context, name):
                raise click.UsageError(f"--{name.replace('_', '-')} needs --admin")
        return None
    if values["reload"]:
        raise click.UsageError("--reload has no admin page: drop --admin")
    try:
        binds = tuple(parse_bind(each) for each in values["admin"])
        return AdminSettings(
            binds=binds, token=values["admin_token"], hosts=values["admin_host"], title=target
        )
    except ConfigError as error:
        raise click.UsageError(f"--admin: {error}") from None


def measured(handler: HandlerLike) -> HandlerLike:
    """Return a handler with a `Metrics` in front, unless it has one."""
    handler = as_handler(handler)
    if any(isinstance(each, Metrics) for each in walk_handlers(handler)):
        return handler
    return (Metrics(), handler)


def beside(admin: AdminSettings | None, server: Server) -> AbstractAsyncContextManager[object]:
    """Return a block in which the page of a server is served.

    Raises:
      CannotStart: It cannot.
    """
    if admin is None:
        return nullcontext()
    try:
        return serving(admin.server(_Shown(server)))
    except ConfigError as error:
        raise CannotStart(str(error)) from None


@final
class _Shown:
    """A server in this process, with the metrics that it may have."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._source = ProcessSource(server.swansong, [ServerHandle(server)])

    @property
    def actions(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        return self._source.actions

    @property
    def page(self) -> Handler:
        return MetricsPage(self._figures)

    def unready(self) -> list[str]:
        return self._source.unready()

    async def status(self, *, stacks: bool) -> dict[str, Any]:
        return await self._source.status(stacks=stacks)

    async def _figures(self) -> Figures:
        metrics = self._server.shared_state(Metrics)
        return Figures() if metrics is None else metrics.figures()
