"""The shop in memory: no sockets, but the real database that DATABASE_URL names."""

import json
from uuid import uuid4

from trillium_trio.testing import TestServer

from .app import app

FORM = {"content-type": "application/x-www-form-urlencoded"}


async def log_in(server: TestServer) -> dict[str, str]:
    response = await server.post("/login", body="name=ada&password=secret", headers=FORM)
    response.assert_status(303)
    return {"cookie": response.headers["set-cookie"].partition(";")[0]}


async def test_products_are_shown() -> None:
    async with TestServer(app) as server:
        response = await server.get("/products/1", headers={"accept": "text/html"})
        assert "<h1>Tea</h1>" in response.assert_ok().text
        (await server.get("/products/9")).assert_status(404)


async def test_an_order_that_is_sent_twice_is_one() -> None:
    async with TestServer(app) as server:
        cookie = await log_in(server)
        body = f"key={uuid4()}&quantity=2"
        for _ in range(2):
            response = await server.post("/products/1/order", body=body, headers=FORM | cookie)
            response.assert_status(303).assert_header("location", "/orders")
        orders = (await server.get("/api/orders", headers=cookie)).assert_ok().json()
        assert len({order["id"] for order in orders}) == len(orders)
        assert orders[-1]["product"] == "Tea"


async def test_a_restart_loses_no_message() -> None:
    key = str(uuid4())
    async with TestServer(app) as server:
        cookie = await log_in(server)
        async with server.websocket("/live/chat?0", headers=cookie) as ws:
            await ws.send(json.dumps([key, "hello"]))
            messages = [await ws.receive_json(), await ws.receive_json()]
            assert {"stored": key} in messages
            server.shut_down()
            assert [message async for message in ws] == []
            assert ws.close_code == 1001

    async with TestServer(app) as server, server.websocket("/live/chat?0", headers=cookie) as ws:
        assert (await ws.receive_json())["text"] == "hello"
