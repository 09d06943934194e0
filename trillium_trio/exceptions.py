"""Every exception of the project, in one file.

.. code-block:: text

    Exception
    +- TrilliumError                     the common base; never raised itself
       +- ConfigError      (ValueError)    a setting is wrong; the message names the field
       +- BindError        (OSError)       an address could not be bound; errno is kept
       +- MisuseError      (RuntimeError)  the calling code is wrong, for example waits for itself
       +- ShuttingDownError                an interrupted stream was read after the stop
       +- ClientDisconnected               the peer disconnected; nothing can be answered
       |  +- WebSocketClosed               a WebSocket is closed: code and reason say why
       +- HttpError                        answerable: carries the status to answer with
          +- BadRequest 400, RequestTimeout 408, ContentTooLarge 413, UriTooLong 414,
          |  ExpectationFailed 417, HeaderFieldsTooLarge 431, NotImplementedByServer 501,
          |  VersionNotSupported 505
          +- Unauthorized 401, MethodNotAllowed 405, UpgradeRequired 426, TooManyRequests 429,
             ServiceUnavailable 503: with the field that belongs to the status

The first question about an error is whether it can be answered: an `HttpError` can, as long as
the response head has not been sent; a `ClientDisconnected` never can.
"""

from __future__ import annotations

import re
from math import ceil
from typing import TYPE_CHECKING, ClassVar, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "BadRequest",
    "BindError",
    "ClientDisconnected",
    "ConfigError",
    "ContentTooLarge",
    "ExpectationFailed",
    "HeaderFieldsTooLarge",
    "HttpError",
    "MethodNotAllowed",
    "MisuseError",
    "NotImplementedByServer",
    "RequestTimeout",
    "ServiceUnavailable",
    "ShuttingDownError",
    "TooManyRequests",
    "TrilliumError",
    "Unauthorized",
    "UpgradeRequired",
    "UriTooLong",
    "VersionNotSupported",
    "WebSocketClosed",
]

# The grammar of `trillium_trio.http.Headers`, which this lowest layer cannot import.
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")


class HasItems(Protocol):
    """Names and values: a mapping, or `trillium_trio.Headers`."""

    def items(self) -> Iterable[tuple[str, str]]:
        """Return the pairs."""


class TrilliumError(Exception):
    """The base of all exceptions of this package."""


class ConfigError(TrilliumError, ValueError):
    """A setting is wrong. The message names the field, its value and what is expected."""


class BindError(TrilliumError, OSError):
    """An address could not be bound.

    Attributes:
      address: The requested address, as shown in the message.
      errno: The operating system's error number.
    """

    def __init__(self, errno: int, reason: str, address: str) -> None:
        super().__init__(errno, f"cannot listen on {address}: {reason}")
        self.address = address


class MisuseError(TrilliumError, RuntimeError):
    """The calling code requests something that can never work, such as waiting for itself."""


class ShuttingDownError(TrilliumError):
    """An interrupted stream was read after the stop. This is not a clean end of input."""


class ClientDisconnected(TrilliumError):
    """The peer closed or reset the connection. Not answerable.

    The operating system's error, if there was one, is the ``__cause__``.
    """


class WebSocketClosed(ClientDisconnected):
    """A WebSocket is closed, by whichever side, or its connection is gone.

    Attributes:
      code: Of the peer's Close (RFC 6455, 7.4); 1005 if it gave none, 1006 if none came.
      reason: Of the peer's Close.
    """

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()


