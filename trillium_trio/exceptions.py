"""Every exception of the project, in one file.

.. code-block:: text

    Exception
    +- TrilliumError                     the common base; never raised itself
       +- ConfigError      (ValueError)    a setting is wrong; the message names the field
       +- BindError        (OSError)       an address could not be bound; errno is kept
       +- MisuseError      (RuntimeError)  the calling code is wrong, for example waits for itself
       +- ShuttingDownError                an interrupted stream was read after the stop
       +- ClientDisconnected               the peer left; nothing can be answered
       +- HttpError                        answerable: carries the status to answer with
          +- BadRequest 400, RequestTimeout 408, ContentTooLarge 413, UriTooLong 414,
             ExpectationFailed 417, HeaderFieldsTooLarge 431, NotImplementedByServer 501,
             ServiceUnavailable 503, VersionNotSupported 505

The first question about an error is whether it can be answered: an `HttpError` can, as long as
the response head has not been sent; a `ClientDisconnected` never can.
"""

from __future__ import annotations

from typing import ClassVar

__all__ = [
    "BadRequest",
    "BindError",
    "ClientDisconnected",
    "ConfigError",
    "ContentTooLarge",
    "ExpectationFailed",
    "HeaderFieldsTooLarge",
    "HttpError",
    "MisuseError",
    "NotImplementedByServer",
    "RequestTimeout",
    "ServiceUnavailable",
    "ShuttingDownError",
    "TrilliumError",
    "UriTooLong",
    "VersionNotSupported",
]


class TrilliumError(Exception):
    """The base of everything that this package raises on its own account."""


class ConfigError(TrilliumError, ValueError):
    """A setting is wrong. The message names the field, its value and what would be right."""


class BindError(TrilliumError, OSError):
    """An address could not be bound.

    Attributes:
      address: The address as it was asked for, as shown in the message.
      errno: The operating system's error number, kept.
    """

    def __init__(self, errno: int, reason: str, address: str) -> None:
        super().__init__(errno, f"cannot listen on {address}: {reason}")
        self.address = address


class MisuseError(TrilliumError, RuntimeError):
    """The calling code asks for something that can never work, such as waiting for itself."""


class ShuttingDownError(TrilliumError):
    """An interrupted stream was read after the stop. It is no clean end of input."""


class ClientDisconnected(TrilliumError):
    """The peer closed or reset the connection. Not answerable.

    The operating system's error, where there was one, is the ``__cause__``.
    """


class HttpError(TrilliumError):
    """Raise it in a handler to answer with its status. Answerable while the head is unsent.

    Args:
      status: The status code of the answer, 400 to 599.
      message: For the log, never for the client.
    """

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(status, message)
        self.status = status
        self.message = message

    def __str__(self) -> str:
        return f"{self.status} {self.message}".rstrip()


class _FixedStatus(HttpError):
    default: ClassVar[int]

    def __init__(self, message: str = "") -> None:
        super().__init__(self.default, message)
        # What pickle and copy call the class with.
        self.args = (message,)


class BadRequest(_FixedStatus):
    """The request is malformed (RFC 9110, 15.5.1)."""

    default = 400


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


class HeaderFieldsTooLarge(_FixedStatus):
    """The head is too large or has too many fields (RFC 6585, 5)."""

    default = 431


class NotImplementedByServer(_FixedStatus):
    """The request uses a transfer coding or feature that is unknown here (RFC 9110, 15.6.2)."""

    default = 501


class ServiceUnavailable(_FixedStatus):
    """The server is overloaded or shutting down (RFC 9110, 15.6.4)."""

    default = 503


class VersionNotSupported(_FixedStatus):
    """The request's HTTP version is not 1.0 or 1.1 (RFC 9110, 15.6.6)."""

    default = 505
