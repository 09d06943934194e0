"""The admin page beside what it shows: a server of its own, which ends last."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, final

from ..handlers import Admin, Source
from ..listeners import UnixBind
from ..server import Server, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from ..conn import Handler
    from ..listeners import Bind

__all__ = ["AdminSettings", "Shown"]

_DRAIN_SECONDS = 3.0


class Shown(Source, Protocol):
    """What the page shows, with metrics."""

    @property
    def page(self) -> Handler:
        """A handler that answers with the metrics."""


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class AdminSettings:
    """Where the admin page is, and for whom.

    A unix socket is for this user alone. There, and with a token, it also has actions and stacks.

    Attributes:
      binds: Where it listens.
      token: See `Admin`.
      hosts: See `Admin`.
      title: See `Admin`.
    """

    binds: tuple[Bind, ...]
    token: str | None = None
    hosts: tuple[str, ...] = ()
    title: str = "trillium_trio"

    def __post_init__(self) -> None:
        private = [
            replace(each, mode=0o600) if isinstance(each, UnixBind) else each for each in self.binds
        ]
        object.__setattr__(self, "binds", tuple(private))

    def server(self, source: Shown, binds: Iterable[Bind] | None = None) -> Server:
        """Return a server of the page. The service manager and signals have nothing to do with it.

        Args:
          source: What is shown.
          binds: The sockets, where they are open already. Default: `binds`.

        Raises:
          ConfigError: The token is too short.
        """
        is_private = self.token is not None or all(isinstance(e, UnixBind) for e in self.binds)
        admin = Admin(
            source,
            metrics=source,
            token=self.token,
            actions=is_private,
            stacks=is_private,
            hosts=self.hosts,
            title=self.title,
        )
        settings = Settings(
            listeners=tuple(self.binds if binds is None else binds),
            signals=False,
            keepalive_grace=0.0,
            drain_timeout=_DRAIN_SECONDS,
        )
        server = Server(admin, settings)
        server.is_notifying = False
        return server
