"""PX-1 to PX-7, PX-11 and PX-23 of docs/spec/proxy.md: what goes out, and what comes back."""

from __future__ import annotations

import builtins
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import trillium_trio as tt
from tests.spec._proxy import Hosts, Played, behind, played, show
from trillium_trio.exceptions import BadRequest, ConfigError
from trillium_trio.handlers import Forwarded, Head, Proxy, Router
from trillium_trio.handlers.proxy._target import Target, check_path
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import ModuleType

    from trillium_trio.conn import HandlerLike

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


async def seen(raw: bytes, *, front: tuple[HandlerLike, ...] = (), **settings: Any) -> list[str]:
    """Return the lines of the head that an upstream gets for the bytes of a request."""
    async with played(front=front, **settings) as (app, upstream):
        peer = app.connect()
        await peer.send(raw)
        [head] = await upstream.answer(OK)
        assert (await peer.receive_response()).body == b"ok"
        return head


def get(*fields: str, target: str = "/", method: str = "GET") -> bytes:
    return "\r\n".join([f"{method} {target} HTTP/1.1", "Host: shop", *fields, "", ""]).encode(
        "latin-1"
    )


def without(head: list[str], *names: str) -> list[str]:
    return [each for each in head[1:] if each.partition(":")[0].lower() not in names]


OURS = ("host", "via", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host")


# -- PX-1 --------------------------------------------------------------------------------------


async def test_px_1_a_request_arrives_as_it_was_sent() -> None:
    async with behind(show) as app:
        response = await app.request(
            "PURGE", "/a%2Fb/%C3%BC?q=%20&&x;y", headers={"X-A": "1", "user-agent": ""}, body="hi"
        )
    got = response.assert_ok().json()
    assert (got["method"], got["target"], got["body"]) == (
        "PURGE",
        "/a%2Fb/%C3%BC?q=%20&&x;y",
        "hi",
    )
    assert ["x-a", "1"] in got["fields"]


async def test_px_1_no_field_is_added_for_the_client() -> None:
    assert without(await seen(get()), *OURS) == []


async def test_px_1_the_answer_comes_back_as_it_is() -> None:
    async def upstream(conn: tt.Conn) -> tt.Conn:
        conn.with_added_response_header("set-cookie", "a=1; Expires=Thu, 01 Jan 2026 00:00:00 GMT")
        conn.with_added_response_header("set-cookie", "b=2")
        conn.with_response_header("date", "Thu, 01 Jan 2026 00:00:00 GMT")
        conn.with_response_header("server", "other").with_response_header("x-b", "caf\xe9")
        return conn.with_status(418).with_body("short and stout").halt()

    async with behind(upstream) as app:
        response = await app.get("/")
    response.assert_status(418).assert_body("short and stout").assert_header("server", "other")
    response.assert_header("date", "Thu, 01 Jan 2026 00:00:00 GMT").assert_header("x-b", "caf\xe9")
    assert len(response.headers.get_all("set-cookie")) == 2
    assert len(response.headers.get_all("date")) == 1


async def test_px_1_it_halts_whatever_the_answer() -> None:
    async with TestServer(None) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        async with TestServer((Proxy("http://up", connect=hosts.connect), "later")) as app:
            (await app.get("/")).assert_status(404)


@pytest.mark.parametrize("status", [200, 201, 299, 301, 400, 404, 418, 500, 503, 599, 999])
async def test_px_1_every_status_comes_back(status: int) -> None:
    async with played() as (app, upstream), trio.open_nursery() as nursery:
        answer = b"HTTP/1.1 %d Some Reason\r\nContent-Length: 0\r\n\r\n" % status
        nursery.start_soon(upstream.answer, answer)
        (await app.get("/")).assert_status(status).assert_body("")


# -- PX-2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "path", "query", "target"),
    [
        ("http://up", "/", "", "/"),
        ("http://up/", "/x", "a=1", "/x?a=1"),
        ("http://up/base", "/", "", "/base/"),
        ("http://up/base/", "/x", "", "/base/x"),
        ("http://up/base", "//evil/x", "", "/base//evil/x"),
        ("http://up", "//evil/x", "", "//evil/x"),
        ("http://up/b", "/http://evil/", "", "/b/http://evil/"),
        ("http://up", "*", "", "*"),
        ("http://up/base", "*", "", "/base"),
        ("http://up/base", "/a..b/...", "..", "/base/a..b/...?.."),
    ],
)
def test_px_2_the_path_is_put_behind_the_base(url: str, path: str, query: str, target: str) -> None:
    check_path(path)
    assert Target.parse(url).join(path, query) == target


