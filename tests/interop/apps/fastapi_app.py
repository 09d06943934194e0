"""FastAPI."""

from fastapi import FastAPI, Request, UploadFile, WebSocket, WebSocketDisconnect
from fastapi.responses import PlainTextResponse, StreamingResponse

from tests.interop.apps import lines, lines_until_stop, wait_for_stop

app = FastAPI(default_response_class=PlainTextResponse)


@app.get("/")
async def hello() -> str:
    return "hello"


@app.get("/sync")
def sync() -> str:
    return "sync"


@app.get("/stream")
async def stream() -> StreamingResponse:
    return StreamingResponse(lines())


@app.post("/upload")
async def upload(request: Request) -> str:
    return str(len(await request.body()))


@app.post("/form")
async def form(file: UploadFile) -> str:
    return str(len(await file.read()))


@app.get("/slow")
async def slow(request: Request) -> str:
    await wait_for_stop(request.scope)
    return "finished"


@app.get("/endless")
async def endless(request: Request) -> StreamingResponse:
    return StreamingResponse(lines_until_stop(request.scope))


@app.websocket("/echo")
async def echo(ws: WebSocket) -> None:
    await ws.accept()
    try:
        while True:
            await ws.send_text(await ws.receive_text())
    except WebSocketDisconnect:
        pass
