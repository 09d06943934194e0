"""What holds of every field that proxies write, whatever a client has sent with it."""

from __future__ import annotations

from ipaddress import ip_address
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from tests.fuzz._splits import check_message, check_splits
from trillium_trio.codec import read_proxy_header
from trillium_trio.conn import Conn
from trillium_trio.handlers.forwarded import Hop, forwarded_hops, x_forwarded_hops
from trillium_trio.http import Headers, RequestHead, parse_ip

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.fuzz._splits import Pieces
    from trillium_trio.conn import Client
    from trillium_trio.handlers import Forwarded


def client_of(forwarded: Forwarded, fields: Iterable[tuple[str, str]], peer: str) -> Client:
    """Return what the handler makes of a request of this peer.

    Raises:
      BadRequest: The handler refuses it.
    """
    transport = SimpleNamespace(peer_ip=peer, peer_address=(peer, 4711), is_secure=False)
    head = RequestHead("GET", "/", "1.1", Headers([("host", "x"), *fields]))
    # Any: a conn asks its link for nothing else here, and reads no body.
    link: Any = SimpleNamespace(transport=transport)
    body: Any = None
    return forwarded._client(Conn(link, head, body, 0.0))


def check_fields(value: str) -> None:
    """Check that a value is read without an error, and changes no entry behind it."""
    ip = parse_ip("192.0.2.1")
    for own, read, hop in (
        ("for=192.0.2.1;proto=https", forwarded_hops, Hop(ip=ip, port=None, scheme="https")),
        ('for="192.0.2.1:7";host="h:1"', forwarded_hops, Hop(ip=ip, port=7, host="h:1")),
        ("192.0.2.1", x_forwarded_hops, Hop(ip=ip, port=None)),
    ):
        hops = list(read(value))
        assert len(hops) <= 64
        for each in hops:
            if each is not None:
                assert each.port is None or 0 <= each.port <= 65535
                assert each.scheme in {None, "http", "https"}
                assert each.host is None or not set(each.host) & set(' "/\\?#@')
        assert list(read(f"{value}, {own}")) == [hop, *hops[:63]]


def check_proxy_header(data: bytes) -> None:
    """Check that a header reads the same however it is cut, whatever follows it."""
    outcome = check_splits(data, _read_pieces)
    if isinstance(outcome, tuple):
        header, used = outcome
        assert read_proxy_header(data[:used]) == read_proxy_header(data + b"more") == outcome
        assert (header.source is None) == (header.destination is None)
        for ip, port in filter(None, (header.source, header.destination)):
            assert str(ip_address(ip)) == ip
            assert 0 <= port <= 65535


def _read_pieces(pieces: Pieces) -> tuple[object, int]:
    received = b""
    for piece in pieces:
        received += piece
        try:
            read = read_proxy_header(received)
        except ValueError as error:
            check_message(error)
            return "refused", len(received)
        if read is not None:
            return read, len(received)
    return None, len(received)
