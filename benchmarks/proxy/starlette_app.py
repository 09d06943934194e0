"""A proxy as it is often written: Starlette, and httpx2 with streams both ways."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import httpx2
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.responses import StreamingResponse
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

LEFT_OUT = {b"host", b"connection", b"transfer-encoding", b"keep-alive"}

client = httpx2.AsyncClient(
    base_url=f"http://127.0.0.1:{os.environ.get('UPSTREAM', '9')}",
    limits=httpx2.Limits(max_connections=100, max_keepalive_connections=100),
    timeout=60,
)


async def proxy(request: Request) -> StreamingResponse:
    """Pass a request on."""
    out = client.build_request(
        request.method,
        request.url.path,
        headers=[each for each in request.headers.raw if each[0] not in LEFT_OUT],
        content=None if request.method == "GET" else request.stream(),
    )
    answer = await client.send(out, stream=True)
    response = StreamingResponse(
        answer.aiter_raw(), answer.status_code, background=BackgroundTask(answer.aclose)
    )
    response.raw_headers = [
        (name.lower(), value) for name, value in answer.headers.raw if name.lower() not in LEFT_OUT
    ]
    return response


app = Starlette(routes=[Route("/{path:path}", proxy, methods=["GET", "POST"])])
