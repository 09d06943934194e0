"""Which fields of a message are passed on, and which ones a proxy writes (RFC 9110, 7.6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from ...codec import connection_options

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from ...http import RequestHead

__all__ = ["ForwardedKind", "forwarded_fields", "request_fields", "response_fields"]

ForwardedKind = Literal["x-forwarded", "forwarded", "none"]
Fields = list[tuple[bytes, bytes]]

# They are about one connection, or for the proxy itself. TE and Upgrade are written anew.
_HOP_BY_HOP = frozenset(
    (
        *("connection", "keep-alive", "proxy-connection", "te", "transfer-encoding", "upgrade"),
        *("proxy-authenticate", "proxy-authorization", "proxy-authentication-info"),
    )
)
# Written anew, because whatever a client says there is believed by the upstream; or because they
# frame the message, which must not depend on what Connection names.
_REWRITTEN = _HOP_BY_HOP | {"content-length", "expect", "forwarded", "host", "via", "x-real-ip"}
_BOTH_FRAMINGS = frozenset({"content-length", "transfer-encoding"})


def request_fields(
    head: RequestHead,
    *,
    host: str,
    via: str,
    forwarded: Sequence[tuple[str, str]],
    upgrade: str,
) -> Fields:
    """Return the fields of the request to the upstream.

    Args:
      head: The client's.
      host: The value of Host.
      via: Our name in Via; empty: none.
      forwarded: What `forwarded_fields` returns.
      upgrade: The protocol to switch to; empty: none.
    """
    headers = head.headers
    passed = [("host", host), *_passed_on(head)]
    if head.is_chunked:
        passed.append(("transfer-encoding", "chunked"))
    elif head.content_length is not None:
        passed.append(("content-length", str(head.content_length)))
    if head.expects_continue:
        passed.append(("expect", "100-continue"))
    passed += forwarded
    vias = headers.get_all("via")
    if via:
        vias.append(f"{head.version} {via}")
    if vias:
        passed.append(("via", ", ".join(vias)))
    options = []
    if "trailers" in connection_options(headers.get_all("te")):
        passed.append(("te", "trailers"))
        options.append("te")
    if upgrade:
        passed.append(("upgrade", upgrade))
        options.append("upgrade")
    if options:
        passed.append(("connection", ", ".join(options)))
    return [(name.encode("ascii"), value.encode("latin-1")) for name, value in passed]


def _passed_on(head: RequestHead) -> Iterator[tuple[str, str]]:
    """Yield the fields of a request that do not stay behind and are not written anew."""
    headers = head.headers
    dropped = _REWRITTEN | connection_options(headers.get_all("connection"))
    for name, value in headers.items():
        key = name.lower()
        if key not in dropped and not key.startswith("x-forwarded-"):
            yield name, value


def response_fields(
    raw: Iterable[tuple[bytes, bytes]], *, via: str, has_length: bool
) -> Fields | None:
    """Return the fields of the response to the client, or None if its framing is ambiguous.

    Args:
      raw: The upstream's.
      via: The value to add to Via; empty: none.
      has_length: Whether to keep Content-Length: where no body follows, it only says what a
        response with one would have.
    """
    fields = [(name.decode("ascii").lower(), name, value) for name, value in raw]
    names = {key for key, _, _ in fields}
    if names >= _BOTH_FRAMINGS:
        return None
    dropped = _HOP_BY_HOP if has_length else _HOP_BY_HOP | {"content-length"}
    if "connection" in names:
        named = (value.decode("latin-1") for key, _, value in fields if key == "connection")
        dropped = dropped | (connection_options(named) - {"content-length"})
    passed = [(name, value) for key, name, value in fields if key not in dropped]
    if via:
        passed.append((b"via", via.encode("latin-1")))
    return passed


def forwarded_fields(
    kind: ForwardedKind, chain: Sequence[str], *, host: str | None, scheme: str
) -> list[tuple[str, str]]:
    """Return the fields that tell an upstream about the client.

    Args:
      kind: Which ones.
      chain: The addresses from the client to our peer; a unix socket has none.
      host: What the client has asked for.
      scheme: What the client has used.
    """
    if kind == "none":
        return []
    addresses = [each for each in chain if "." in each or ":" in each] or ["unknown"]
    if kind == "x-forwarded":
        fields = [("x-forwarded-for", ", ".join(addresses)), ("x-forwarded-proto", scheme)]
        return [*fields, ("x-forwarded-host", host)] if host else fields
    entries = [f"for={_node(each)}" for each in addresses]
    # The grammar of a host has no quote and no backslash.
    entries[0] += f';proto={scheme};host="{host}"' if host else f";proto={scheme}"
    return [("forwarded", ", ".join(entries))]


def _node(address: str) -> str:
    """Return an address as RFC 7239, 6 has it."""
    return f'"[{address}]"' if ":" in address else address