class HttpError(TrilliumError):
    """Raise it in a handler to answer with its status. Answerable while the head is unsent.

    Args:
      status: The status code of the answer, 400 to 599.
      message: For the log, never for the client.
      headers: Header fields of the answer, as a mapping or as pairs.

    Attributes:
      headers: The fields as pairs.
      body: The body of the answer, if a subclass has one. None: the reason phrase of the status.

    Raises:
      ValueError: A name is not a token, or a value cannot be sent. The message names the field.
      TypeError: One of them is not a string.
    """

    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None

    def __init__(
        self, status: int, message: str = "", headers: HasItems | Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message
        if headers:
            self.headers = _checked(headers)

    def __str__(self) -> str:
        return f"{self.status} {self.message}".rstrip()


def _checked(headers: HasItems | Iterable[tuple[str, str]]) -> tuple[tuple[str, str], ...]:
    fields = []
    for name, value in headers.items() if hasattr(headers, "items") else headers:
        if not isinstance(name, str):
            raise TypeError(f"the name of a header must be str, not {type(name).__name__}")
        if not isinstance(value, str):
            raise TypeError(f"the value of {name!r} must be str, not {type(value).__name__}")
        # Plain strings: a subclass may change after the check.
        field = str.__str__(name), str.__str__(value)
        if _NAME.fullmatch(field[0]) is None:
            raise ValueError(f"header name {name!r} is not a token (RFC 9110, 5.6.2)")
        if _VALUE.fullmatch(field[1]) is None:
            raise ValueError(f"value of header {name!r} cannot be sent (RFC 9110, 5.5): {value!r}")
        fields.append(field)
    return tuple(fields)


class _FixedStatus(HttpError):
    default: ClassVar[int]

    def __init__(
        self, message: str = "", headers: HasItems | Iterable[tuple[str, str]] = ()
    ) -> None:
        super().__init__(self.default, message, headers)
        # pickle and copy call the class with these, and set the other attributes afterwards.
        self.args: tuple[object, ...] = (message,)


class BadRequest(_FixedStatus):
    """The request is malformed (RFC 9110, 15.5.1)."""

    default = 400


class Unauthorized(_FixedStatus):
    """The request lacks valid credentials (RFC 9110, 15.5.2).

    Args:
      challenge: The value of WWW-Authenticate, such as ``Bearer`` or ``Basic realm="x"``.
      message: For the log.
    """

    default = 401

    def __init__(self, challenge: str, message: str = "") -> None:
        super().__init__(message, {"www-authenticate": challenge})
        self.args: tuple[object, ...] = (challenge, message)


class MethodNotAllowed(_FixedStatus):
    """The resource does not support the method (RFC 9110, 15.5.6).

    Args:
      allow: The methods that it supports, which Allow lists.
      message: For the log.
    """

    default = 405

    def __init__(self, allow: Iterable[str], message: str = "") -> None:
        methods = allow if isinstance(allow, str) else ", ".join(allow)
        super().__init__(message, {"allow": methods})
        self.args: tuple[object, ...] = (methods, message)


class RequestTimeout(_FixedStatus):
    """The peer took too long to send its request (RFC 9110, 15.5.9)."""

    default = 408


class ContentTooLarge(_FixedStatus):
    """The request body is larger than allowed (RFC 9110, 15.5.14)."""

    default = 413


class UriTooLong(_FixedStatus):
    """The request target is longer than allowed (RFC 9110, 15.5.15)."""

    default = 414


class ExpectationFailed(_FixedStatus):
    """The request expects something other than ``100-continue`` (RFC 9110, 15.5.18)."""

    default = 417


class UpgradeRequired(_FixedStatus):
    """The resource needs another protocol (RFC 9110, 15.5.22).

    Args:
      protocol: The value of Upgrade, such as ``websocket``.
      message: For the log.
    """

    default = 426

    def __init__(self, protocol: str, message: str = "") -> None:
        # RFC 9110, 7.8: a sender of Upgrade lists it in Connection.
        super().__init__(message, {"upgrade": protocol, "connection": "upgrade"})
        self.args: tuple[object, ...] = (protocol, message)


class _Retryable(_FixedStatus):
    def __init__(self, message: str = "", *, retry_after: float | None = None) -> None:
        headers = {} if retry_after is None else {"retry-after": str(max(0, ceil(retry_after)))}
        super().__init__(message, headers)


class TooManyRequests(_Retryable):
    """The client has sent too many requests (RFC 6585, 4).

    Args:
      message: For the log.
      retry_after: Seconds after which to retry; rounded up (RFC 9110, 10.2.3).
    """

    default = 429


class HeaderFieldsTooLarge(_FixedStatus):
    """The head is too large or has too many fields (RFC 6585, 5)."""

    default = 431


class NotImplementedByServer(_FixedStatus):
    """The request uses an unsupported transfer coding or feature (RFC 9110, 15.6.2)."""

    default = 501


class ServiceUnavailable(_Retryable):
    """The server is overloaded or shutting down (RFC 9110, 15.6.4).

    Args:
      message: For the log.
      retry_after: As for `TooManyRequests`.
    """

    default = 503


class VersionNotSupported(_FixedStatus):
    """The request's HTTP version is not 1.0 or 1.1 (RFC 9110, 15.6.6)."""

    default = 505
