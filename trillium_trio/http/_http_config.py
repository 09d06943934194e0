"""Limits and timeouts of HTTP connections, as one value."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Self, final

from .._util import check_count, check_number
from ..exceptions import ConfigError
from ._headers import Headers

__all__ = ["HttpConfig"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class HttpConfig:
    """Limits and timeouts of one HTTP/1 connection.

    Attributes:
      max_head_bytes: The request line and all fields; beyond it 431. Default: 16 KiB. Unit: bytes.
        Prevents: heads that never end.
      max_headers: Header fields of a request; beyond it 431. Default: 100. Unit: fields.
        Prevents: quadratic work in code that looks at fields.
      max_body_bytes: What `RequestBody` reads by default; beyond it 413. Default: 10 MiB.
        Unit: bytes. Prevents: memory filled by one request.
      max_json_bytes: What `RequestBody.json` reads by default; beyond it 413. Default: 1 MiB.
        Unit: bytes. Prevents: a blocked event loop, because JSON is parsed in one step.
      head_timeout: From the first byte of a head to its last, for the first head from the accept or
        the TLS handshake; beyond it 408, or closed if no byte of a head has come. Default: 10.
        Unit: seconds. Prevents: slowloris, and connections that never send anything.
      idle_timeout: Without a byte between requests; closes. Default: 60. Unit: seconds.
        Prevents: descriptors held by clients that are gone.
      body_timeout: Without a byte of a body that the handler waits for; 408. Default: 30.
        Unit: seconds. Prevents: handlers held by stalled uploads.
      write_timeout: Without the peer taking a byte; resets the connection. Default: 30.
        Unit: seconds. Prevents: handlers and kernel memory held by readers that have stopped.
      handshake_timeout: For a proxy's header and the TLS handshake; closes. Default: 10.
        Unit: seconds. Prevents: connections that never send anything.
      handshake_grace: How long after the stop a TLS handshake in progress may take. Default: 2.
        Unit: seconds. Prevents: drains that wait for handshakes that never end.
      linger_timeout: How long to wait, after the last response, for the peer to read it and close.
        Default: 2. Unit: seconds. Prevents: responses destroyed by a reset.
      min_rate: Of a body, either way, for each second spent waiting beyond one timeout's length.
        0: off. Default: 256. Unit: bytes per second. Prevents: one byte just before each timeout.
      max_connection_age: How long a connection may be used; then its response says that it closes.
        0: no bound. Default: 0. Unit: seconds. Prevents: clients that stay with one instance for
        ever, whatever the load balancer says.
      max_connection_requests: How many requests a connection may have; the last response says that
        it closes. 0: no bound. Default: 0. Unit: requests. Prevents: the same.
      max_target_bytes: The request target; beyond it 414. Default: 8 KiB. Unit: bytes.
      max_trailer_bytes: All trailer fields; beyond it 431. Default: 8 KiB. Unit: bytes.
      server_header: The Server field of responses. The empty string: none.
        Default: ``trillium-trio``.

    Raises:
      ConfigError: A value is out of its range; the message names the field.
    """

    max_head_bytes: int = 16_384
    max_headers: int = 100
    max_body_bytes: int = 10 * 1024 * 1024
    max_json_bytes: int = 1024 * 1024
    head_timeout: float = 10.0
    idle_timeout: float = 60.0
    body_timeout: float = 30.0
    write_timeout: float = 30.0
    handshake_timeout: float = 10.0
    handshake_grace: float = 2.0
    linger_timeout: float = 2.0
    min_rate: int = 256
    max_connection_age: float = 0.0
    max_connection_requests: int = 0
    max_target_bytes: int = 8_192
    max_trailer_bytes: int = 8_192
    server_header: str = "trillium-trio"

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            match field.name.rpartition("_")[2]:
                case "timeout" | "grace" | "age":
                    check_number(f"HttpConfig.{field.name}", value, least=0.0)
                case "header":
                    _check_server_header(value)
                case _:
                    check_count(f"HttpConfig.{field.name}", value, least=0)

    def with_max_head_bytes(self, max_head_bytes: int) -> Self:
        """Return a copy with this `max_head_bytes`."""
        return replace(self, max_head_bytes=max_head_bytes)

    def with_max_headers(self, max_headers: int) -> Self:
        """Return a copy with this `max_headers`."""
        return replace(self, max_headers=max_headers)

    def with_max_body_bytes(self, max_body_bytes: int) -> Self:
        """Return a copy with this `max_body_bytes`."""
        return replace(self, max_body_bytes=max_body_bytes)

    def with_max_json_bytes(self, max_json_bytes: int) -> Self:
        """Return a copy with this `max_json_bytes`."""
        return replace(self, max_json_bytes=max_json_bytes)

    def with_head_timeout(self, head_timeout: float) -> Self:
        """Return a copy with this `head_timeout`."""
        return replace(self, head_timeout=head_timeout)

    def with_idle_timeout(self, idle_timeout: float) -> Self:
        """Return a copy with this `idle_timeout`."""
        return replace(self, idle_timeout=idle_timeout)

    def with_body_timeout(self, body_timeout: float) -> Self:
        """Return a copy with this `body_timeout`."""
        return replace(self, body_timeout=body_timeout)

    def with_write_timeout(self, write_timeout: float) -> Self:
        """Return a copy with this `write_timeout`."""
        return replace(self, write_timeout=write_timeout)

    def with_handshake_timeout(self, handshake_timeout: float) -> Self:
        """Return a copy with this `handshake_timeout`."""
        return replace(self, handshake_timeout=handshake_timeout)

    def with_handshake_grace(self, handshake_grace: float) -> Self:
        """Return a copy with this `handshake_grace`."""
        return replace(self, handshake_grace=handshake_grace)

    def with_linger_timeout(self, linger_timeout: float) -> Self:
        """Return a copy with this `linger_timeout`."""
        return replace(self, linger_timeout=linger_timeout)

    def with_min_rate(self, min_rate: int) -> Self:
        """Return a copy with this `min_rate`."""
        return replace(self, min_rate=min_rate)

    def with_max_connection_age(self, max_connection_age: float) -> Self:
        """Return a copy with this `max_connection_age`."""
        return replace(self, max_connection_age=max_connection_age)

    def with_max_connection_requests(self, max_connection_requests: int) -> Self:
        """Return a copy with this `max_connection_requests`."""
        return replace(self, max_connection_requests=max_connection_requests)

    def with_max_target_bytes(self, max_target_bytes: int) -> Self:
        """Return a copy with this `max_target_bytes`."""
        return replace(self, max_target_bytes=max_target_bytes)

    def with_max_trailer_bytes(self, max_trailer_bytes: int) -> Self:
        """Return a copy with this `max_trailer_bytes`."""
        return replace(self, max_trailer_bytes=max_trailer_bytes)

    def with_server_header(self, server_header: str) -> Self:
        """Return a copy with this `server_header`."""
        return replace(self, server_header=server_header)


def _check_server_header(value: object) -> None:
    try:
        Headers([("server", value)])  # type: ignore[list-item]  # raises if it is not a str, too
    except (TypeError, ValueError) as error:
        raise ConfigError(f"HttpConfig.server_header cannot be sent: {value!r}") from error
