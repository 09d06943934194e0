"""A small FastAPI application: a greeting, and a route with a parameter behind two middlewares.

Run it under uvicorn as ``benchmarks.load.fastapi_app:app``, and under our command line.
"""

from __future__ import annotations

from fastapi import FastAPI
from fastapi import Request as FastRequest
from starlette.middleware import Middleware

from benchmarks.load.starlette_app import Authenticate, ServedBy

app = FastAPI()
routed = FastAPI(middleware=[Middleware(ServedBy), Middleware(Authenticate)])


@app.get("/")
async def hello() -> dict[str, str]:
    return {"hello": "world"}


@routed.get("/")
async def front_page() -> str:
    return "the front page"


@routed.get("/articles/{ident}")
async def article(ident: str) -> str:
    return f"article {ident}"


@routed.get("/users/{ident}")
async def user(ident: int, request: FastRequest) -> dict[str, object]:
    return {"id": ident, "by": request.scope["caller"]}
