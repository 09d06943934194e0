"""What fuzzing found, said in words. The inputs are in the corpus as ``found-...``."""

from __future__ import annotations

import encodings
import logging

import pytest
import trio

import trillium_trio as tt
from tests.wire import chunked, request, serving
from trillium_trio.codec import HeadLimits, read_head
from trillium_trio.exceptions import BadRequest, BindError, ConfigError, NotImplementedByServer
from trillium_trio.listeners import inherited_fds, open_listeners

# What the standard library remembers of every name that was looked up, found or not.
_found_codecs: dict[str, object] = encodings._cache


async def reads(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.read())


async def decodes(conn: tt.Conn) -> tt.Conn:
    return conn.ok(await conn.request_body.text())


@pytest.mark.parametrize("size", [1, 1000])
async def test_a_limit_that_is_passed_before_a_fault_is_the_error(
    size: int, autojump_clock: object
) -> None:
    body = chunked(b"x" * 9).removesuffix(b"0\r\n\r\n") + b"no size\r\n"
    async with serving(reads, max_body_bytes=8) as app:
        client = app.connect()
        data = request("/", "Transfer-Encoding: chunked", method="POST") + body
        for at in range(0, len(data), size):
            await client.send(data[at : at + size])
            await trio.testing.wait_all_tasks_blocked()
        assert (await client.response()).status == 413


async def test_a_fault_behind_what_is_within_the_limit_is_the_error(autojump_clock: object) -> None:
    body = chunked(b"x" * 8).removesuffix(b"0\r\n\r\n") + b"no size\r\n"
    async with serving(reads, max_body_bytes=8) as app:
        client = app.connect()
        await client.send(request("/", "Transfer-Encoding: chunked", method="POST"), body)
        assert (await client.response()).status == 400


@pytest.mark.parametrize("charset", ["undefined", "idna", "unicode_escape", "hex", "x" * 9000])
async def test_what_is_no_charset_is_a_bad_request_and_forgotten(
    charset: str, autojump_clock: object, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    remembered = len(_found_codecs)
    async with serving(decodes) as app:
        client = app.connect()
        field = f"Content-Type: text/plain; charset={charset}"
        await client.send(request("/", field, method="POST", body=b"\xff."))
        assert (await client.response()).status == 400
    assert len(_found_codecs) <= remembered + (charset == "hex")
    assert all(len(message) < 300 for message in caplog.messages)


@pytest.mark.parametrize(
    "charset", ["UTF-8", "utf8", "iso-8859-15", "KOI8-U", "Shift_JIS", "GB18030"]
)
async def test_what_is_a_charset_is_decoded(charset: str, autojump_clock: object) -> None:
    async with serving(decodes) as app:
        client = app.connect()
        field = f"Content-Type: text/plain; charset={charset}"
        await client.send(
            request("/", field, method="POST", body="\u0416".encode(charset, "replace"))
        )
        assert (await client.response()).status == 200


def test_an_unknown_transfer_coding_is_quoted_in_part_only() -> None:
    data = request("/", "Transfer-Encoding: " + "x" * 9000, method="POST")
    with pytest.raises(NotImplementedByServer) as caught:
        read_head(data, HeadLimits())
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("authority", ["[:::]", "[1]", "[1.2.3.4]:80", "[::1.2.3]"])
@pytest.mark.parametrize(
    "form", ["GET http://{}/ HTTP/1.1\r\nHost: h", "GET / HTTP/1.1\r\nHost: {}"]
)
def test_brackets_hold_an_ipv6_address(form: str, authority: str) -> None:
    with pytest.raises(BadRequest, match="IPv6"):
        read_head(f"{form.format(authority)}\r\n\r\n".encode(), HeadLimits())


@pytest.mark.parametrize("spec", ["1" * 5000, "fd:" + "1" * 5000, "[unix]:80", "[a/b]:80"])
def test_what_is_no_bind_specification_is_named(spec: str) -> None:
    with pytest.raises(ConfigError, match="cannot listen on"):
        tt.config().bind_tcp(spec)


@pytest.mark.parametrize("number", ["9" * 5000, "9" * 20, "1048577"])
def test_more_descriptors_than_there_can_be_are_refused(number: str) -> None:
    with pytest.raises(ConfigError, match="LISTEN_FD="):
        inherited_fds({"LISTEN_FD": number})


def test_a_port_of_thousands_of_digits_is_no_port(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "1" * 5000)
    with pytest.raises(ConfigError, match="PORT in the environment"):
        tt.config().binds()


@pytest.mark.parametrize("path", ["a\0b", "\0abstract", "\ud800"])
async def test_what_is_no_path_is_a_bind_error(path: str) -> None:
    with pytest.raises(BindError, match="cannot listen on unix:"):
        await open_listeners(tt.config().bind_unix(path).binds())


@pytest.mark.parametrize("fd", [-1, 10**20])
async def test_what_is_no_descriptor_is_a_bind_error(fd: int) -> None:
    with pytest.raises(BindError, match="cannot listen on fd:"):
        await open_listeners(tt.config().bind_fd(fd).binds())
