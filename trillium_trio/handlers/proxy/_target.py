"""Where an upstream is, and the target of a request to it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Self, final
from urllib.parse import unquote, urlsplit

from ...codec import check_host
from ...exceptions import BadRequest, ConfigError

__all__ = ["Target", "check_path"]

_DEFAULT_PORTS = {"http": 80, "https": 443}
_VISIBLE = re.compile(r"[!-~]*")


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An upstream's URL, taken apart.

    Attributes:
      scheme: ``"http"`` or ``"https"``.
      host: The name or address, without brackets.
      port: The port.
      authority: Host and port as the Host field has them.
      base: The path that is put in front of that of each request; it does not end with a slash.
    """

    scheme: str
    host: str
    port: int
    authority: str
    base: str

    @classmethod
    def parse(cls, url: object) -> Self:
        """Return an upstream's URL, taken apart.

        Raises:
          ConfigError: It is none that can be asked. The message does not show a password in it.
        """
        if not isinstance(url, str):
            raise ConfigError(f"an upstream is a URL, not {type(url).__name__}")
        try:
            parts = urlsplit(url)
            host, port = parts.hostname, parts.port
        except ValueError as error:
            raise ConfigError("an upstream's URL is malformed") from error
        if "@" in parts.netloc:
            raise ConfigError("an upstream's URL has no user and no password")
        if parts.scheme not in _DEFAULT_PORTS or not host:
            raise ConfigError(f"an upstream is http://host:port or https://host:port, not {url!r}")
        if parts.query or parts.fragment or url.endswith(("?", "#")):
            raise ConfigError(f"an upstream's URL has no query and no fragment: {url!r}")
        try:
            check_host(parts.netloc)
            check_path(parts.path)
        except BadRequest as error:
            raise ConfigError(
                f"an upstream's URL is malformed: {url!r}: {error.message}"
            ) from error
        if _VISIBLE.fullmatch(parts.path) is None:
            raise ConfigError(f"the path of an upstream's URL is percent-encoded: {url!r}")
        return cls(
            scheme=parts.scheme,
            host=host,
            port=_DEFAULT_PORTS[parts.scheme] if port is None else port,
            authority=parts.netloc,
            base=parts.path.rstrip("/"),
        )

    def join(self, path: str, querystring: str) -> str:
        """Return the target of a request: the base, and the path below it, as they are.

        Args:
          path: Of the request, checked by `check_path`; ``*`` is the server as a whole.
          querystring: As it was sent.
        """
        if path == "*":
            path = "" if self.base else "*"
        target = f"{self.base}{path}"
        return f"{target}?{querystring}" if querystring else target

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.base}"


def check_path(path: str) -> None:
    """Refuse a path that an upstream could read as one above its base.

    Browsers resolve these segments before they send them. What is left of them is there for an
    upstream that decodes ``%2F``, or cuts ``;x`` off, before it resolves them.

    Raises:
      BadRequest: It has a segment ``..``, however it is written.
    """
    if ".." not in path and "%" not in path:
        return
    segments = unquote(path, "latin-1").replace("\\", "/").split("/")
    if any(segment.partition(";")[0] == ".." for segment in segments):
        raise BadRequest("the path has a segment '..', which would lead out of the upstream's base")
