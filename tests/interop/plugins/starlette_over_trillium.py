"""Sends what Starlette's TestClient asks through a server of ours, in memory.

The suite that it is loaded into has a package ``tests`` of its own, so this imports none of ours.
One server runs in a thread, and serves whatever application is asked. What the client says of its
own accord (the state of its lifespan, ``root_path``, who it is) is put into the scope; what it
asks beside HTTP (``http.response.debug``, the application's exception) is passed beside it.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import httpx2
import pytest
import trio
from starlette import testclient

from trillium_trio.asgi import Asgi
from trillium_trio.codec import _head
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trillium_trio.asgi import Message, Receive, Scope, Send
    from trillium_trio.testing import TestResponse

ID = "x-trillium-call"
# What a server adds, and Starlette's own client has not.
ADDED = {"connection", "date", "server", "transfer-encoding"}
# A test that waits for what cannot come fails, and does not hold up the others.
PATIENCE = 2


class Call:
    """One request of the client, and what is to be known of it beside the response."""

    def __init__(self, transport: Any, request: httpx2.Request) -> None:
        self.transport = transport
        self.request = request
        # What only this plugin says.
        self.extra = [(ID.encode(), str(id(self)).encode()), (b"te", b"trailers")]
        self.debug: dict[str, Any] | None = None
        self.failure: BaseException | None = None
        # None: the server has answered by itself.
        self.done: trio.Event | None = None
        self.has_trailers = False

    async def run(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.done = trio.Event()
        transport, url = self.transport, self.request.url
        scope["headers"] = [each for each in scope["headers"] if each not in self.extra]
        scope["extensions"] = {**scope["extensions"], "http.response.debug": {}}
        scope["state"] = transport.app_state.copy()
        scope["root_path"] = transport.root_path
        scope["scheme"] = url.scheme
        scope["client"] = transport.client
        default = {"http": 80, "https": 443}[url.scheme]
        scope["server"] = [url.raw_host.decode("ascii"), url.port or default]

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.debug":
                self.debug = message["info"]
            else:
                self.has_trailers |= message.get("trailers", False)
                await send(message)

        try:
            await transport.app(scope, receive, send_on)
        except BaseException as error:
            self.failure = error
            raise
        finally:
            self.done.set()


class Server:
    """A server in a thread of its own."""

    def __init__(self) -> None:
        self.calls: dict[str, Call] = {}
        self.is_ready = threading.Event()
        self.thread = threading.Thread(target=trio.run, args=(self.serve,), daemon=True)
        self.thread.start()
        self.is_ready.wait()

    async def serve(self) -> None:
        self.token = trio.lowlevel.current_trio_token()
        self.stop = trio.Event()
        async with TestServer(Asgi(self.app)) as self.server:
            self.is_ready.set()
            await self.stop.wait()

    def end(self) -> None:
        trio.from_thread.run_sync(self.stop.set, trio_token=self.token)
        self.thread.join()

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "the client has its lifespans itself"
        [number] = [value for name, value in scope["headers"] if name == ID.encode()]
        await self.calls[number.decode()].run(scope, receive, send)

    def handle(self, call: Call) -> httpx2.Response:
        number = str(id(call))
        self.calls[number] = call
        try:
            found = trio.from_thread.run(self.ask, call, trio_token=self.token)
        finally:
            del self.calls[number]
        if call.failure is not None and call.transport.raise_server_exceptions:
            raise call.failure
        fields = [each for each in found.headers.raw if each[0].decode().lower() not in ADDED]
        response = httpx2.Response(
            found.status,
            headers=fields,
            stream=httpx2.ByteStream(found.body),
            request=call.request,
        )
        if call.has_trailers:
            response.extensions["http.response.trailers"] = found.trailers.raw_lower
        if call.debug is not None:
            response.extensions["http.response.debug"] = call.debug
            for name in ("template", "context"):
                if name in call.debug:
                    setattr(response, name, call.debug[name])
        return response

    async def ask(self, call: Call) -> TestResponse:
        request = call.request
        body: Any = request.read()
        if "transfer-encoding" in request.headers:
            body = in_one_piece(body)
        headers = [
            (name.decode("ascii"), value.decode("latin-1"))
            for name, value in [*request.headers.raw, *call.extra]
            if name.lower() != b"transfer-encoding"
        ]
        with trio.fail_after(PATIENCE):
            async with self.server.session() as session:
                response = await session.request(
                    request.method,
                    request.url.raw_path.decode("ascii"),
                    headers=headers,
                    body=body,
                )
                # After its end, there may be more to it: an exception, or background work.
                if call.done is not None:
                    await call.done.wait()
        return response


async def in_one_piece(body: bytes) -> AsyncIterator[bytes]:
    yield body


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--no-lane", action="store_true", help="read every request head with h11")


def pytest_configure(config: pytest.Config) -> None:
    patch = pytest.MonkeyPatch()
    config.add_cleanup(patch.undo)
    if config.getoption("no_lane"):
        patch.setattr(_head, "read_regular", lambda *_: None)
    server = Server()
    config.add_cleanup(server.end)
    transport = testclient._TestClientTransport
    original = transport.handle_request

    def handle_request(self: Any, request: httpx2.Request) -> httpx2.Response:
        if request.url.scheme in {"ws", "wss"}:
            return original(self, request)
        return server.handle(Call(self, request))

    patch.setattr(transport, "handle_request", handle_request)
