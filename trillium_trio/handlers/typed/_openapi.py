"""The handler that serves the description."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, final

from ...conn import Handler, Mounted
from ...exceptions import ConfigError
from ._document import document_of
from ._page import CONTENT_SECURITY_POLICY, page_of

if TYPE_CHECKING:
    from ...conn import Conn, Info
    from ._document import HasRoutes

__all__ = ["OpenApi"]


@final
class OpenApi(Handler):
    """Describes the functions of a router that are under `api`, for programs and people.

    GET ``/openapi.json`` is a document of OpenAPI 3.1, and GET ``/docs`` a page without scripts
    that loads nothing. All other requests are passed on, so it stands in front of the router::

        app = (OpenApi(router, title="Shop", version="1"), router)

    The document is made once, when serving begins. Routes of other handlers are not in it.

    Args:
      router: A `Router`, or another object with its `routes`.
      title: The name of the API.
      version: The version of the API, not of OpenAPI.
      description: More about it.
      path: The path of the document. Default: ``/openapi.json``.
      page: The path of the page. None: there is none. Default: ``/docs``.

    Raises:
      ConfigError: A path does not begin with a slash.
    """

    def __init__(
        self,
        router: HasRoutes,
        *,
        title: str,
        version: str,
        description: str | None = None,
        path: str = "/openapi.json",
        page: str | None = "/docs",
    ) -> None:
        for name, each in (("path", path), ("page", page)):
            if each is not None and not each.startswith("/"):
                raise ConfigError(f"OpenApi.{name} begins with a slash, unlike {each!r}")
        self._router = router
        self._title = title
        self._version = version
        self._description = description
        self._path = path
        self._page = page
        self._made: dict[str, Any] | None = None  # Any: JSON

    def document(self) -> dict[str, Any]:  # Any: JSON
        """Return the document, for a file or a test.

        Raises:
          ConfigError: It cannot be made; the message names the types or templates.
        """
        return document_of(
            self._router,
            title=self._title,
            version=self._version,
            description=self._description,
        )

    async def init(self, info: Info) -> None:
        """Make the document.

        Raises:
          ConfigError: It cannot be made.

        Cancellation:
          None: it does not wait.
        """
        self._made = self.document()

    async def run(self, conn: Conn) -> Conn:
        """Answer with the document or the page; pass on every other request.

        Cancellation:
          None: it does not wait.
        """
        mounted = conn.state(Mounted)
        path = conn.path if mounted is None else mounted.path
        if path not in {self._path, self._page} or conn.method not in {"GET", "HEAD"}:
            return conn
        prefix = "" if mounted is None else mounted.prefix
        document = self._made or self.document()
        conn.with_response_header("x-content-type-options", "nosniff")
        if path == self._path:
            # The paths of a mounted router begin at its mount.
            servers = {"servers": [{"url": prefix}]} if prefix else {}
            conn.with_response_header("content-type", "application/json")
            return conn.ok(json.dumps({**document, **servers}))
        conn.with_response_header("content-type", "text/html; charset=utf-8")
        conn.with_response_header("content-security-policy", CONTENT_SECURITY_POLICY)
        return conn.ok(page_of(document, link=prefix + self._path))

    @property
    def name(self) -> str:
        """OpenApi and its paths."""
        return f"OpenApi({', '.join(each for each in (self._path, self._page) if each)})"
