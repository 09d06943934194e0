"""The application of `trillium_site` for Starlette, with its own middleware.

Run under uvicorn as ``benchmarks.load.starlette_site:app``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.sessions import SessionMiddleware
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from benchmarks.load.payload import DOCUMENT, KEY

if TYPE_CHECKING:
    from starlette.requests import Request


async def front_page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("the front page")


async def document(request: Request) -> Response:
    return Response(DOCUMENT, media_type="application/json")


async def count(request: Request) -> PlainTextResponse:
    request.session["n"] = request.session.get("n", 0) + 1
    return PlainTextResponse(str(request.session["n"]))


app = Starlette(
    routes=[
        Route("/", front_page),
        Route("/document", document),
        Route("/count", count),
    ],
    middleware=[
        Middleware(GZipMiddleware, compresslevel=6),
        Middleware(SessionMiddleware, secret_key=KEY),
    ],
)
