"""What proxies write: the fields of a request, and the first bytes of a connection."""

from __future__ import annotations

from tests.property._forwarded import check_fields, check_proxy_header


def forwarded(data: bytes) -> None:
    """Read the value of a Forwarded and an X-Forwarded-For field."""
    check_fields(data.decode("latin-1").replace("\n", ""))


def proxy_headers(data: bytes) -> None:
    """Read a header of the PROXY protocol, however it is cut."""
    check_proxy_header(data[:600])
