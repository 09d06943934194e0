"""A response as a client receives it, with assertions that show it when they fail."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from email.message import Message
from typing import Any, ClassVar, NoReturn, Self, final

from ..http import Headers

__all__ = ["TestResponse"]

# How much of a body a failed assertion shows.
_BODY_BYTES_SHOWN = 500


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class TestResponse:
    """A complete response.

    The ``assert_...`` methods return the response, for chaining, or raise an `AssertionError` that
    shows it.

    Attributes:
      status: The final status code.
      reason: The reason phrase.
      headers: The header fields.
      body: The whole body, chunks joined.
      trailers: The trailer fields of a chunked body.
      informational: The status codes of the preceding 1xx responses.
      is_closing: Whether the server closes the connection after this response: it sent
        ``Connection: close``, uses HTTP/1.0, or its close was the end of the body.
      method, path: Of the request.
    """

    # Not a test class, in spite of its name.
    __test__: ClassVar[bool] = False

    status: int
    reason: str = ""
    headers: Headers = field(default_factory=Headers)
    body: bytes = b""
    trailers: Headers = field(default_factory=Headers)
    informational: tuple[int, ...] = ()
    is_closing: bool = False
    method: str = "GET"
    path: str = "/"

    @property
    def text(self) -> str:
        """The body, decoded with the charset of its Content-Type, or else UTF-8.

        Raises:
          UnicodeDecodeError: It is not valid in that charset.
          LookupError: The charset is unknown.
        """
        parser = Message()
        parser["content-type"] = self.headers.get("content-type") or "text/plain"
        return self.body.decode(parser.get_content_charset("utf-8"))

    # Any: the caller knows what the JSON contains.
    def json(self) -> Any:
        """Parse the body as JSON.

        Raises:
          ValueError: It is not JSON.
        """
        return json.loads(self.body)

    def assert_ok(self) -> Self:
        """Assert that the status is 2xx."""
        __tracebackhide__ = True
        if not 200 <= self.status <= 299:
            self._fail("expected a status of 2xx")
        return self

    def assert_status(self, status: int) -> Self:
        """Assert the status."""
        __tracebackhide__ = True
        if self.status != status:
            self._fail(f"expected status {status:d}")
        return self

    def assert_body(self, body: str | bytes) -> Self:
        """Assert the body; a `str` is compared with `text`."""
        __tracebackhide__ = True
        if (self.text if isinstance(body, str) else self.body) != body:
            self._fail(f"expected the body {body!r}")
        return self

    def assert_body_contains(self, part: str | bytes) -> Self:
        """Assert that the body contains ``part``; a `str` is searched in `text`."""
        __tracebackhide__ = True
        if not (part in self.text if isinstance(part, str) else part in self.body):
            self._fail(f"expected the body to contain {part!r}")
        return self

    def assert_json(self, value: object) -> Self:
        """Assert that the body is JSON of this value."""
        __tracebackhide__ = True
        try:
            found = self.json()
        except ValueError as error:
            self._fail(f"expected JSON of {value!r}, but the body is not JSON: {error}")
        if found != value:
            self._fail(f"expected JSON of {value!r}, not of {found!r}")
        return self

    def assert_header(self, name: str, value: str | None = None) -> Self:
        """Assert that a header field is present; with a value, that one field has exactly it."""
        __tracebackhide__ = True
        found = self.headers.get_all(name)
        if value is None and not found:
            self._fail(f"expected a header {name}")
        if value is not None and value not in found:
            actual = " and ".join(map(repr, found)) or "nothing"
            self._fail(f"expected header {name} to be {value!r}, not {actual}")
        return self

    def assert_no_header(self, name: str) -> Self:
        """Assert that a header field is absent."""
        __tracebackhide__ = True
        if name in self.headers:
            self._fail(f"expected no header {name}")
        return self

    def _fail(self, expectation: str) -> NoReturn:
        __tracebackhide__ = True
        raise AssertionError(f"{expectation}; the response is\n{self}")

    def __str__(self) -> str:
        """Return the response as readable text, with its body truncated."""
        lines = [f"{self.method} {self.path} -> {self.status} {self.reason}".rstrip()]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        shown = self.body[:_BODY_BYTES_SHOWN]
        lines += ["", shown.decode("utf-8", "backslashreplace")]
        if len(shown) < len(self.body):
            lines.append(f"... ({len(self.body)} bytes in all)")
        return "\n".join(f"  {line}".rstrip() for line in "\n".join(lines).splitlines())
