"""What the scope of another server's request says, in our words."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, NoReturn, final
from urllib.parse import quote

from ..exceptions import MisuseError
from ..http import Headers, RequestHead
from ..transport import Listener, Transport

if TYPE_CHECKING:
    from ._types import Scope

__all__ = ["ScopeTransport", "head_of"]


@final
class ScopeTransport(Transport):
    """The facts of a connection that belongs to another server."""

    __slots__ = ()

    def __init__(self, scope: Scope) -> None:
        host, port = scope.get("server") or ("", 0)
        is_tls = scope.get("scheme") == "https"
        listener = (
            Listener(kind="unix", address=host, is_tls=is_tls)
            if port is None
            else Listener(kind="tcp", address=(host, port), is_tls=is_tls)
        )
        client = scope.get("client")
        super().__init__(listener, None if client is None else tuple(client))

    def _refuse(self) -> NoReturn:
        raise MisuseError("the transport belongs to the ASGI server")

    async def receive_some(self, max_bytes: int = 65536) -> bytes:
        self._refuse()

    def receive_nowait(self, max_bytes: int = 65536) -> bytes | None:
        self._refuse()

    def send_nowait(self, data: bytes | bytearray | memoryview) -> int:
        self._refuse()

    async def send_some(self, data: bytes | bytearray | memoryview) -> int:
        self._refuse()

    async def send_file(self, file: BinaryIO, offset: int, count: int) -> int:
        self._refuse()

    async def send_eof(self) -> None:
        self._refuse()

    def abort(self) -> None:
        self._refuse()

    async def aclose(self) -> None:
        self._refuse()

    def is_disconnected_now(self) -> bool:
        return False

    def _end_waits(self) -> None:
        self._refuse()


def head_of(scope: Scope) -> RequestHead:
    """Return the head that a scope was made of, as far as it tells."""
    headers = Headers()
    headers.extend_raw([(bytes(name), bytes(value)) for name, value in scope["headers"]])
    raw = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
    query = scope.get("query_string") or b""
    target = raw.decode("latin-1") + (f"?{query.decode('latin-1')}" if query else "")
    length = headers.get("content-length")
    return RequestHead(
        scope["method"],
        target,
        "1.0" if scope["http_version"] == "1.0" else "1.1",
        headers,
        int(length) if length is not None and length.isdigit() else None,
        is_chunked="transfer-encoding" in headers,
    )
