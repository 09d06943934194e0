"""Connexion: functions behind an OpenAPI document. It has no WebSockets."""

from __future__ import annotations

from connexion import AsyncApp
from connexion.context import scope
from starlette.responses import PlainTextResponse, StreamingResponse

from tests.interop.apps import lines, lines_until_stop, wait_for_stop


async def hello() -> PlainTextResponse:
    return PlainTextResponse("hello")


def sync() -> PlainTextResponse:
    return PlainTextResponse("sync")


async def stream() -> StreamingResponse:
    return StreamingResponse(lines())


async def upload(body: bytes) -> PlainTextResponse:
    return PlainTextResponse(str(len(body)))


async def slow() -> PlainTextResponse:
    await wait_for_stop(scope)
    return PlainTextResponse("finished")


async def endless() -> StreamingResponse:
    return StreamingResponse(lines_until_stop(scope))


def operation(name: str, **more: object) -> dict[str, object]:
    text = {"description": name, "content": {"text/plain": {"schema": {"type": "string"}}}}
    return {"operationId": f"{__name__}.{name}", "responses": {"200": text}, **more}


BINARY = {"schema": {"type": "string", "format": "binary"}}

app = AsyncApp(__name__)
app.add_api(
    {
        "openapi": "3.0.0",
        "info": {"title": "interop", "version": "1"},
        "paths": {
            "/": {"get": operation("hello")},
            "/sync": {"get": operation("sync")},
            "/stream": {"get": operation("stream")},
            "/upload": {
                "post": operation(
                    "upload", requestBody={"content": {"application/octet-stream": BINARY}}
                )
            },
            "/slow": {"get": operation("slow")},
            "/endless": {"get": operation("endless")},
        },
    }
)
