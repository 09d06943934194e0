"""One request in its thread: the call of the application, the iteration, and ``close()``."""

from __future__ import annotations

from io import BufferedReader, BytesIO
from typing import TYPE_CHECKING, Any, final

from .._log import app_name
from .._util import as_bytes
from ..exceptions import MisuseError
from ..http import Body
from ._file import FileWrapper, path_of
from ._head import Head
from ._input import RequestStream

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType
    from wsgiref.types import WSGIApplication

    from ._bridge import Bridge

    ExcInfo = tuple[type[BaseException], BaseException, TracebackType]

__all__ = ["Call"]

# What a piece of the body is read in; a socket seldom has more.
_INPUT_BYTES = 65_536


@final
class Call:
    """Calls an application once. All of it is in one thread.

    .. code-block:: text

        app() -> list or tuple      returned, and sent by the handler
              -> file wrapper       sent as a file, or read
              -> any iterable       piece by piece
              '- close()            always, once; in the first case there is none

    Args:
      app: The application.
      environ: Complete but for ``wsgi.input``.
      bridge: To the connection.
      has_body: Whether the request has a body.
    """

    __slots__ = ("_app", "_bridge", "_environ", "_has_begun", "_head", "_is_whole", "_sent")

    def __init__(
        self,
        app: WSGIApplication,
        environ: dict[str, Any],  # Any: a key says what type its value has
        bridge: Bridge,
        *,
        has_body: bool,
    ) -> None:
        self._app = app
        self._environ = environ
        self._bridge = bridge
        self._head: Head | None = None
        self._has_begun = False
        # The whole response was given to the driver at once.
        self._is_whole = False
        self._sent = 0
        environ["wsgi.input"] = (
            BufferedReader(RequestStream(bridge.receive), _INPUT_BYTES) if has_body else BytesIO()
        )

    def run(self) -> tuple[Head, bytes] | None:
        """Call the application, and send what it produces.

        Returns:
          The response, if it is still to be sent.

        Raises:
          BaseException: What the application has raised, if the response has not begun, or in its
            ``close()``.
        """
        result: Iterable[bytes] = ()
        try:
            result = self._app(self._environ, self._start_response)
            if self._has_begun or type(result) not in {list, tuple}:
                self._send_pieces(result)
                return None
            return self._joined(result)
        except Exception as error:
            if not self._has_begun:
                raise
            # The driver reports it, and lets the client notice.
            self._bridge.end(error)
            return None
        finally:
            close = getattr(result, "close", None)
            if close is not None:
                close()

    def _joined(self, result: Iterable[bytes]) -> tuple[Head, bytes]:
        body = b"".join([_checked(piece) for piece in result])
        head = self._started()
        if not head.is_bodiless:
            self._check(head, len(body))
        return head, body

    def _send_pieces(self, result: Iterable[bytes]) -> None:
        if isinstance(result, FileWrapper) and self._send_file(result):
            return
        for piece in result:
            self._send(_checked(piece))
            if self._has_begun and self._started().is_bodiless:
                break
        self._end()

    def _send_file(self, wrapper: FileWrapper) -> bool:
        """Send a file without reading it, if that is possible; return whether it was."""
        if self._has_begun or self._started().is_bodiless:
            return False
        head = self._started()
        path = path_of(wrapper, head.length)
        if path is None:
            return False
        self._has_begun = self._is_whole = True
        self._bridge.send_whole(head, Body.from_path(path))
        # It is about to be closed.
        self._bridge.wait_sent()
        return True

    def _send(self, piece: bytes) -> None:
        if not piece:
            return
        head = self._started()
        self._sent += len(piece)
        if self._is_whole:
            self._check(head, self._sent)
        elif self._has_begun or head.is_bodiless or head.length is None or len(piece) < head.length:
            # The driver compares the lengths.
            self._begin(head)
            if not head.is_bodiless:
                self._bridge.send(piece)
        else:
            self._check(head, len(piece))
            self._has_begun = self._is_whole = True
            self._bridge.send_whole(head, Body(piece))

    def _begin(self, head: Head) -> None:
        if not self._has_begun:
            self._has_begun = True
            self._bridge.begin(head)

    def _end(self) -> None:
        head = self._started()
        if not self._has_begun and not head.is_bodiless:
            self._check(head, 0)
            self._has_begun = self._is_whole = True
            self._bridge.send_whole(head, Body.empty)
        if not self._is_whole:
            self._begin(head)
            self._bridge.end()

    def _check(self, head: Head, count: int) -> None:
        if head.length not in {None, count}:
            raise MisuseError(
                f"{app_name(self._app)}: the body has {count} bytes where Content-Length declares "
                f"{head.length}"
            )

    def _started(self) -> Head:
        if self._head is None:
            raise MisuseError(f"{app_name(self._app)} has not called start_response")
        return self._head

    # -- what the application calls ------------------------------------------------------------

    def _start_response(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: ExcInfo | tuple[None, None, None] | None = None,
    ) -> Callable[[bytes], object]:
        """Begin the response, or replace what has not been sent of it; see PEP 3333.

        Raises:
          MisuseError: It was called before.
          ValueError, TypeError: A value cannot be sent; see `Head`.
          BaseException: That of ``exc_info``, if the response has begun.
        """
        if exc_info is not None and exc_info[1] is not None:
            try:
                if self._has_begun:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                # It refers to the frame that this is called from.
                exc_info = None
        elif self._head is not None:
            raise MisuseError("start_response was called twice, without exc_info")
        self._head = Head(self._environ["REQUEST_METHOD"], status, headers)
        return self._write

    def _write(self, data: bytes) -> None:
        """Send a piece, before those of the iteration.

        Raises:
          ConnectionLost: The client has disconnected, or the request was cut.
          MisuseError: The body is longer than declared.
          TypeError: It is not bytes.
        """
        self._send(_checked(data))


def _checked(piece: object) -> bytes:
    if type(piece) is bytes:
        return piece
    try:
        return bytes(as_bytes(piece))  # type: ignore[arg-type]  # raises what is caught
    except TypeError:
        raise TypeError(f"a body consists of bytes, not {type(piece).__name__}") from None
