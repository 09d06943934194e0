"""Values that one handler leaves on the conn for others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol, Self, TypeVar, final

from ..exceptions import MisuseError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Client", "Failure", "HasState", "Mounted", "OnConn"]

T = TypeVar("T")


class HasState(Protocol):
    """A conn, or what it has become: an `Upgrade`, a WebSocket."""

    def state(self, type_: type[T], /) -> T | None:
        """Return the value of exactly this type, or None."""


class OnConn:
    """The base of values that a handler leaves on the conn, and that others read with `of`.

    The handler leaves one with ``conn.insert_state(value)``. A class names its handler::

        class Session(OnConn, left_by="Sessions"): ...

        session = Session.of(conn)  # in a handler behind Sessions
        maybe = conn.state(Session)  # where it may be missing
    """

    __slots__ = ()

    _left_by: ClassVar[str]

    def __init_subclass__(cls, *, left_by: str, **kwargs: Any) -> None:  # Any: for other bases
        super().__init_subclass__(**kwargs)
        cls._left_by = left_by

    @classmethod
    def of(cls, conn: HasState) -> Self:
        """Return the value that was left on this conn.

        Raises:
          MisuseError: There is none. The message names the handler that leaves it.
        """
        value = conn.state(cls)
        if value is None:
            raise MisuseError(
                f"this conn has no {cls.__name__}: {cls._left_by} leaves it, and has not run; "
                "put it in front of the handler that asks"
            )
        return value


@final
class Client(OnConn, left_by="Forwarded"):
    """Where a request comes from, as far as trusted proxies say.

    `Conn.peer_ip`, `Conn.is_secure`, `Conn.host` and the scopes of other interfaces read it.

    Attributes:
      ip: The client's IP address, or None on a unix socket. That of the last trusted proxy, if the
        proxies do not name the client.
      port: The client's port, or None if it is not known.
      scheme: ``"http"`` or ``"https"``, as the client has used it.
      host: The authority that the client has asked for, if a proxy names it; else None.
      chain: The addresses of the client, then of the proxies, down to the transport's peer, which
        is ``"unix"`` on a unix socket.
    """

    __slots__ = ("chain", "host", "ip", "port", "scheme")

    def __init__(
        self,
        *,
        ip: str | None,
        port: int | None,
        scheme: str,
        host: str | None,
        chain: tuple[str, ...],
    ) -> None:
        self.ip: str | None = ip
        self.port: int | None = port
        self.scheme: str = scheme
        self.host: str | None = host
        self.chain: tuple[str, ...] = chain

    @property
    def address(self) -> tuple[str, int] | None:
        """The client's IP address and port, 0 if it is not known; None on a unix socket."""
        return None if self.ip is None else (self.ip, self.port or 0)

    def __repr__(self) -> str:
        return f"<Client {self.scheme}://{self.host or ''} from {' by '.join(self.chain)}>"


@final
class Failure(OnConn, left_by="the server"):
    """The exception that the response is for, unless it is an `HttpError`: for ``before_send``.

    Attributes:
      error: The exception. It is logged already.
    """

    __slots__ = ("error",)

    def __init__(self, error: BaseException) -> None:
        self.error: BaseException = error

    def __repr__(self) -> str:
        return f"<Failure {type(self.error).__name__}>"


@final
class Mounted(OnConn, left_by="Router.mount"):
    """Where a handler is mounted: the part of the path that a router has matched, and the rest.

    It describes the innermost mount, and is there while the mounted handler and its
    ``before_send`` run, and afterwards if that handler has halted.

    Attributes:
      prefix: The path up to the mount, not percent-decoded, without a slash at its end: what ASGI
        calls ``root_path``. Empty for a mount at ``/``.
      path: The rest of the path, not percent-decoded. It begins with a slash.
      template: The template of the prefix, such as ``/{tenant}/files``.
      params: The converted parameters of the prefix.
    """

    __slots__ = ("params", "path", "prefix", "template")

    def __init__(
        self,
        *,
        prefix: str,
        path: str,
        template: str,
        params: Mapping[str, Any],  # Any: a converter decides the type
    ) -> None:
        self.prefix: str = prefix
        self.path: str = path
        self.template: str = template
        self.params: Mapping[str, Any] = params

    def __repr__(self) -> str:
        return f"<Mounted {self.prefix} + {self.path}>"