@pytest.mark.parametrize(
    "path",
    [
        *("/..", "/../x", "/a/../b", "/%2e%2e/x", "/.%2E/x", "/%2e./x", "/a%2f..%2fx"),
        *("/..;/x", "/..;a=b/x", "/%2e%2e%3bx/", "/..%5cx", "/a%5c..%5cx", "/a%2F%2e%2e"),
    ],
)
async def test_px_2_no_path_leads_out_of_the_base(path: str) -> None:
    hosts = Hosts()
    async with TestServer(Proxy("http://up/base", connect=hosts.connect)) as app:
        (await app.get(path)).assert_status(400).assert_body("Bad Request\n")
        (await app.get(f"http://shop{path}")).assert_status(400)
    assert hosts.dialled == []


@given(st.lists(st.sampled_from(["/", "..", ".", "%2e", "%2f", "%5c", ";", "a", "%", "%25"])))
def test_px_2_what_passes_has_no_segment_that_leads_up(pieces: list[str]) -> None:
    path = "/" + "".join(pieces)
    try:
        check_path(path)
    except BadRequest:
        return
    decoded = path.replace("%2e", ".").replace("%2f", "/").replace("%5c", "/")
    assert ".." not in [each.partition(";")[0] for each in decoded.split("/")]


async def test_px_2_an_absolute_target_is_a_path_to_the_upstream() -> None:
    head = await seen(b"GET http://other/x?y HTTP/1.1\r\nHost: other\r\n\r\n")
    assert head[:2] == ["GET /x?y HTTP/1.1", "host: up"]


async def test_px_2_options_of_the_server() -> None:
    assert (await seen(get(target="*", method="OPTIONS")))[0] == "OPTIONS * HTTP/1.1"


async def test_px_2_connect_is_not_taken() -> None:
    class Tunnels(tt.Handler):
        takes_connect = True

    hosts = Hosts()
    async with TestServer((Tunnels(), Proxy("http://up", connect=hosts.connect))) as app:
        peer = app.connect()
        await peer.send(b"CONNECT evil:443 HTTP/1.1\r\nHost: evil:443\r\n\r\n")
        assert (await peer.receive_response()).status == 501
    assert hosts.dialled == []


# -- PX-3 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strip", "target", "prefix"),
    [(True, "/base/cart?a", "/shop"), (False, "/base/shop/cart?a", None)],
)
async def test_px_3_below_a_mount(strip: bool, target: str, prefix: str | None) -> None:
    async with TestServer(show) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        proxy = Proxy("http://up/base", strip_prefix=strip, connect=hosts.connect)
        async with TestServer(Router().mount("/shop", proxy)) as app:
            got = (await app.get("/shop/cart?a")).assert_ok().json()
    assert got["target"] == target
    assert dict(got["fields"]).get("x-forwarded-prefix") == prefix


