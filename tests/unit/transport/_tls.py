"""A certificate for localhost, self-signed and valid for a hundred years, and contexts for it."""

from __future__ import annotations

import ssl
from pathlib import Path

PEM = Path(__file__).with_name("localhost.pem")


def server_context(*alpn: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    context.set_alpn_protocols(alpn)
    return context


def client_context(*alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(PEM))
    context.set_alpn_protocols(alpn)
    return context
