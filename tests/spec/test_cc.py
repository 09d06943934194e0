"""CC: conditional requests, and the handler that answers them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

import trillium_trio as tt
from trillium_trio.handlers import CachingHeaders, check_preconditions
from trillium_trio.http import EntityTag
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from trillium_trio.conn import HandlerLike
    from trillium_trio.http import BodyLike

MODIFIED = 784111777
DATE = "Sun, 06 Nov 1994 08:49:37 GMT"
FIELDS = {
    "etag": '"a"',
    "last-modified": DATE,
    "cache-control": "max-age=60",
    "vary": "accept",
    "content-type": "text/x",
    "content-language": "en",
    "set-cookie": "a=b",
}


def answering(
    status: int = 200, *, body: BodyLike = "content", fields: dict[str, str] = FIELDS
) -> HandlerLike:
    async def handler(conn: tt.Conn) -> tt.Conn:
        conn.with_status(status).with_body(body)
        for name, value in fields.items():
            conn.with_response_header(name, value)
        return conn.halt()

    return (CachingHeaders(), handler)


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_cc_4_a_304_describes_no_content(method: str) -> None:
    async with TestServer(answering()) as app:
        response = await app.request(method, "/", headers={"if-none-match": '"a"'})
        response.assert_status(304).assert_body(b"")
        for name in ("content-type", "content-language", "content-length"):
            response.assert_no_header(name)
        for name in ("etag", "last-modified", "cache-control", "vary", "set-cookie"):
            response.assert_header(name, FIELDS[name])
        response.assert_header("date")


async def test_cc_4_a_412_has_no_validators() -> None:
    async with TestServer(answering()) as app:
        response = await app.get("/", headers={"if-match": '"b"'})
        response.assert_status(412).assert_body("Precondition Failed\n")
        for name in ("etag", "last-modified", "content-language"):
            response.assert_no_header(name)
        response.assert_header("content-type", "text/plain; charset=utf-8")


@pytest.mark.parametrize(
    ("method", "status"), [("GET", 404), ("GET", 302), ("GET", 500), ("POST", 200), ("PUT", 204)]
)
async def test_cc_4_only_get_and_head_with_a_2xx(method: str, status: int) -> None:
    async with TestServer(answering(status)) as app:
        response = await app.request(method, "/", headers={"if-none-match": '"a"'})
        response.assert_status(status).assert_header("etag", '"a"')


@pytest.mark.parametrize(
    ("fields", "sent", "status"),
    [
        ({"etag": "a"}, {"if-none-match": '"a"'}, 200),
        ({"etag": "a"}, {"if-match": '"a"'}, 412),
        ({"last-modified": "yesterday"}, {"if-modified-since": DATE}, 200),
        ({"last-modified": DATE}, {"if-modified-since": DATE}, 304),
        ({"last-modified": DATE}, {"if-modified-since": "yesterday"}, 200),
        ({"x": "y"}, {"if-none-match": "*"}, 304),
    ],
)
async def test_cc_4_malformed_fields_of_the_response_are_missing(
    fields: dict[str, str], sent: dict[str, str], status: int
) -> None:
    async with TestServer(answering(fields=fields)) as app:
        (await app.get("/", headers=sent)).assert_status(status)


async def test_cc_4_a_404_that_nobody_has_answered_stays_one() -> None:
    async with TestServer((CachingHeaders(etag="strong"), None)) as app:
        (await app.get("/", headers={"if-none-match": "*"})).assert_status(404)


async def test_cc_4_a_body_that_is_not_sent_is_closed_unread() -> None:
    events = []

    class Stream:
        async def receive_some(self, max_bytes: int | None = None) -> bytes:
            events.append("read")
            return b""

        async def aclose(self) -> None:
            events.append("closed")

    async with TestServer(answering(body=Stream())) as app:
        (await app.get("/", headers={"if-none-match": '"a"'})).assert_status(304)
        assert events == ["closed"]
        (await app.get("/", headers={"if-none-match": '"b"'})).assert_status(200)
        assert events == ["closed", "read", "closed"]


@pytest.mark.parametrize(("etag", "prefix"), [("weak", "W/"), ("strong", "")])
async def test_cc_5_an_etag_is_made(etag: str, prefix: str) -> None:
    bodies: Iterator[str | bytes] = iter([b"one", "one", b"two", b"two"])

    async def handler(conn: tt.Conn) -> tt.Conn:
        return conn.ok(next(bodies))

    async with TestServer((CachingHeaders(etag=etag), handler)) as app:  # type: ignore[arg-type]  # one of both
        first = await app.get("/")
        tag = first.headers["etag"]
        assert tag == prefix + str(EntityTag.of_content(b"one"))
        again = await app.get("/", headers={"if-none-match": tag})
        again.assert_status(304).assert_header("etag", tag)
        changed = await app.get("/", headers={"if-none-match": tag})
        changed.assert_status(200).assert_body(b"two")
        head = await app.request("HEAD", "/")
        assert head.headers["etag"] == changed.headers["etag"]


async def pieces() -> AsyncIterator[bytes]:
    yield b"piece"


@pytest.mark.parametrize(
    ("method", "status", "body", "fields"),
    [
        ("GET", 200, "stream", {}),
        ("GET", 200, "text", {"cache-control": "private, No-Store"}),
        ("GET", 201, "text", {}),
        ("POST", 200, "text", {}),
        ("HEAD", 200, "", {}),
    ],
)
async def test_cc_5_no_etag_is_made(
    method: str, status: int, body: str, fields: dict[str, str]
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        for name, value in fields.items():
            conn.with_response_header(name, value)
        conn.ok(body)
        return (conn.with_body(pieces()) if body == "stream" else conn).with_status(status)

    async with TestServer((CachingHeaders(etag="strong"), handler)) as app:
        response = await app.request(method, "/")
        response.assert_status(status).assert_no_header("etag")


async def test_cc_5_an_etag_of_the_handler_stays() -> None:
    async with TestServer((CachingHeaders(etag="strong"), answering())) as app:
        (await app.get("/")).assert_header("etag", '"a"')


def test_cc_5_other_values_are_refused() -> None:
    with pytest.raises(tt.ConfigError, match="'weak', 'strong' or None, not True"):
        CachingHeaders(etag=True)  # type: ignore[arg-type]  # that is the point


async def test_cc_6_a_lost_update_is_prevented() -> None:
    version, content = 1, "one"

    async def document(conn: tt.Conn) -> tt.Conn:
        nonlocal version, content
        tag = f'"{version}"'
        if conn.method == "PUT":
            check_preconditions(conn, etag=tag)
            content, version = await conn.request_body.text(), version + 1
            return conn.with_status(204).halt()
        return conn.with_response_header("etag", tag).ok(content)

    async with TestServer((CachingHeaders(), document)) as app:
        tag = (await app.get("/")).headers["etag"]
        (await app.put("/", body=b"mine", headers={"if-match": tag})).assert_status(204)
        late = await app.put("/", body=b"yours", headers={"if-match": tag})
        late.assert_status(412)
        (await app.get("/")).assert_body("mine")


@pytest.mark.parametrize(
    ("exists", "method", "fields", "status"),
    [
        (False, "PUT", {"if-none-match": "*"}, 200),
        (True, "PUT", {"if-none-match": "*"}, 412),
        (True, "DELETE", {"if-unmodified-since": DATE}, 200),
        (True, "DELETE", {"if-unmodified-since": "Sun, 06 Nov 1994 08:49:36 GMT"}, 412),
        # Not to be performed, but answered 304 by who has the whole response.
        (True, "GET", {"if-none-match": '"a"'}, 200),
        (True, "GET", {"if-match": '"b"'}, 412),
    ],
)
async def test_cc_6_what_is_checked(
    exists: bool, method: str, fields: dict[str, str], status: int
) -> None:
    async def handler(conn: tt.Conn) -> tt.Conn:
        check_preconditions(
            conn, etag=EntityTag("a") if exists else None, last_modified=MODIFIED, exists=exists
        )
        return conn.ok("done")

    async with TestServer(handler) as app:
        (await app.request(method, "/", headers=fields)).assert_status(status)


async def test_cc_6_a_tag_is_one() -> None:
    raised = []

    async def handler(conn: tt.Conn) -> tt.Conn:
        try:
            check_preconditions(conn, etag="a")
        except ValueError as error:
            raised.append(str(error))
        await trio.lowlevel.checkpoint()
        return conn.ok("done")

    async with TestServer(handler) as app:
        await app.get("/")
    assert raised == ["'a' is not an entity tag (RFC 9110, 8.8.3)"]
