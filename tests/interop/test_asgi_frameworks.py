"""Starlette and FastAPI on our server, over sockets, asked by httpx."""

from __future__ import annotations

import logging
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import trio
from fastapi import Depends, FastAPI, UploadFile, WebSocket
from fastapi.responses import FileResponse as FastFileResponse
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.endpoints import HTTPEndpoint
from starlette.middleware import Middleware
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request  # noqa: TC002 (Starlette reads annotations)
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles

import trillium_trio as tt
from trillium_trio.asgi import Asgi
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from starlette.websockets import WebSocket as StarletteWebSocket

UPLOAD = bytes(range(256)) * 8192  # 2 MiB


async def numbers() -> AsyncIterator[str]:
    for number in range(10):
        yield f"{number}\n"
        await anyio.lowlevel.checkpoint()


def sync_numbers() -> Iterator[str]:
    for number in range(10):
        yield f"{number}\n"


@asynccontextmanager
async def lifespan(app: Any) -> AsyncIterator[dict[str, object]]:
    done: list[str] = []
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(anyio.lowlevel.checkpoint)
        yield {"done": done, "number": 42}
    done.append("shutdown")


def starlette(folder: Path) -> Starlette:
    async def hello(request: Request) -> PlainTextResponse:
        return PlainTextResponse("hello")

    def sync(request: Request) -> JSONResponse:
        return JSONResponse({"path": request.url.path})

    async def stream(request: Request) -> StreamingResponse:
        return StreamingResponse(numbers())

    async def upload(request: Request) -> PlainTextResponse:
        return PlainTextResponse(str(len(await request.body())))

    async def background(request: Request) -> PlainTextResponse:
        async def work() -> None:
            await anyio.lowlevel.checkpoint()
            request.state.done.append("background")

        return PlainTextResponse("begun", background=BackgroundTask(work))

    async def state(request: Request) -> JSONResponse:
        return JSONResponse([request.state.number, request.state.done])

    async def file(request: Request) -> FileResponse:
        return FileResponse(folder / "file.txt")

    async def fails(request: Request) -> PlainTextResponse:
        raise ValueError("boom")

    async def slow(request: Request) -> PlainTextResponse:
        await request.scope["extensions"]["trillium.shutdown"].shutting_down()
        return PlainTextResponse("finished")

    async def chat(ws: StarletteWebSocket) -> None:
        await ws.accept()
        async for text in ws.iter_text():
            await ws.send_text(text.upper())

    class Endpoint(HTTPEndpoint):
        async def get(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("x" * 5000)

    async def dispatch(request: Request, call_next: Any) -> Any:
        response = await call_next(request)
        response.headers["x-middleware"] = "1"
        return response

    return Starlette(
        lifespan=lifespan,
        routes=[
            Route("/", hello),
            Route("/sync", sync),
            Route("/stream", stream),
            Route("/upload", upload, methods=["POST"]),
            Route("/background", background),
            Route("/state", state),
            Route("/file", file),
            Route("/fails", fails),
            Route("/slow", slow),
            WebSocketRoute("/chat", chat),
            Mount("/static", StaticFiles(directory=folder)),
            Mount(
                "/wrapped",
                routes=[Route("/stream", stream), Route("/large", Endpoint)],
                middleware=[
                    Middleware(BaseHTTPMiddleware, dispatch=dispatch),
                    Middleware(GZipMiddleware),
                ],
            ),
        ],
    )


def fastapi(folder: Path) -> FastAPI:
    app = FastAPI(lifespan=lifespan)

    async def resource() -> AsyncIterator[str]:
        yield "resource"

    def sync_resource() -> Iterator[str]:
        yield "sync resource"

    @app.get("/")
    async def hello() -> str:
        return "hello"

    @app.get("/depends")
    async def depends(one: str = Depends(resource), two: str = Depends(sync_resource)) -> list[str]:
        return [one, two]

    @app.get("/stream")
    def stream() -> StreamingResponse:
        return StreamingResponse(sync_numbers())

    @app.post("/form")
    async def form(file: UploadFile) -> int:
        return len(await file.read())

    @app.get("/file")
    async def file() -> FastFileResponse:
        return FastFileResponse(folder / "file.txt")

    @app.websocket("/chat")
    async def chat(ws: WebSocket) -> None:
        await ws.accept()
        while True:
            await ws.send_text((await ws.receive_text()).upper())

    # Annotations are text in this module, and these names are local.
    return app


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "file.txt").write_bytes(b"content of the file")
    return tmp_path


