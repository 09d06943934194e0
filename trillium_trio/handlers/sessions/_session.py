"""One session, as handlers see it."""

from __future__ import annotations

import json
from collections.abc import Iterator, MutableMapping
from typing import Any, final

from ...conn import OnConn
from ...exceptions import MisuseError

__all__ = ["Session"]


@final
class Session(OnConn, MutableMapping[str, Any], left_by="Sessions"):  # Any: what JSON has
    """The session of one request, a mapping: ``Sessions.of(conn)["user"] = 42``.

    Values are what JSON has. A change is saved before the response is sent, also one inside a
    value; afterwards a change is an error. An empty session is removed.
    """

    __slots__ = ("_is_closed", "_is_renewed", "_text", "_values", "age", "cookie")

    def __init__(
        self, text: str | None = None, *, cookie: str | None = None, age: float = 0
    ) -> None:
        # Both for the handler: the value of the cookie that it came with, and its age in seconds.
        self.cookie: str | None = cookie
        self.age: float = age
        self._text = text
        # None until it is used: a request that has nothing to do with its session costs nothing.
        self._values: dict[str, Any] | None = None  # Any: as above
        self._is_renewed = False
        self._is_closed = False

    @property
    def is_new(self) -> bool:
        """Whether the client has come without a session, or with one that is over."""
        return self._text is None

    def renew(self) -> None:
        """Give the session a new id, and end the old one: do it at each login and logout.

        Somebody who knew the id before then has nothing (session fixation).

        Raises:
          MisuseError: The head of the response has been sent.
        """
        self._check_open("a new id")
        self._read()
        self._is_renewed = True

    def clear(self) -> None:
        """Remove everything, and with it the session.

        Raises:
          MisuseError: The head of the response has been sent.
        """
        self._check_open("clear()")
        self._values = {}

    def __getitem__(self, name: str) -> Any:  # Any: what JSON has
        return self._read()[name]

    def __setitem__(self, name: str, value: Any) -> None:  # Any: what JSON has
        self._check_open(f"{name!r}")
        if not isinstance(name, str):
            raise TypeError(f"the names in a session are str: {name!r} is not")
        self._read()[name] = value

    def __delitem__(self, name: str) -> None:
        self._check_open(f"{name!r}")
        del self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())

    def _read(self) -> dict[str, Any]:  # Any: what JSON has
        if self._values is None:
            self._values = {} if self._text is None else json.loads(self._text)
        return self._values

    def _check_open(self, what: str) -> None:
        if self._is_closed:
            raise MisuseError(
                f"{what} is too late for the session: the head of the response is sent"
            )

    # -- for the handler -----------------------------------------------------------------------

    @property
    def is_used(self) -> bool:
        """Whether a handler has looked at it."""
        return self._values is not None

    @property
    def is_renewed(self) -> bool:
        """Whether it needs a new id."""
        return self._is_renewed

    @property
    def loaded_text(self) -> str | None:
        """The contents as they were loaded, as JSON; None if it is new."""
        return self._text

    def close(self) -> None:
        """Refuse changes from now on: they would not be saved."""
        self._is_closed = True

    def text(self) -> str | None:
        """Return the contents as JSON, or None if there are none.

        Raises:
          TypeError, ValueError: A value is not what JSON has. The message names it.
        """
        if not self._values:
            return None
        try:
            return _dumps(self._values)
        except (TypeError, ValueError):
            for name, value in self._values.items():
                try:
                    _dumps(value)
                except (TypeError, ValueError) as error:
                    raise type(error)(f"session value {name!r}: {error}") from None
            raise

    def __repr__(self) -> str:
        # Values are often private.
        return f"<Session {', '.join(self._values or ()) or 'unread'}>"


def _dumps(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
