"""The methods of a client, and the client of one connection."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Self, final

import trio

from ._exchange import Exchanger
from ._request import build_request

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Unpack

    from ._memory import MemoryStream
    from ._request import Options
    from ._response import TestResponse

__all__ = ["Client", "Session"]


class Client(ABC):
    """A client of a server: one coroutine function per method, all based on `request`."""

    @abstractmethod
    async def request(self, method: str, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a request and receive its response.

        Args:
          method: The method, sent as it is.
          path: The target, with its querystring.
          options: ``headers`` (a mapping, pairs or `Headers`); ``body`` (bytes, text, or an async
            iterable that is sent in chunks, and closed) or ``json`` (a value).

        Raises:
          ConnectionRefusedError: The server does not listen.
          ConnectionResetError: The connection ended before a complete response.
          h11.LocalProtocolError: The request is invalid. Use `RawPeer` to send it.
          h11.RemoteProtocolError: The response is not valid HTTP.

        Cancellation:
          The connection is closed; the handler continues, as for any client that disconnects.
        """

    async def get(self, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a GET request; see `request`.

        Cancellation: see `request`.
        """
        return await self.request("GET", path, **options)

    async def head(self, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a HEAD request; see `request`.

        Cancellation: see `request`.
        """
        return await self.request("HEAD", path, **options)

    async def post(self, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a POST request; see `request`.

        Cancellation: see `request`.
        """
        return await self.request("POST", path, **options)

    async def put(self, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a PUT request; see `request`.

        Cancellation: see `request`.
        """
        return await self.request("PUT", path, **options)

    async def patch(self, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a PATCH request; see `request`.

        Cancellation: see `request`.
        """
        return await self.request("PATCH", path, **options)

    async def delete(self, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a DELETE request; see `request`.

        Cancellation: see `request`.
        """
        return await self.request("DELETE", path, **options)

    async def options(self, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send an OPTIONS request; see `request`.

        Cancellation: see `request`.
        """
        return await self.request("OPTIONS", path, **options)


@final
class Session(Client):
    """A client of one connection, kept alive from request to request.

    A context manager that closes the connection on exit.

    Args:
      stream: The client's end of a connection; closed by the session.
    """

    def __init__(self, stream: MemoryStream) -> None:
        self._stream = stream
        self._exchanger = Exchanger(stream)

    async def request(self, method: str, path: str, **options: Unpack[Options]) -> TestResponse:
        """Send a request on this connection and receive its response; see `Client.request`.

        Raises:
          trio.ClosedResourceError: The connection is closed: the last response closed it, or an
            earlier request has failed.

        Cancellation:
          The connection is closed; the handler continues, as for any client that disconnects.
        """
        try:
            response = await self._exchanger.exchange(build_request(method, path, **options))
        except BaseException:
            self._stream.close()
            raise
        if response.is_closing:
            self._stream.close()
        return response

    async def __aenter__(self) -> Self:
        await trio.lowlevel.checkpoint()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._stream.aclose()

    def __repr__(self) -> str:
        return f"<Session {self._stream!r}>"
