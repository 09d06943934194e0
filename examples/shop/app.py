"""The shop as one handler: first what stands around the pages, then the pages."""

from pathlib import Path
from uuid import uuid4

from trillium_trio.handlers import (
    Compression,
    Csrf,
    ErrorPages,
    Forms,
    Health,
    PostgresStore,
    Router,
    SecurityHeaders,
    Sessions,
    Static,
    Templates,
)

from . import accounts, live, orders, pictures, products, service
from .database import db

HERE = Path(__file__).parent

app = (
    Health(),
    SecurityHeaders(content_security_policy="default-src 'self'"),
    ErrorPages(),
    Compression(),
    Router().mount("/static", Static(HERE / "static")),
    db,
    Sessions(store=PostgresStore(db)),
    Csrf(),
    Forms(max_files=1, max_file_bytes=1024 * 1024),
    Templates(
        HERE / "templates",
        context=lambda conn: {"user": Sessions.of(conn).get("user")},
        globals={"uuid4": uuid4},
    ),
    products.router,
    accounts.router,
    pictures.router,
    orders.router,
    service.docs,
    service.router,
    live.news,
    live.router,
)
