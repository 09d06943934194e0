"""The header of the PROXY protocol: whose connection a proxy passes on.

Its specification is HAProxy's ``proxy-protocol.txt``. Version 1 is a line of text, version 2 is
binary. Both precede the first byte of the connection that is passed on, also that of TLS.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import final

from ..http import parse_ip

__all__ = ["ProxyHeader", "read_proxy_header"]

_LINE = b"PROXY "
# "The maximum line lengths the receiver must support", with CRLF.
_MAX_LINE_BYTES = 107
# Spaces are single; a port has no sign and no leading zero.
_TCP = re.compile(
    r"PROXY TCP(?P<version>[46]) (?P<source>\S+) (?P<destination>\S+)"
    r" (?P<source_port>0|[1-9][0-9]{0,4}) (?P<destination_port>0|[1-9][0-9]{0,4})\r\n",
    re.ASCII,
)
_UNKNOWN = "PROXY UNKNOWN"
_MAX_PORT = 65535

_SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED_BYTES = 16
# Addresses need up to 216 bytes. The rest is room for extensions (TLVs): names, and in newer
# versions of HAProxy the client's certificate. The protocol would allow 64 KiB.
_MAX_V2_BYTES = 8192
_LOCAL, _PROXY = 0, 1
_TCP4, _TCP6 = 0x11, 0x21
# The bytes of the addresses of each kind that is defined.
_ADDRESS_BYTES = {
    0x00: 0,
    _TCP4: 12,
    0x12: 12,
    _TCP6: 36,
    0x22: 36,
    0x31: 216,
    0x32: 216,
}


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyHeader:
    """What a proxy says of a connection.

    Both are None if the connection is the proxy's own, such as a health check (``LOCAL``), or not
    one over TCP: then the addresses of the transport hold.

    Attributes:
      source: The address and port of the client.
      destination: The address and port that the client has connected to.
    """

    source: tuple[str, int] | None = None
    destination: tuple[str, int] | None = None


def read_proxy_header(data: bytes) -> tuple[ProxyHeader, int] | None:
    """Read a header of version 1 or 2 off the first bytes of a connection.

    Returns:
      The header and its length in bytes; None if more bytes are needed.

    Raises:
      ValueError: It is malformed or too long. The message is one printable line.
    """
    if data.startswith(_SIGNATURE):
        return _read_v2(data)
    if data.startswith(_LINE):
        return _read_v1(data)
    if _SIGNATURE.startswith(data) or _LINE.startswith(data):
        return None
    raise ValueError(f"no header, but {data[:12]!r}")


def _read_v1(data: bytes) -> tuple[ProxyHeader, int] | None:
    end = data.find(b"\r\n", 0, _MAX_LINE_BYTES) + 2
    if end < 2:
        if len(data) < _MAX_LINE_BYTES:
            return None
        raise ValueError(f"a line of more than {_MAX_LINE_BYTES} bytes")
    line = data[:end].decode("latin-1")
    # What follows UNKNOWN is to be ignored.
    if line.startswith((f"{_UNKNOWN}\r", f"{_UNKNOWN} ")):
        return ProxyHeader(), end
    match = _TCP.fullmatch(line)
    if match is None:
        raise ValueError(f"a malformed line: {line[:-2]!r}")
    return (
        ProxyHeader(source=_address(match, "source"), destination=_address(match, "destination")),
        end,
    )


def _address(match: re.Match[str], which: str) -> tuple[str, int]:
    text, port = match[which], int(match[f"{which}_port"])
    if port > _MAX_PORT or (":" in text) != (match["version"] == "6"):
        raise ValueError(f"a malformed address: {text!r} port {port}")
    try:
        return str(parse_ip(text)), port
    except ValueError:
        raise ValueError(f"a malformed address: {text!r}") from None


def _read_v2(data: bytes) -> tuple[ProxyHeader, int] | None:
    if len(data) < _FIXED_BYTES:
        return None
    command, kind, length = struct.unpack_from("!BBH", data, len(_SIGNATURE))
    if command >> 4 != 2:
        raise ValueError(f"version {command >> 4}; there are 1 and 2")
    command &= 0xF
    if command not in {_LOCAL, _PROXY}:
        raise ValueError(f"command {command:#x}, which is not defined")
    if length > _MAX_V2_BYTES:
        raise ValueError(
            f"{length} bytes of addresses and extensions; the limit is {_MAX_V2_BYTES}"
        )
    end = _FIXED_BYTES + length
    if command == _PROXY and kind not in _ADDRESS_BYTES:
        raise ValueError(f"addresses of kind {kind:#04x}, which is not defined")
    if command == _PROXY and length < _ADDRESS_BYTES[kind]:
        raise ValueError(f"{length} bytes, too few for addresses of kind {kind:#04x}")
    if len(data) < end:
        return None
    if command == _LOCAL or kind not in {_TCP4, _TCP6}:
        return ProxyHeader(), end
    form, ip = ("!4s4sHH", IPv4Address) if kind == _TCP4 else ("!16s16sHH", IPv6Address)
    source, destination, *ports = struct.unpack_from(form, data, _FIXED_BYTES)
    # Again as text: it may be an IPv4 address that was mapped into IPv6.
    source, destination = (str(parse_ip(str(ip(each)))) for each in (source, destination))
    return (
        ProxyHeader(source=(source, ports[0]), destination=(destination, ports[1])),
        end,
    )
