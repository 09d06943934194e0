"""The clauses of docs/spec/admin.md; tests/interop/test_admin_page.py tries the page itself."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trillium_trio as tt
from tests.unit.server._serving import running
from tests.wire import settled
from trillium_trio.conn import Info
from trillium_trio.handlers import Admin, Metrics
from trillium_trio.http import TypeMap
from trillium_trio.testing import TestServer
from trillium_trio.transport import Listener

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trio.testing import MockClock

    from trillium_trio.testing import EventReader, TestResponse

TOKEN = "correct-horse-battery"
HOST = {"host": "localhost:9000"}


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(3)
    return conn.ok("slow")


class NoStarter:
    def start_background(self, fn: object, args: object) -> None:
        raise AssertionError

    def start_service(self, fn: object, args: object) -> None:
        raise AssertionError


async def init(admin: Admin, *listeners: Listener) -> None:
    await admin.init(
        Info(
            config=tt.Config(),
            swansong=tt.Swansong(),
            listeners=listeners,
            shared=TypeMap(),
            starter=NoStarter(),
        )
    )


def tcp(host: str) -> Listener:
    return Listener(kind="tcp", address=(host, 9000))


UNIX = Listener(kind="unix", address="/run/admin")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1"])
async def test_ad_1_loopback(host: str) -> None:
    await init(Admin(tt.Swansong()), tcp(host), UNIX)
    with pytest.raises(tt.ConfigError, match="with actions"):
        await init(Admin(tt.Swansong(), actions=True), UNIX, tcp(host))
    await init(Admin(tt.Swansong(), actions=True), UNIX)
    await init(Admin(tt.Swansong(), actions=True, token=TOKEN), tcp(host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "fe80::1%eth0", "2001:db8::1"])
async def test_ad_1_other_addresses_need_a_token(host: str) -> None:
    with pytest.raises(tt.ConfigError, match="from other machines"):
        await init(Admin(tt.Swansong()), UNIX, tcp(host))
    await init(Admin(tt.Swansong(), token=TOKEN), tcp(host))


async def test_ad_1_the_server_does_not_start() -> None:
    admin = tt.Config().bind_tcp("0.0.0.0:0").without_signals()
    with pytest.raises(tt.ConfigError, match="from other machines"):
        await admin.server(Admin(tt.Swansong())).serve()


def basic(text: str) -> str:
    return f"Basic {base64.b64encode(text.encode()).decode()}"


@pytest.mark.parametrize(
    ("given", "status"),
    [
        (None, 401),
        (f"Bearer {TOKEN}", 200),
        (f"bearer {TOKEN}", 200),
        (basic(f"anybody:{TOKEN}"), 200),
        (basic(f":{TOKEN}"), 200),
        ("Bearer wrong", 401),
        ("Bearer ", 401),
        (basic(f"{TOKEN}:"), 401),
        ("Basic \u00e9", 401),
        ("Basic !", 401),
        (f"Digest {TOKEN}", 401),
    ],
)
async def test_ad_2_the_token(given: str | None, status: int) -> None:
    headers = HOST if given is None else {**HOST, "authorization": given}
    admin = Admin(tt.Swansong(), token=TOKEN, actions=True, metrics=Metrics())
    async with TestServer(admin) as app:
        for path in ("/", "/status", "/guards", "/metrics"):
            response = await app.get(path, headers=headers)
            assert response.status == status
            assert ("www-authenticate" in response.headers) is (status == 401)
        assert (await app.get("/readyz", headers=HOST)).status == 200
        assert (await app.get("/livez", headers=HOST)).status == 200
        if status == 401:
            assert (await app.get("/events", headers=headers)).status == 401
            assert (await app.post("/drain", headers=headers)).status == 401


def test_ad_2_a_short_token() -> None:
    with pytest.raises(tt.ConfigError, match="16 characters"):
        Admin(tt.Swansong(), token="secret")


@pytest.mark.parametrize(
    ("host", "is_own"),
    [
        ("localhost", True),
        ("LOCALHOST:9000", True),
        ("127.0.0.1:9000", True),
        ("10.1.2.3", True),
        ("[::1]", True),
        ("[::1]:9000", True),
        ("admin.shop.example:80", True),
        ("shop.example", False),
        ("localhost.shop.example", False),
        ("127.0.0.1.shop.example", False),
    ],
)
async def test_ad_3_the_host(host: str, is_own: bool) -> None:
    admin = Admin(tt.Swansong(), hosts=["Admin.shop.example"], actions=True)
    async with TestServer(admin) as app:
        for path in ("/", "/status", "/livez", "/events"):
            if path != "/events" or not is_own:
                response = await app.get(path, headers={"host": host})
                assert response.status == (200 if is_own else 421)
        if not is_own:
            assert (await app.post("/drain", headers={"host": host})).status == 421


async def test_ad_3_a_client_that_names_no_host_is_no_browser() -> None:
    async with TestServer(Admin(tt.Swansong())) as app:
        peer = app.connect()
        await peer.send(b"GET /readyz HTTP/1.0\r\n\r\n")
        assert (await peer.receive_response()).status == 200


async def test_ad_4_health(autojump_clock: MockClock) -> None:
    async with running(slow) as served:
        admin = Admin(served.handle.swansong, servers=[served.handle])
        async with TestServer(admin) as app:
            assert (await get(app, "/readyz?verbose")).text == "ok\n"
            client = await served.started()
            done = served.handle.shut_down()
            response = await get(app, "/readyz")
            assert (response.status, response.text) == (503, "not ready\n")
            response = await get(app, "/readyz?verbose")
            assert (response.status, response.text) == (503, "draining\n")
            assert (await get(app, "/livez")).text == "ok\n"
            await done
            assert "memory is not running\n" in (await get(app, "/readyz?verbose")).text
            assert (await get(app, "/livez")).text == "ok\n"
            await client.aclose()


async def test_ad_4_a_server_that_is_withdrawn(autojump_clock: MockClock) -> None:
    async with running(slow) as served:
        admin = Admin(served.handle.swansong, servers=[served.handle])
        async with TestServer(admin) as app:
            served.handle.readiness.withdraw("maintenance")
            response = await get(app, "/readyz?verbose")
            assert (response.status, response.text) == (503, "memory is withdrawn: maintenance\n")
            served.handle.readiness.restore()
            assert (await get(app, "/readyz?verbose")).text == "ok\n"


async def test_ad_4_a_server_that_drains_alone(autojump_clock: MockClock) -> None:
    async with running(slow) as served:
        admin = Admin(served.handle.swansong, servers=[served.handle])
        async with TestServer(admin) as app:
            client = await served.started()
            served.server.stop()
            response = await get(app, "/readyz?verbose")
            assert (response.status, response.text) == (503, "memory is draining\n")
            await served.handle
            await client.aclose()


async def get(app: TestServer, path: str) -> TestResponse:
    return await app.get(path, headers=HOST)


async def status_of(app: TestServer, path: str = "/status") -> dict[str, Any]:
    response = await get(app, path)
    assert response.headers["content-type"] == "application/json"
    assert response.headers["cache-control"] == "no-store"
    found = json.loads(response.body)
    assert isinstance(found, dict)
    return found


async def test_ad_5_the_status(autojump_clock: MockClock) -> None:
    swansong = tt.Swansong(name="shop")
    config = tt.Config(drain_timeout=20, drain_delay=1, max_connections=7, swansong=swansong)
    async with running(slow, config) as served:
        admin = Admin(swansong, servers=[served.handle], stacks=True)
        async with TestServer(admin) as app:
            idle = await served.idle()
            one = await served.started("/orders/7?token=secret")
            own = swansong.guard("the application's")
            two = await served.started("/orders/8")
            found = await status_of(app)
            assert (found["state"], found["drain"], found["unready"]) == ("running", None, [])
            [server] = found["servers"]
            counts = server["connections"]
            assert {name: counts[name] for name in ("open", "idle", "busy", "accepted")} == {
                "open": 3,
                "idle": 1,
                "busy": 2,
                "accepted": 3,
            }
            assert server["limits"]["max_connections"] == 7
            assert server["limits"]["drain_timeout"] == 20
            tree = found["tree"]
            assert (tree["name"], tree["stopped_for"]) == ("shop", None)
            assert [each["labels"] for each in tree["guards"]] == [["the application's"]]
            [below] = tree["below"]
            [guards] = below["guards"]
            assert guards["count"] == 2
            assert guards["labels"] == ["GET /orders/7", "GET /orders/8"]
            assert (guards["where"], guards["stacks"]) == (None, [])
            assert "secret" not in json.dumps(found)

            swansong.shut_down()
            await trio.sleep(1.5)
            found = await status_of(app, "/status?stacks=1")
            assert found["state"] == "shutting down"
            drain = found["drain"]
            assert (drain["finished"], drain["left"], drain["cut"]) == (0, 3, [])
            assert drain["remaining"] == pytest.approx(19.5)
            [server] = found["servers"]
            assert server["state"] == "waiting"
            [guards] = found["tree"]["below"][0]["guards"]
            assert guards["where"].endswith("in slow")
            assert "secret" not in json.dumps(found)
            own.release()
            report = await swansong
            found = await status_of(app)
            assert found["state"] == "complete"
            assert found["drain"]["finished"] == report.finished == 3
            assert found["servers"][0]["state"] == "over"
            for each in (idle, one, two):
                await each.aclose()


async def test_ad_5_what_was_cut(autojump_clock: MockClock) -> None:
    async with running(slow, tt.Config(drain_timeout=1)) as served:
        admin = Admin(served.handle.swansong, servers=[served.handle])
        async with TestServer(admin) as app:
            client = await served.started("/orders/7?token=secret")
            await served.handle.shut_down()
            found = await status_of(app)
            [cut] = found["drain"]["cut"]
            assert (cut["count"], cut["labels"]) == (1, ["GET /orders/7"])
            assert found["drain"]["reason"] == "the drain's deadline has passed"
            await client.aclose()


async def test_ad_5_guards_and_stacks(autojump_clock: MockClock) -> None:
    swansong = tt.Swansong()
    with swansong.guard("work"):
        async with TestServer(Admin(swansong)) as app:
            found = await status_of(app, "/guards")
            assert [*found] == ["tree"]
            for path in ("/guards", "/status", "/events"):
                assert (await get(app, f"{path}?stacks=1")).status == 403
            assert (await get(app, "/elsewhere")).status == 404
            assert (await app.post("/status", headers=HOST)).status == 405


async def test_ad_5_metrics() -> None:
    async with TestServer(Admin(tt.Swansong(), metrics=Metrics())) as app:
        assert "trillium_drain_state 0" in (await get(app, "/metrics")).text
    async with TestServer(Admin(tt.Swansong())) as app:
        assert (await get(app, "/metrics")).status == 404


async def test_ad_6_events_when_something_changes(autojump_clock: MockClock) -> None:
    swansong = tt.Swansong()
    states: list[tuple[str, int, float]] = []

    async def read(events: EventReader) -> None:
        async for event in events:
            if event.data is not None:
                found = json.loads(event.data)
                count = sum(each["count"] for each in found["tree"]["guards"])
                states.append((found["state"], count, trio.current_time() - start))

    async with (
        TestServer(Admin(swansong)) as app,
        aclosing(app.events("/events", headers=HOST)) as events,
        trio.open_nursery() as nursery,
    ):
        start = trio.current_time()
        nursery.start_soon(read, events)
        await trio.sleep(100)
        assert [each[:2] for each in states] == [("running", 0)]
        guard = swansong.guard("work")
        await trio.sleep(1)
        swansong.shut_down()
        await trio.sleep(100)
        guard.release()
        await trio.sleep(1)
        app.shut_down()
    assert [each[:2] for each in states] == [
        ("running", 0),
        ("running", 1),
        ("shutting down", 1),
        ("complete", 0),
    ]
    # Within half a second of the change.
    assert [each[2] for each in states] == pytest.approx([0, 100.25, 101.25, 201.25], abs=0.26)


async def test_ad_6_the_last_status_at_the_end(autojump_clock: MockClock) -> None:
    swansong = tt.Swansong()
    async with (
        TestServer(Admin(swansong)) as app,
        aclosing(app.events("/events", headers=HOST)) as events,
    ):
        assert json.loads((await anext(events)).data or "")["state"] == "running"
        swansong.shut_down()
        app.shut_down()
        assert json.loads((await anext(events)).data or "")["state"] == "complete"


async def test_ad_6_at_most_eight_streams(autojump_clock: MockClock) -> None:
    async with TestServer(Admin(tt.Swansong())) as app:
        peers = [app.connect() for _ in range(9)]
        for each in peers:
            await each.send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await settled()
        response = await peers[-1].receive_response()
        assert (response.status, response.headers["retry-after"]) == (503, "10")
        peers[0].reset()
        await trio.sleep(20)
        again = app.connect()
        await again.send(b"HEAD /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await again.receive_response("HEAD")).status == 200


async def test_ad_7_the_page() -> None:
    async with TestServer(Admin(tt.Swansong(), title="<shop> & co")) as app:
        response = await get(app, "/")
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    page = response.text
    assert "<title>&lt;shop&gt; &amp; co</title>" in page
    policy = response.headers["content-security-policy"]
    assert policy.startswith("default-src 'none';")
    for tag in ("style", "script"):
        [inner] = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"https?://|innerHTML|document\.write|insertAdjacent", page)


@pytest.mark.parametrize("action", ["drain", "cancel"])
async def test_ad_8_actions(action: str, caplog: pytest.LogCaptureFixture) -> None:
    swansong = tt.Swansong()
    guard = swansong.guard("work")
    with swansong.cancel_scope() as scope:
        async with TestServer(Admin(swansong, actions=True)) as app:
            assert (await get(app, f"/{action}")).status == 405
            assert swansong.is_running
            response = await app.post(f"/{action}", headers=HOST)
            assert response.json() == {"done": action}
            assert not swansong.is_running
            assert scope.cancel_called is (action == "cancel")
            scope.shield = True
    guard.release()
    assert f"{action} was asked for on the admin page" in caplog.text


@pytest.mark.parametrize(
    ("fields", "status"),
    [
        ({"sec-fetch-site": "same-origin", "origin": "http://localhost:9000"}, 200),
        ({"origin": "http://localhost:9000"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site", "origin": "http://localhost:9000"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"origin": "http://localhost:9001"}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
    ],
)
async def test_ad_8_pages_of_other_origins(fields: dict[str, str], status: int) -> None:
    swansong = tt.Swansong()
    async with TestServer(Admin(swansong, actions=True)) as app:
        response = await app.post("/drain", headers={**HOST, **fields})
        assert (response.status, swansong.is_running) == (status, status != 200)


async def test_ad_8_off_by_default() -> None:
    swansong = tt.Swansong()
    async with TestServer(Admin(swansong)) as app:
        for path in ("/drain", "/cancel"):
            assert (await app.post(path, headers=HOST)).status == 404
        assert (await status_of(app))["actions"] == []
    assert swansong.is_running


class Parent:
    """What the parent of many workers may say."""

    def __init__(self) -> None:
        self.done: list[str] = []

    @property
    def actions(self) -> Mapping[str, Callable[[], Awaitable[object]]]:
        return {"roll": self._roll}

    def unready(self) -> list[str]:
        return ["no worker is ready"]

    async def status(self, *, stacks: bool) -> dict[str, Any]:
        await trio.lowlevel.checkpoint()
        return {"workers": [{"pid": 7}], "tree": {"stacks": stacks}}

    async def _roll(self) -> None:
        self.done.append("roll")


async def test_ad_9_another_source() -> None:
    parent = Parent()
    async with TestServer(Admin(parent, actions=True, stacks=True)) as app:
        found = await status_of(app, "/status?stacks=1")
        assert found["workers"] == [{"pid": 7}]
        assert found["tree"] == {"stacks": True}
        assert found["actions"] == ["roll"]
        response = await get(app, "/readyz?verbose")
        assert (response.status, response.text) == (503, "no worker is ready\n")
        assert (await app.post("/drain", headers=HOST)).status == 404
        assert (await app.post("/roll", headers=HOST)).status == 200
    assert parent.done == ["roll"]
