"""All that needs to know psycopg: to connect, to name the database, to tell a lost connection."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from math import ceil
from typing import TYPE_CHECKING, Any, TypeAlias, final

from ..._log import printable, text_of
from ...exceptions import ConfigError

if TYPE_CHECKING:
    import psycopg

__all__ = ["Driver", "Link", "PgConnection", "reason_of"]

# Any: the type of its rows, which a function may choose.
PgConnection: TypeAlias = "psycopg.Connection[Any]"


@final
class Driver:
    """Connects to one database.

    Args:
      url: See `Postgres`.
      timeout: For each connection to be made. Unit: seconds.

    Attributes:
      where: The database for people: user, host, port and name, without the password.
      pq: The functions of libpq.
      lost: The exceptions of a connection that is lost or cannot be made.

    Raises:
      ConfigError: The URL cannot be read.
      ImportError: The extra is missing.
    """

    def __init__(self, url: str, timeout: float) -> None:
        try:
            import psycopg  # noqa: PLC0415 (an optional dependency)
        except ImportError as error:
            if getattr(error, "name", None) == "psycopg":
                need = "Postgres needs the extra 'postgres': pip install 'trillium-trio[postgres]'"
            else:
                # It is there, and finds no libpq.
                need = f"Postgres: {error}; 'psycopg[binary]' brings a libpq with it"
            raise ImportError(need, name="psycopg") from error

        try:
            given = psycopg.conninfo.conninfo_to_dict(url)
            # What follows an @ that is not escaped is taken for the host, and would be shown.
            is_readable = "@" not in str(given.get("host", ""))[1:]
        except psycopg.Error:
            is_readable = False
        if not is_readable:
            # Neither psycopg's text nor the URL, which may have the password in it.
            raise ConfigError(
                "Postgres.url cannot be read; it is like postgresql://user@host/database, "
                "and in it an @ of a password is %40"
            )
        settings = {
            # Whole seconds, at least two, as libpq wants them.
            "connect_timeout": str(min(max(2, ceil(timeout)), 86_400)),
            "application_name": "trillium_trio",
        } | {name: str(value) for name, value in given.items()}
        self._conninfo = psycopg.conninfo.make_conninfo(**settings)
        self._connect = psycopg.Connection[Any].connect
        self._has_cancel_safe = psycopg.capabilities.has_cancel_safe()
        self.pq: Any = psycopg.pq  # its types are those of an optional module
        self.lost: type[Exception] = psycopg.OperationalError
        self.where: str = _where(
            {
                each.keyword.decode(): each.val.decode()
                for each in psycopg.pq.Conninfo.get_defaults()
                if each.val is not None
            }
            | settings
        )

    def start(self) -> Any:  # psycopg.pq.PGconn, optional
        """Begin to make a connection for libpq's functions. It may look up a name, which blocks."""
        return self.pq.PGconn.connect_start(self._conninfo.encode())

    def connect(self) -> Link:
        """Make a connection. It blocks.

        Raises:
          Driver.lost: The database cannot be reached, or refuses.
        """
        # Transactions are begun explicitly, see `Call`.
        return Link(self._connect(self._conninfo, autocommit=True))

    def cancel(self, link: Link, timeout: float) -> None:
        """Cancel what another thread does on a connection. It blocks.

        Raises:
          Exception: The database was not told.
        """
        if self._has_cancel_safe:
            link.connection.cancel_safe(timeout=timeout)
            return
        # What libpq has for it before version 17 blocks without an end, and psycopg's binary module
        # would keep all threads of this process waiting with it.
        other = self.connect()
        try:
            pid = link.connection.info.backend_pid
            other.connection.execute("SELECT pg_cancel_backend(%s)", [pid])
        finally:
            other.close()


@final
class Link:
    """A connection, and a way to end what a thread does on it.

    Closing a connection frees memory that another thread may be reading. So there is a second
    descriptor of its socket, which can be shut down from any thread: then the thread that uses the
    connection finds it lost.
    """

    def __init__(self, connection: PgConnection) -> None:
        self.connection: PgConnection = connection
        self._socket = socket.socket(fileno=os.dup(connection.fileno()))

    @property
    def is_clean(self) -> bool:
        """Whether it can be used again: it is open, and in no transaction."""
        return self.connection.pgconn.transaction_status == 0  # PQTRANS_IDLE

    def sever(self) -> None:
        """End the connection below the thread that uses it."""
        with suppress(OSError):  # the server has been faster
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it. Only where no other thread uses it."""
        self.connection.close()
        self._socket.close()


def _where(settings: dict[str, str]) -> str:
    host = settings.get("host") or settings.get("hostaddr") or "a unix socket"
    user, port = settings.get("user", ""), settings.get("port", "")
    return printable(f"{user}@{host}:{port}/{settings.get('dbname') or user}")


def reason_of(error: BaseException | None) -> str:
    """Return what an exception of the driver says, in one line."""
    return text_of(_one_line, error)


def _one_line(error: object) -> str:
    return " ".join(str(error).split())