async def test_px_3_location_and_cookies_are_not_rewritten() -> None:
    async def upstream(conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("set-cookie", "a=1; Path=/cart").redirect("/cart")

    async with TestServer(upstream) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        proxy = Proxy("http://up", connect=hosts.connect)
        async with TestServer(Router().mount("/shop", proxy)) as app:
            response = await app.get("/shop/x")
    response.assert_header("location", "/cart").assert_header("set-cookie", "a=1; Path=/cart")


# -- PX-4 --------------------------------------------------------------------------------------

HOP_BY_HOP = [
    *(
        "Connection: keep-alive, X-One",
        "Connection: x-two",
        "X-One: 1",
        "X-Two: 2",
        "Keep-Alive: 5",
    ),
    *("Proxy-Connection: keep-alive", "Proxy-Authorization: Basic eA==", "TE: gzip"),
    *("Proxy-Authenticate: Basic", "Upgrade: foo", "X-Three: 3"),
]


async def test_px_4_what_is_about_one_connection_stays_behind() -> None:
    assert without(await seen(get(*HOP_BY_HOP)), *OURS) == ["X-Three: 3"]


@pytest.mark.parametrize("line", ["Connection:", "Connection: ,", "Connection: close, ,"])
async def test_px_4_an_empty_connection_stays_behind(line: str) -> None:
    assert without(await seen(get(line, "X-A: 1")), *OURS) == ["X-A: 1"]


async def test_px_4_so_it_does_on_the_way_back() -> None:
    answer = "\r\n".join(["HTTP/1.1 200 OK", *HOP_BY_HOP, "Content-Length: 2", "", "ok"]).encode()
    async with played() as (app, upstream), trio.open_nursery() as nursery:
        nursery.start_soon(upstream.answer, answer)
        response = (await app.get("/")).assert_body("ok")
    assert set(response.headers) == {"date", "server", "x-three", "via", "content-length"}


@pytest.mark.parametrize("te", ["trailers", "gzip;q=0.5, Trailers"])
async def test_px_4_te_says_trailers_again(te: str) -> None:
    head = await seen(get(f"TE: {te}", "Connection: TE"))
    assert without(head, *OURS) == ["te: trailers", "connection: te"]


async def test_px_4_connection_cannot_name_what_we_write() -> None:
    named = "Host, Via, X-Forwarded-For, X-Forwarded-Proto, Content-Length, Cookie"
    raw = get(f"Connection: {named}", "Content-Length: 2", "Cookie: a=1", method="POST") + b"hi"
    head = await seen(raw)
    assert Counter(each.partition(":")[0] for each in head[1:]) == Counter(
        [*OURS, "content-length"]
    )


async def test_px_4_via_has_our_name() -> None:
    [via] = [each for each in await seen(get("Via: 1.0 a", "Via: 1.1 b")) if "via" in each]
    assert via == "via: 1.0 a, 1.1 b, 1.1 trillium-trio"
    [via] = [each for each in await seen(get(), via="edge") if each.startswith("via")]
    assert via == "via: 1.1 edge"
    assert not [each for each in await seen(get(), via="") if each.startswith("via")]
    async with behind("x") as app:
        (await app.get("/")).assert_header("via", "1.1 trillium-trio")
    async with behind("x", via="") as app:
        (await app.get("/")).assert_no_header("via")


# -- PX-5, PX-6 --------------------------------------------------------------------------------

CLAIMS = [
    *("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: evil", "X-Forwarded-Host: evil"),
    *("X-Forwarded-Port: 666", "X-Forwarded-Prefix: /evil", "X-Real-IP: 6.6.6.6"),
    *("X-Forwarded-Whatever: evil", "Forwarded: for=6.6.6.6"),
]


def told(head: list[str]) -> list[str]:
    return [each for each in head if each.lower().startswith(("x-forw", "forw", "x-real"))]


async def test_px_5_what_a_client_claims_does_not_arrive() -> None:
    assert told(await seen(get(*CLAIMS))) == [
        *("x-forwarded-for: unknown", "x-forwarded-proto: http", "x-forwarded-host: shop")
    ]
    kind = "forwarded"
    assert told(await seen(get(*CLAIMS), forwarded=kind)) == [
        'forwarded: for=unknown;proto=http;host="shop"'
    ]
    assert told(await seen(get(*CLAIMS), forwarded="none")) == []


async def test_px_5_what_a_trusted_proxy_has_told_is_passed_on() -> None:
    front = (Forwarded(["unix", "10.0.0.0/8"], header="x-forwarded"),)
    fields = ("X-Forwarded-For: 6.6.6.6, 192.0.2.7, 10.0.0.1", "X-Forwarded-Proto: https")
    assert told(await seen(get(*fields), front=front)) == [
        "x-forwarded-for: 192.0.2.7, 10.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: shop",
    ]
    assert told(await seen(get(*fields), front=front, forwarded="forwarded")) == [
        'forwarded: for=192.0.2.7;proto=https;host="shop", for=10.0.0.1'
    ]


async def test_px_5_an_untrusted_peer_is_not_believed() -> None:
    fields = ("X-Forwarded-For: 6.6.6.6", "X-Forwarded-Proto: https")
    assert told(await seen(get(*fields), front=(Forwarded(["10.0.0.1"]),)))[:2] == [
        *("x-forwarded-for: unknown", "x-forwarded-proto: http")
    ]


@pytest.mark.parametrize("kind", ["x-forwarded", "forwarded"])
async def test_px_5_our_own_handler_reads_it(kind: str) -> None:
    """Two hops of ours: the second one trusts the first."""

    async def who(conn: tt.Conn) -> tt.Conn:
        return conn.ok(f"{conn.peer_ip} {conn.url}")

    front = Forwarded(["unix"], header="forwarded")
    async with TestServer((Forwarded(["unix"], x_host=True), who)) as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        proxy = Proxy("http://up", connect=hosts.connect, forwarded=kind)  # type: ignore[arg-type]  # one of the two
        async with TestServer((front, proxy)) as app:
            fields = {"forwarded": 'for="[2001:db8::1]:99";proto=https;host="a.example:8443"'}
            response = await app.get("/x", headers=fields)
    response.assert_body("2001:db8::1 https://a.example:8443/x")


async def test_px_6_host_is_the_upstreams_or_the_clients() -> None:
    assert (await seen(get()))[1] == "host: up"
    assert (await seen(get(), preserve_host=True))[1] == "host: shop"
    raw = b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    assert (await seen(raw, preserve_host=True))[1] == "host: up"


async def test_px_6_host_has_the_port_of_the_url() -> None:
    upstream = Played()
    hosts = Hosts(**{"::1": upstream.open})
    proxy = Proxy("http://[::1]:8080/b", connect=hosts.connect)
    async with TestServer(proxy) as app, trio.open_nursery() as nursery:

        async def answer() -> None:
            [head] = await upstream.answer(OK)
            assert head[1] == "host: [::1]:8080"

        nursery.start_soon(answer)
        (await app.get("/")).assert_ok()


# -- PX-7 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "body", "framing", "sent"),
    [
        (["Content-Length: 2"], b"hi", "content-length: 2", b"hi"),
        (["Content-Length: 0"], b"", "content-length: 0", b""),
        (
            ["Transfer-Encoding: chunked"],
            b"2\r\nhi\r\n0\r\n\r\n",
            "transfer-encoding: chunked",
            b"hi",
        ),
        (["transfer-encoding:\tChunked"], b"0\r\n\r\n", "transfer-encoding: chunked", b""),
        (
            ["Transfer-Encoding: chunked", "Connection: Transfer-Encoding"],
            b"1;ext=1\r\nh\r\n1\r\ni\r\n0\r\nX-T: 1\r\n\r\n",
            "transfer-encoding: chunked",
            b"hi",
        ),
        (
            ["Content-Length: 2", "Connection: close, Content-Length"],
            b"hi",
            "content-length: 2",
            b"hi",
        ),
    ],
)
async def test_px_7_a_request_has_one_framing(
    fields: list[str], body: bytes, framing: str, sent: bytes
) -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(get(*fields, method="POST") + body)
        visit = await upstream.accept()
        head = await visit.head()
        lines = [each for each in head if each.lower().startswith(("content-l", "transfer-e"))]
        assert lines == [framing]
        if "chunked" in framing:
            received = await visit.until(b"0\r\n")
            assert b"".join(received.split(b"\r\n")[1:-2:2]) == sent
        else:
            assert len(sent) == int(framing.partition(": ")[2])
        await visit.send(OK)
        assert (await peer.receive_response()).body == b"ok"


