"""Cookies: what the client sent, and what the response sets."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, final

from ..conn import Handler, OnConn
from ..exceptions import MisuseError
from ..http import parse_cookies, set_cookie

if TYPE_CHECKING:
    from datetime import datetime

    from ..conn import Conn, HasState
    from ..http import RequestHead, SameSite

__all__ = ["CookieJar", "Cookies"]


@final
class CookieJar(OnConn, Mapping[str, str], left_by="Cookies"):
    """The cookies of one request, and of its response: ``Cookies.of(conn)["theme"]``.

    It is a mapping of names to values. If the client sent several of one name, it has the first:
    browsers send the one of the longest path first. What was set or deleted here is seen at once.
    """

    __slots__ = ("_cookies", "_head", "_is_secure", "_is_sent", "_lines")

    # Not the conn, which refers to this: only the garbage collector could free the two.
    def __init__(self, head: RequestHead, *, is_secure: bool) -> None:
        self._head = head
        self._is_secure = is_secure
        self._cookies: dict[str, list[str]] | None = None
        self._lines: dict[tuple[str, str | None, str | None], str] = {}
        self._is_sent = False

    def get_all(self, name: str) -> list[str]:
        """Return every value of a name, in the order in which they were sent."""
        return list(self._read().get(name, ()))

    def set(
        self,
        name: str,
        value: str,
        *,
        max_age: int | None = None,
        expires: datetime | None = None,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool | None = None,
        http_only: bool = True,
        same_site: SameSite = "lax",
        partitioned: bool = False,
    ) -> None:
        """Have the response set a cookie; the last one of the same name, domain and path counts.

        Args:
          name: A token. The prefixes ``__Host-`` and ``__Secure-`` demand some attributes.
          value: Any text. What a cookie cannot have is percent-encoded.
          max_age: Seconds that it is kept. None: until `expires`, or until the browser closes.
          expires: The same as a time; one without a time zone counts as UTC. `max_age` wins.
          path: The path that gets it. None: the one of the request.
          domain: The domain that gets it, and those below it. None: only this host.
          secure: Only over TLS. None: if this request came over TLS.
          http_only: Not for scripts.
          same_site: ``"strict"``, ``"lax"`` or ``"none"``: whether other sites' requests have it.
          partitioned: A jar of its own below each site that embeds this one (CHIPS).

        Raises:
          ValueError: Something is not allowed, or longer than the 4,096 bytes of name and value
            that browsers accept. The message names the cookie.
          MisuseError: The head of the response has been sent.
        """
        line = set_cookie(
            name,
            value,
            max_age=max_age,
            expires=expires,
            path=path,
            domain=domain,
            secure=self._is_secure if secure is None else secure,
            http_only=http_only,
            same_site=same_site,
            partitioned=partitioned,
        )
        self._change(name, domain, path, line)
        self._read()[name] = [value]

    def delete(
        self,
        name: str,
        *,
        path: str | None = "/",
        domain: str | None = None,
        secure: bool | None = None,
        same_site: SameSite = "lax",
        partitioned: bool = False,
    ) -> None:
        """Have the client remove a cookie, whether it has sent it or not.

        Args:
          name: As it was set.
          path: As it was set: with another path it is another cookie.
          domain: As it was set.
          secure: As it was set.
          same_site: As it was set: a request of another site can only remove one with ``"none"``.
          partitioned: As it was set: without it, it is another cookie.

        Raises:
          ValueError, MisuseError: As for `set`.
        """
        line = set_cookie(
            name,
            "",
            max_age=0,
            path=path,
            domain=domain,
            secure=self._is_secure if secure is None else secure,
            same_site=same_site,
            partitioned=partitioned,
        )
        self._change(name, domain, path, line)
        self._read().pop(name, None)

    def __getitem__(self, name: str) -> str:
        return self._read()[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, list[str]]:
        if self._cookies is None:
            self._cookies = parse_cookies(self._head.headers.get_all("cookie"))
        return self._cookies

    def _change(self, name: str, domain: str | None, path: str | None, line: str) -> None:
        if self._is_sent:
            raise MisuseError(f"cookie {name!r} is too late: the head of the response is sent")
        self._lines[name, domain, path] = line

    def take_lines(self) -> list[str]:
        """Return the values of the Set-Cookie fields; from now on nothing can be changed."""
        self._is_sent = True
        return list(self._lines.values())

    def __repr__(self) -> str:
        # Values are often secrets.
        return f"<CookieJar {', '.join(self._read()) or 'empty'}>"


@final
class Cookies(Handler):
    """Reads and sets cookies: ``Cookies.of(conn)`` is the `CookieJar` of a request.

    Put it in front of the handlers that use it. The fields are added before the response is sent,
    whatever handler answers.
    """

    @staticmethod
    def of(conn: HasState) -> CookieJar:
        """Return the jar of this conn.

        Raises:
          MisuseError: `Cookies` is not in front of the handler that asks.
        """
        return CookieJar.of(conn)

    async def run(self, conn: Conn) -> Conn:
        """Leave a jar on the conn.

        Cancellation:
          None: it does not wait.
        """
        return conn.with_state(CookieJar(conn.head, is_secure=conn.is_secure))

    async def before_send(self, conn: Conn) -> Conn:
        """Add a Set-Cookie field for each change.

        Cancellation:
          None: it does not wait.
        """
        jar = conn.state(CookieJar)
        if jar is not None:
            for line in jar.take_lines():
                conn.response_headers.append("set-cookie", line)
        return conn
