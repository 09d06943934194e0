"""Runs the columns of the pages "Coming from ...", each with its framework's own test client."""

from __future__ import annotations

import asyncio
import sys
import threading
import types
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.cookies import SimpleCookie
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import trio
from aiohttp.test_utils import TestClient as AiohttpClient
from aiohttp.test_utils import TestServer as AiohttpServer
from starlette.testclient import TestClient as StarletteClient
from websockets.sync.client import connect
from werkzeug.serving import make_server

from tests.e2e._command import PATIENCE
from trillium_trio.testing import TestServer

# The frameworks' own types of an application have nothing in common.
App: TypeAlias = Any


@dataclass(frozen=True, kw_only=True)
class Ask:
    """A request, and what of its answer is the same in both columns.

    Attributes:
      fact: What is compared beside the status.
      differs: The status of a framework that is known to answer otherwise; then nothing else is
        compared.
    """

    method: str = "GET"
    path: str = "/"
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    fact: Callable[[Answer], object] = lambda answer: answer.text
    differs: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def media_type(self) -> str:
        message = Message()
        message["content-type"] = self.headers["content-type"]
        return message.get_content_type()

    @property
    def location(self) -> str:
        """The path alone: some send a whole URL."""
        return urlsplit(self.headers["location"]).path

    @property
    def cookie(self) -> str:
        """The cookie that was set, as a client sends it back."""
        return self.headers["set-cookie"].partition(";")[0]

    @property
    def cookies(self) -> dict[str, dict[str, object]]:
        """The cookies that were set, with their attributes; Expires repeats Max-Age."""
        found = SimpleCookie(self.headers["set-cookie"])
        return {
            name: {
                "value": each.value,
                **{k: str(v).lower() for k, v in each.items() if v and k != "expires"},
            }
            for name, each in found.items()
        }


Talk: TypeAlias = Generator[Ask, Answer, None]


class Conversation:
    """The requests of a section; a later one may depend on the answer to an earlier one."""

    def __init__(self, talk: Talk) -> None:
        self._talk = talk
        self.next = next(talk, None)
        self.heard: list[tuple[Ask, Answer]] = []

    def hear(self, status: int, headers: Any, body: bytes) -> None:
        assert self.next is not None
        fields = {name.lower(): value for name, value in headers.items()}
        answer = Answer(status=status, headers=fields, body=body)
        self.heard.append((self.next, answer))
        try:
            self.next = self._talk.send(answer)
        except StopIteration:
            self.next = None


def module_of(name: str, source: str, names: Mapping[str, object] = {}) -> types.ModuleType:
    """Run a block in a module of its own, which has these names to begin with."""
    module = types.ModuleType(name)
    vars(module).update(names)
    # Known to sys.modules, because dataclasses and annotations are looked up there.
    sys.modules[name] = module
    try:
        exec(compile(source, name, "exec", dont_inherit=True), vars(module))
    except BaseException:
        del sys.modules[name]
        raise
    return module


def talk_to_ours(app: App, conversation: Conversation) -> None:
    async def talk() -> None:
        async with TestServer(app) as server:
            while (ask := conversation.next) is not None:
                response = await server.request(
                    ask.method, ask.path, headers=ask.headers, body=ask.body
                )
                conversation.hear(response.status, response.headers, response.body)

    trio.run(talk)


def talk_to_flask(app: App, conversation: Conversation) -> None:
    before = set(threading.enumerate())
    client = app.test_client(use_cookies=False)
    while (ask := conversation.next) is not None:
        response = client.open(ask.path, method=ask.method, headers=ask.headers, data=ask.body)
        conversation.hear(response.status_code, response.headers, response.data)
        response.close()
    # Nothing else waits for what it does after a response.
    for thread in set(threading.enumerate()) - before:
        thread.join(PATIENCE)


def talk_to_fastapi(app: App, conversation: Conversation) -> None:
    with StarletteClient(app, raise_server_exceptions=False, follow_redirects=False) as client:
        while (ask := conversation.next) is not None:
            response = client.request(ask.method, ask.path, headers=ask.headers, content=ask.body)
            client.cookies.clear()
            conversation.hear(response.status_code, response.headers, response.content)


def talk_to_quart_trio(app: App, conversation: Conversation) -> None:
    async def talk() -> None:
        async with app.test_app():
            client = app.test_client(use_cookies=False)
            while (ask := conversation.next) is not None:
                response = await client.open(
                    ask.path, method=ask.method, headers=ask.headers, data=ask.body
                )
                body = await response.get_data(as_text=False)
                conversation.hear(response.status_code, response.headers, body)

    trio.run(talk)


def talk_to_aiohttp(app: App, conversation: Conversation) -> None:
    async def talk() -> None:
        async with AiohttpClient(AiohttpServer(app)) as client:
            while (ask := conversation.next) is not None:
                async with client.request(
                    ask.method,
                    ask.path,
                    headers=ask.headers,
                    data=ask.body or None,
                    allow_redirects=False,
                ) as response:
                    body = await response.read()
                client.session.cookie_jar.clear()
                conversation.hear(response.status, response.headers, body)

    asyncio.run(talk())


TALK: dict[str, Callable[[App, Conversation], None]] = {
    "flask": talk_to_flask,
    "fastapi": talk_to_fastapi,
    "aiohttp": talk_to_aiohttp,
    "quart-trio": talk_to_quart_trio,
}


async def _ours(app: App, path: str, text: str) -> object:
    async with TestServer(app) as server, server.websocket(path) as ws:
        await ws.send(text)
        return await ws.receive()


def _flask(app: App, path: str, text: str) -> object:
    # Its test client has no WebSockets.
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        with connect(f"ws://127.0.0.1:{server.server_port}{path}") as ws:
            ws.send(text)
            return ws.recv(PATIENCE)
    finally:
        server.shutdown()
        thread.join(PATIENCE)
        server.server_close()


def _fastapi(app: App, path: str, text: str) -> object:
    with StarletteClient(app) as client, client.websocket_connect(path) as ws:
        ws.send_text(text)
        return ws.receive_text()


async def _quart_trio(app: App, path: str, text: str) -> object:
    async with app.test_client().websocket(path) as ws:
        await ws.send(text)
        return await ws.receive()


async def _aiohttp(app: App, path: str, text: str) -> object:
    async with AiohttpClient(AiohttpServer(app)) as client, client.ws_connect(path) as ws:
        await ws.send_str(text)
        return await ws.receive_str()


ECHO: dict[str, Callable[[App, str, str], object]] = {
    "ours": lambda *args: trio.run(_ours, *args),
    "flask": _flask,
    "fastapi": _fastapi,
    "aiohttp": lambda *args: asyncio.run(_aiohttp(*args)),
    "quart-trio": lambda *args: trio.run(_quart_trio, *args),
}

RUN_TEST: dict[str, Callable[[Any], object]] = {
    "ours": trio.run,
    "flask": lambda test: test(),
    "fastapi": lambda test: test(),
    "aiohttp": lambda test: asyncio.run(test()),
    "quart-trio": trio.run,
}