SMUGGLED = [
    b"A / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\nEvil: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\rEvil: b\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    b"GET /\x0bx HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
]


@pytest.mark.parametrize("raw", SMUGGLED)
async def test_px_7_nothing_ambiguous_goes_out(raw: bytes) -> None:
    hosts = Hosts()
    async with TestServer(Proxy("http://up", connect=hosts.connect)) as app:
        peer = app.connect()
        await peer.send(raw)
        assert (await peer.receive_response()).status in {400, 501}
    assert hosts.dialled == []


async def test_px_7_a_folded_line_of_a_request_is_refused() -> None:
    hosts = Hosts()
    async with TestServer(Proxy("http://up", connect=hosts.connect)) as app:
        peer = app.connect()
        await peer.send(get("X-A: one", "  two"))
        assert (await peer.receive_response()).status == 400
    assert hosts.dialled == []


async def test_px_7_a_folded_line_of_an_answer_arrives_as_one() -> None:
    async with played() as (app, upstream), trio.open_nursery() as nursery:
        answer = b"HTTP/1.1 200 OK\r\nX-A: one\r\n two\r\nContent-Length: 2\r\n\r\nok"
        nursery.start_soon(upstream.answer, answer)
        (await app.get("/")).assert_ok().assert_header("x-a", "one two")


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        b"Content-Length: 2\r\nContent-Length: 3\r\n\r\nok",
        b"Content-Length: -1\r\n\r\nok",
        b"Transfer-Encoding: gzip\r\n\r\nok",
        b"X-A: a\x01b\r\nContent-Length: 2\r\n\r\nok",
        b"X A: a\r\nContent-Length: 2\r\n\r\nok",
        b"X-A: a\x00b\r\nContent-Length: 2\r\n\r\nok",
        b"X-A: " + b"a" * 200_000 + b"\r\nContent-Length: 2\r\n\r\nok",
    ],
    ids=lambda fields: str(fields[:32]),
)
async def test_px_7_an_ambiguous_answer_is_a_502(fields: bytes) -> None:
    async with played() as (app, upstream), trio.open_nursery() as nursery:
        nursery.start_soon(upstream.answer, b"HTTP/1.1 200 OK\r\n" + fields)
        (await app.get("/")).assert_status(502).assert_body("Bad Gateway\n")


