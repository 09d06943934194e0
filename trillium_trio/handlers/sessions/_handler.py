"""The handler: loads a session before a request, and saves it before the response."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, final

from ..._util import check_count
from ...conn import Handler
from ...exceptions import ConfigError
from ...http import add_vary, parse_cookies, set_cookie
from ._keeper import InCookie, InStore, encrypting, signing
from ._session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

    from ...conn import Conn, HasState
    from ...http import SameSite
    from ._keeper import Keeper
    from ._store import SessionStore

__all__ = ["Sessions"]

Key = str | bytes
_MIN_KEY_BYTES = 16


@final
class Sessions(Handler):
    """Remembers a browser between requests: ``Sessions.of(conn)`` is a `Session`, a mapping.

    With ``key`` the contents are in a signed or encrypted cookie, of at most 4,096 bytes; logging
    out then only removes the cookie, and whoever has a copy of it can use it until it is too old.
    With ``store`` the cookie has a random id, and the contents are in the store.

    Args:
      key: At least 16 random bytes, or several such keys: the first one seals, all are accepted.
        Put a new one in front to rotate. ``secrets.token_urlsafe(32)`` makes one.
      store: Where the contents are kept instead.
      encrypted: Whether the cookie is encrypted as well: users cannot read what is in it.
      max_age: When an unused session is over. One that is used is extended when half of it has
        passed. Unit: seconds. Default: 14 days.
      cookie: The name of the cookie. Over TLS, with the path / and without a domain, it has the
        prefix ``__Host-``: no other host can set it.
      path: The path of the cookie.
      domain: The domain of the cookie. None: only the host of the request.
      same_site: ``"strict"``, ``"lax"`` or ``"none"``: whether requests of other sites have it.

    Raises:
      ConfigError: A setting is wrong.
      ImportError: The extra is missing: ``sessions`` to sign, ``encryption`` to encrypt.
    """

    def __init__(
        self,
        *,
        key: Key | Sequence[Key] = (),
        store: SessionStore | None = None,
        encrypted: bool = False,
        max_age: int = 14 * 86_400,
        cookie: str = "session",
        path: str = "/",
        domain: str | None = None,
        same_site: SameSite = "lax",
    ) -> None:
        check_count("max_age", max_age, least=1)
        try:
            set_cookie(cookie, "", path=path, domain=domain, secure=True, same_site=same_site)
        except ValueError as error:
            raise ConfigError(f"Sessions: {error}") from None
        if cookie.startswith("__"):
            raise ConfigError(
                f"Sessions: the cookie {cookie!r} gets its prefix by itself, over TLS"
            )
        keys = _keys(key)
        self._keeper: Keeper
        if store is not None:
            if keys or encrypted:
                raise ConfigError("Sessions takes a key or a store: an id needs no signature")
            self._keeper = InStore(store)
        elif not keys:
            raise ConfigError("Sessions needs a key, or a store")
        else:
            purpose = f"trillium_trio.sessions:{cookie}"
            self._keeper = InCookie((encrypting if encrypted else signing)(keys, purpose))
        self._max_age = max_age
        self._name = cookie
        self._path = path
        self._domain = domain
        self._same_site: SameSite = same_site

    @staticmethod
    def of(conn: HasState) -> Session:
        """Return the session of this conn.

        Raises:
          MisuseError: `Sessions` is not in front of the handler that asks.
        """
        return Session.of(conn)

    async def run(self, conn: Conn) -> Conn:
        """Load the session that the request's cookie leads to, or leave a new one.

        Cancellation:
          Changes nothing.
        """
        if "cookie" in conn.request_headers:
            cookies = parse_cookies(conn.request_headers.get_all("cookie"))
            # Several if another path or host has set one: then one of them is ours.
            for value in cookies.get(self._cookie_name(conn), ()):
                record = await self._keeper.load(value)
                loaded = None if record is None else self._read(record)
                if loaded is not None:
                    age, text = loaded
                    return conn.with_state(Session(text, cookie=value, age=age))
        return conn.with_state(Session())

    async def before_send(self, conn: Conn) -> Conn:
        """Save the session if it was changed or renewed, or half of its time has passed.

        Cancellation:
          It may be saved or not; the client gets no response.
        """
        session = conn.state(Session)
        if session is None or not session.is_used:
            return conn
        session.close()
        add_vary(conn.response_headers, "Cookie")
        if conn.status is None or conn.status < 500:
            await self._save(conn, session)
        return conn

    async def _save(self, conn: Conn, session: Session) -> None:
        text = session.text()
        if text is None:
            if session.cookie is not None:
                await self._keeper.forget(session.cookie)
                self._set_cookie(conn, "", max_age=0)
            return
        is_half_over = session.age > self._max_age / 2
        if text == session.loaded_text and not session.is_renewed and not is_half_over:
            return
        cookie = None if session.is_renewed else session.cookie
        value = await self._keeper.save(cookie, f"{time.time():.0f} {text}", self._max_age)
        if session.is_renewed and session.cookie is not None:
            await self._keeper.forget(session.cookie)
        if value is not None:
            self._set_cookie(conn, value, max_age=self._max_age)

    def _set_cookie(self, conn: Conn, value: str, *, max_age: int) -> None:
        try:
            line = set_cookie(
                self._cookie_name(conn),
                value,
                max_age=max_age,
                path=self._path,
                domain=self._domain,
                secure=conn.is_secure or self._same_site == "none",
                same_site=self._same_site,
            )
        except ValueError as error:
            raise ValueError(f"{error}: give Sessions a store") from None
        headers = conn.response_headers
        headers.append("set-cookie", line)
        if "cache-control" not in headers:
            headers.set("cache-control", "private")

    def _read(self, record: str) -> tuple[float, str] | None:
        """Return the age and the contents of a record, or None if it is too old."""
        saved, _, text = record.partition(" ")
        age = time.time() - int(saved)
        return (age, text) if age < self._max_age else None

    def _cookie_name(self, conn: Conn) -> str:
        has_prefix = conn.is_secure and self._path == "/" and self._domain is None
        return f"__Host-{self._name}" if has_prefix else self._name


def _keys(key: Key | Sequence[Key]) -> list[bytes]:
    """Return the keys as bytes.

    Raises:
      ConfigError: One is too short to be random enough.
    """
    given = [key] if isinstance(key, (str, bytes)) else key
    keys = [each.encode() if isinstance(each, str) else bytes(each) for each in given]
    if any(len(each) < _MIN_KEY_BYTES for each in keys):
        raise ConfigError(
            f"a key of Sessions has fewer than {_MIN_KEY_BYTES} bytes: make one with "
            "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return keys