@asynccontextmanager
async def client_of(app: Any) -> AsyncIterator[tuple[httpx.AsyncClient, tt.ServerHandle]]:
    config = tt.config().with_port(0).without_signals().with_drain_timeout(10)
    async with (
        config.serving(Asgi(app)) as handle,
        httpx.AsyncClient(base_url=handle.url, timeout=20) as client,
    ):
        yield client, handle


async def test_starlette(folder: Path) -> None:
    async with client_of(starlette(folder)) as (client, _):
        assert (await client.get("/")).text == "hello"
        assert (await client.head("/")).headers["content-length"] == "5"
        assert (await client.get("/sync")).json() == {"path": "/sync"}
        assert (await client.get("/stream")).text == "".join(f"{n}\n" for n in range(10))
        assert (await client.post("/upload", content=UPLOAD)).text == str(len(UPLOAD))
        assert (await client.get("/missing")).status_code == 404
        assert (await client.post("/")).status_code == 405
        assert (await client.get("/background")).text == "begun"
        assert (await client.get("/state")).json() == [42, ["background"]]


async def test_starlettes_files(folder: Path) -> None:
    async with client_of(starlette(folder)) as (client, _):
        for path in ("/file", "/static/file.txt"):
            response = await client.get(path)
            assert response.content == b"content of the file"
            assert response.headers["content-length"] == "19"
            part = await client.get(path, headers={"range": "bytes=0-6"})
            assert (part.status_code, part.content) == (206, b"content")
            etag = {"if-none-match": response.headers["etag"]}
            again = await client.get(path, headers=etag)
            assert again.status_code in {200, 304}
        assert (await client.head("/file")).headers["content-length"] == "19"


async def test_starlettes_middleware(folder: Path) -> None:
    async with client_of(starlette(folder)) as (client, _):
        response = await client.get("/wrapped/stream")
        assert response.headers["x-middleware"] == "1"
        assert response.text == "".join(f"{n}\n" for n in range(10))
        response = await client.get("/wrapped/large")
        assert response.headers["content-encoding"] == "gzip"
        assert response.text == "x" * 5000


async def test_starlettes_error(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with client_of(starlette(folder)) as (client, _):
        response = await client.get("/fails")
        assert (response.status_code, response.text) == (500, "Internal Server Error")
        assert (await client.get("/")).text == "hello"
    assert sum(each.levelno >= logging.ERROR for each in caplog.records) == 1
    assert "boom" in caplog.text


async def test_starlettes_websocket(folder: Path) -> None:
    async with TestServer(Asgi(starlette(folder))) as server:
        async with server.websocket("/chat") as ws:
            await ws.send("hello")
            assert await ws.receive() == "HELLO"
        async with server.websocket("/chat") as ws:
            await ws.send("again")
            assert await ws.receive() == "AGAIN"
            server.shut_down()
            assert [each async for each in ws] == []
            assert ws.close_code == 1001


async def test_a_drain_while_starlette_is_busy(folder: Path) -> None:
    async with client_of(starlette(folder)) as (client, handle):
        responses = []

        async def ask() -> None:
            responses.append(await client.get("/slow"))

        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(ask)
            while handle.swansong.guard_count < 5:
                await trio.lowlevel.checkpoint()
            handle.shut_down()
        assert [each.text for each in responses] == ["finished"] * 5
        assert (await handle).is_clean


async def test_fastapi(folder: Path) -> None:
    async with client_of(fastapi(folder)) as (client, _):
        assert (await client.get("/")).json() == "hello"
        assert (await client.get("/depends")).json() == ["resource", "sync resource"]
        assert (await client.get("/stream")).text == "".join(f"{n}\n" for n in range(10))
        form = await client.post("/form", files={"file": ("name", UPLOAD)})
        assert form.json() == len(UPLOAD)
        assert (await client.get("/file")).content == b"content of the file"
        assert "swagger" in (await client.get("/docs")).text
        assert (await client.get("/openapi.json")).json()["openapi"]


async def test_fastapis_websocket(folder: Path) -> None:
    async with TestServer(Asgi(fastapi(folder))) as server, server.websocket("/chat") as ws:
        await ws.send("hello")
        assert await ws.receive() == "HELLO"