async def test_px_7_what_comes_behind_an_answer_is_no_other_answer() -> None:
    """An upstream that answers twice does not answer the next request."""
    async with played() as (app, upstream), trio.open_nursery() as nursery:
        nursery.start_soon(
            upstream.answer, OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", OK
        )
        async with app.session() as session:
            (await session.get("/")).assert_body("ok")
            (await session.get("/")).assert_body("ok")


# -- PX-11 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "answer", "length"),
    [
        ("HEAD", b"200 OK\r\nContent-Length: 1234\r\n\r\n", "1234"),
        ("HEAD", b"200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", None),
        ("HEAD", b"200 OK\r\n\r\n", None),
        ("GET", b"204 No Content\r\n\r\n", None),
        ("GET", b'304 Not Modified\r\nETag: "x"\r\nContent-Length: 1234\r\n\r\n', "1234"),
        ("GET", b"304 Not Modified\r\n\r\n", None),
        ("HEAD", b"404 Not Found\r\nContent-Length: 0\r\n\r\n", "0"),
    ],
)
async def test_px_11_answers_without_a_body(method: str, answer: bytes, length: str | None) -> None:
    async with (
        played() as (app, upstream),
        app.session() as session,
        trio.open_nursery() as nursery,
    ):

        async def serve() -> None:
            visit = await upstream.accept()
            for _ in range(2):  # on one connection
                await visit.head()
                await visit.send(b"HTTP/1.1 " + answer)

        nursery.start_soon(serve)
        for _ in range(2):
            response = (await session.request(method, "/")).assert_body("")
            assert response.status == int(answer[:3])
            assert response.headers.get("content-length") == length


