"""From the value of a cookie to the contents of a session, and back."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from typing import TYPE_CHECKING, Protocol, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from ._store import SessionStore

__all__ = ["InCookie", "InStore", "Keeper", "Sealer", "encrypting", "signing"]


class Keeper(Protocol):
    """Keeps records of sessions."""

    async def load(self, cookie: str) -> str | None:
        """Return the record that a cookie leads to, or None.

        Cancellation:
          Changes nothing.
        """

    async def save(self, cookie: str | None, record: str, max_age: int) -> str | None:
        """Keep a record under its cookie, or without one under a new one; return the cookie.

        None: the session was ended meanwhile, and is not kept.

        Cancellation:
          It may be kept or not.
        """

    async def forget(self, cookie: str) -> None:
        """Remove the record of a cookie.

        Cancellation:
          It may be removed or not.
        """


@final
class InStore(Keeper):
    """The cookie has a random id, and a store the record."""

    def __init__(self, store: SessionStore) -> None:
        self._store = store

    async def load(self, cookie: str) -> str | None:
        """See `Keeper`.

        Cancellation:
          Changes nothing.
        """
        return await self._store.load(_digest(cookie))

    async def save(self, cookie: str | None, record: str, max_age: int) -> str | None:
        """See `Keeper`. An id is never one that a client has chosen.

        Cancellation:
          It may be kept or not.
        """
        value = cookie or secrets.token_urlsafe(32)
        is_saved = await self._store.save(_digest(value), record, max_age, is_new=cookie is None)
        return value if is_saved else None

    async def forget(self, cookie: str) -> None:
        """See `Keeper`.

        Cancellation:
          It may be removed or not.
        """
        await self._store.delete(_digest(cookie))


def _digest(cookie: str) -> str:
    return hashlib.sha256(cookie.encode()).hexdigest()


class Sealer(Protocol):
    """Makes a text tamper-proof."""

    def seal(self, text: str) -> str:
        """Return the text as the value of a cookie."""

    def open(self, sealed: str) -> str | None:
        """Return the text, or None if it was not sealed with one of the keys."""


@final
class InCookie(Keeper):
    """The cookie has the record itself: nothing is stored here, and nothing can be taken back."""

    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def load(self, cookie: str) -> str | None:
        """See `Keeper`.

        Cancellation:
          None: it does not wait.
        """
        return self._sealer.open(cookie)

    async def save(self, cookie: str | None, record: str, max_age: int) -> str:
        """See `Keeper`.

        Cancellation:
          None: it does not wait.
        """
        return self._sealer.seal(record)

    async def forget(self, cookie: str) -> None:
        """See `Keeper`.

        Cancellation:
          None: it does not wait.
        """


def signing(keys: Sequence[bytes], purpose: str) -> Sealer:
    """Return a sealer whose texts can be read by everybody and changed by nobody.

    Args:
      keys: The first one signs; all are accepted.
      purpose: What is sealed for one purpose is not valid for another.

    Raises:
      ImportError: With the command that installs what is missing.
    """
    try:
        import itsdangerous  # noqa: PLC0415 (an optional dependency)
    except ImportError as error:
        raise ImportError(
            "signed sessions need the extra 'sessions': pip install 'trillium-trio[sessions]'"
        ) from error

    # It signs with the last of its keys.
    signer = itsdangerous.Signer(
        _derived(reversed(keys), purpose), key_derivation="none", digest_method=hashlib.sha256
    )

    @final
    class Signing(Sealer):
        def seal(self, text: str) -> str:
            return signer.sign(base64.urlsafe_b64encode(text.encode())).decode()

        def open(self, sealed: str) -> str | None:
            try:
                return base64.urlsafe_b64decode(signer.unsign(sealed)).decode()
            except itsdangerous.BadSignature:
                return None

    return Signing()


def encrypting(keys: Sequence[bytes], purpose: str) -> Sealer:
    """Return a sealer whose texts can be read and changed by nobody else; see `signing`."""
    try:
        from cryptography import fernet  # noqa: PLC0415 (an optional dependency)
    except ImportError as error:
        raise ImportError(
            "encrypted sessions need the extra 'encryption': "
            "pip install 'trillium-trio[encryption]'"
        ) from error

    encoded = [base64.urlsafe_b64encode(key) for key in _derived(keys, purpose)]
    cipher = fernet.MultiFernet([fernet.Fernet(key) for key in encoded])

    @final
    class Encrypting(Sealer):
        def seal(self, text: str) -> str:
            return cipher.encrypt(text.encode()).decode()

        def open(self, sealed: str) -> str | None:
            try:
                return cipher.decrypt(sealed.encode()).decode()
            except fernet.InvalidToken:
                return None

    return Encrypting()


def _derived(keys: Iterable[bytes], purpose: str) -> list[bytes]:
    """Return keys for one purpose, of 32 bytes.

    The given ones are random and long enough: one round is enough.
    """
    return [hmac.digest(key, purpose.encode(), "sha256") for key in keys]
