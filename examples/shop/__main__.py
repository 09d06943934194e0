"""Serves the shop over HTTPS, redirects plain HTTP to it, and tells administrators how it is.

HTTPS, HTTP and ADMIN say where, as ``HOST:PORT`` or ``fd:NUMBER``; CERTIFICATE and KEY are files.
"""

import logging
import os
import ssl
import sys

import trio

import trillium_trio as tt
from trillium_trio.handlers import Admin, Logger, RedirectHttps

from .app import app


async def main() -> bool:
    """Serve until a signal comes; return whether nothing was cut off."""
    setting = os.environ.get
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(setting("CERTIFICATE", "shop.crt"), setting("KEY", "shop.key"))
    https_address = setting("HTTPS", "localhost:8443")
    port = https_address.rpartition(":")[2]

    swansong = tt.Swansong(name="shop")
    config = tt.config().with_drain_timeout(20)
    shared = config.with_swansong(swansong)
    https = shared.with_signals().bind_tls(https_address, tls).server((Logger("combined"), app))
    redirect = RedirectHttps(port=int(setting("HTTPS_PORT", port)))
    http = shared.bind_tcp(setting("HTTP", "localhost:8080")).server(redirect)

    async with trio.open_nursery() as nursery:
        servers = [await nursery.start(each.serve) for each in (https, http)]
        # It has a swansong of its own, so it still answers while the others drain.
        admin = Admin(swansong, servers=servers, title="shop")
        async with config.bind_tcp(setting("ADMIN", "localhost:9000")).serving(admin):
            report = await swansong
    return report.is_clean


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    sys.exit(0 if trio.run(main) else 1)
