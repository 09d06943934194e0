"""aiohttp. Run as ``python -m benchmarks.load.aiohttp_server PORT``; on uvloop if it is there."""

from __future__ import annotations

import asyncio
import sys
import time

from aiohttp import web

from benchmarks.load.payload import BLOCK_SECONDS, DOWNLOAD_BYTES, HELLO, PIECE, SLOW_SECONDS

try:
    import uvloop
except ImportError:
    new_event_loop = asyncio.new_event_loop
else:
    new_event_loop = uvloop.new_event_loop


async def hello(request: web.Request) -> web.StreamResponse:
    return web.Response(body=HELLO, content_type="text/plain")


async def echo(request: web.Request) -> web.StreamResponse:
    return web.Response(body=await request.read())


async def upload(request: web.Request) -> web.StreamResponse:
    size = 0
    async for piece in request.content.iter_any():
        size += len(piece)
    return web.Response(text=str(size))


async def download(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    response.content_length = DOWNLOAD_BYTES
    await response.prepare(request)
    for _ in range(DOWNLOAD_BYTES // len(PIECE)):
        await response.write(PIECE)
    await response.write_eof()
    return response


async def slow(request: web.Request) -> web.StreamResponse:
    await asyncio.sleep(SLOW_SECONDS)
    return await hello(request)


async def block(request: web.Request) -> web.StreamResponse:
    time.sleep(BLOCK_SECONDS)
    return await hello(request)


def main(port: int) -> None:
    app = web.Application(client_max_size=2 * DOWNLOAD_BYTES)
    app.router.add_get("/", hello)
    app.router.add_post("/echo", echo)
    app.router.add_post("/upload", upload)
    app.router.add_get("/download", download)
    app.router.add_get("/slow", slow)
    app.router.add_get("/block", block)
    web.run_app(
        app,
        host="127.0.0.1",
        port=port,
        access_log=None,
        print=None,
        loop=new_event_loop(),
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