async def test_px_11_head_as_get_leaves_nothing_behind() -> None:
    async with TestServer("hello") as back:
        hosts = Hosts(up=lambda: back.connect().stream)
        async with TestServer((Head(), Proxy("http://up", connect=hosts.connect))) as app:
            (await app.head("/")).assert_ok().assert_header("content-length", "5").assert_body("")


async def test_px_11_trailers_pass_both_ways() -> None:
    async def upstream(conn: tt.Conn) -> tt.Conn:
        async def pieces() -> AsyncIterator[bytes]:
            async for piece in conn.request_body:
                yield piece
            conn.response_trailers.append("x-got", conn.request_trailers.get("x-sent") or "")

        return conn.ok(pieces())

    async with behind(upstream) as app:
        peer = app.connect()
        fields = ("TE: trailers", "Transfer-Encoding: chunked", "Trailer: X-Sent")
        await peer.send(get(*fields, method="POST") + b"2\r\nhi\r\n0\r\nX-Sent: yes\r\n\r\n")
        response = await peer.receive_response()
    assert response.body == b"hi"
    assert response.trailers.get("x-got") == "yes"


async def test_px_11_trailers_that_none_may_have_stay_behind() -> None:
    async with played() as (app, upstream):
        peer = app.connect()
        await peer.send(get("TE: trailers"))
        await upstream.answer(
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\nok\r\n0\r\nX-T: 1\r\nSet-Cookie: a=1\r\nContent-Length: 7\r\n\r\n"
        )
        response = await peer.receive_response()
    assert response.body == b"ok"
    assert response.trailers.items() == [("X-T", "1")]


# -- PX-23 -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        *("", "up", "//up", "ftp://up", "http://", "http://:80", "http://up:0x", "http://up:99999"),
        *(
            "http://a:secret@up",
            "http://up/?q=secret",
            "http://up/#f",
            "http://up/a b",
            "http://[::",
        ),
        *("http://up/../x", "http://up/ü", "http://u p/", "http://up?", 80, b"http://up", None),
    ],
)
def test_px_23_what_is_no_upstream_is_refused(url: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        Proxy([url])
    assert ":secret@" not in str(caught.value)


@pytest.mark.parametrize(
    "settings",
    [
        *({"balance": "random"}, {"forwarded": "both"}, {"via": "a b"}, {"health_path": "ready"}),
        *(
            {"health_interval": 0},
            {"max_connections": 0},
            {"queue_timeout": -1},
            {"leave_out": "1"},
        ),
        *({"connect_timeout": -1}, {"answer_timeout": None}, {"piece_timeout": -1}),
        *({"keep_alive": -1}, {"upgrade_timeout": -1}, {"max_body_bytes": -1}),
    ],
)
def test_px_23_a_wrong_setting_is_named(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(settings))):
        Proxy("http://up", **settings)


def test_px_23_there_has_to_be_an_upstream() -> None:
    with pytest.raises(ConfigError, match="at least one"):
        Proxy([])


def test_px_23_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def refuse(name: str, *args: Any, **kwargs: Any) -> ModuleType:
        if name == "httpcore2":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(ImportError, match=r"trillium-trio\[proxy\]"):
        Proxy("http://up")


def test_px_23_it_says_where_it_leads() -> None:
    proxy = Proxy(["http://a:1/b/", "https://c"])
    assert repr(proxy) == "<Proxy(http://a:1/b, https://c)>"
    assert json.dumps(proxy.name)
