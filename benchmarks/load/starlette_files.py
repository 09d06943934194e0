"""The files of `trillium_files` for Starlette.

Run under uvicorn as ``benchmarks.load.starlette_files:app``.
"""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.staticfiles import StaticFiles

from benchmarks.load.payload import make_files

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from starlette.requests import Request


async def front_page(request: Request) -> PlainTextResponse:
    return PlainTextResponse("files")


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncIterator[None]:
    with make_files() as folder:
        app.mount("/files", StaticFiles(directory=folder))
        yield


app = Starlette(routes=[Route("/", front_page)], lifespan=lifespan)
