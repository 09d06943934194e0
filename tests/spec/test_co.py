"""The clauses of docs/spec/compression.md."""

from __future__ import annotations

import asyncio
import sys
import threading
from random import Random
from typing import TYPE_CHECKING, Any

import anyio.from_thread
import h11
import httpx
import pytest
import trio

import trillium_trio as tt
from tests.codings import CODINGS, Decoder, decode, zstd
from tests.wire import UPGRADE, request, serving, settled
from trillium_trio.asgi import Asgi, to_asgi
from trillium_trio.exceptions import ConfigError
from trillium_trio.handlers import Compression, Event, EventStream, Head, Static
from trillium_trio.handlers.compression import _handler
from trillium_trio.handlers.compression._codings import Coding, Encoder, load_coding
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable
    from pathlib import Path

    from tests.wire import Peer
    from trillium_trio.asgi import Receive, Scope, Send
    from trillium_trio.http import BodyLike
    from trillium_trio.testing import TestResponse

TEXT = "All work and no play makes Jack a dull boy. " * 30
NOISE = Random(1).randbytes(2000)
ALL = "gzip, br, zstd"


def answering(body: BodyLike, *, status: int = 200, **fields: str) -> Any:
    """Return a handler that answers with this; underscores in names of fields are hyphens."""

    async def answer(conn: tt.Conn) -> tt.Conn:
        for name, value in fields.items():
            conn.with_added_response_header(name.replace("_", "-"), value)
        return conn.with_status(status).with_body(body).halt()

    return answer


async def get(
    handler: Any, accept: str | None = "gzip", *, method: str = "GET", **settings: Any
) -> TestResponse:
    headers = {} if accept is None else {"accept-encoding": accept}
    async with TestServer((Compression(**settings), handler)) as app:
        return await app.request(method, "/", headers=headers)


def spy(monkeypatch: pytest.MonkeyPatch, called: Callable[[bytes | memoryview], None]) -> None:
    """Have a function called in front of what codes a body or a piece, and in its thread."""

    def load(name: str, level: int) -> Coding:
        real = load_coding(name, level)

        def compress(data: bytes) -> bytes:
            called(data)
            return real.compress(data)

        def encoder() -> Encoder:
            encode, finish = real.encoder()

            def encode_piece(piece: bytes | memoryview) -> bytes:
                called(piece)
                return encode(piece)

            return encode_piece, finish

        return Coding(name=name, compress=compress, encoder=encoder)

    monkeypatch.setattr(_handler, "load_coding", load)


def is_main() -> bool:
    return threading.current_thread() is threading.main_thread()


def decoded(response: TestResponse) -> bytes:
    return decode(response.headers["content-encoding"], response.body)


# -- CO-1 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        # RFC 9110, 12.5.3: its examples
        ("compress, gzip", "gzip"),
        ("", None),
        ("*", "zstd"),
        ("compress;q=0.5, gzip;q=1.0", "gzip"),
        ("gzip;q=1.0, identity; q=0.5, *;q=0", "gzip"),
        # none, or nothing that there is
        (None, None),
        ("compress", None),
        ("identity", None),
        ("x-own;q=1, compress;q=0.1", None),
        # the order of the setting among equals
        ("gzip, br, zstd", "zstd"),
        ("gzip, br", "br"),
        ("br;q=0.5, gzip;q=0.5", "br"),
        # weights
        ("gzip, br;q=0.9, zstd;q=0.8", "gzip"),
        ("gzip;q=0.001", "gzip"),
        ("zstd;q=0.9, br;q=0.91, gzip;q=0.901", "br"),
        ("gzip;q=0", None),
        ("gzip;q=0.000", None),
        ("gzip;q=0, br", "br"),
        ("zstd;q=0, br;q=0, *", "gzip"),
        ("gzip;q=0.5, *;q=0.8", "zstd"),
        ("gzip;q=0.5, *;q=0.1", "gzip"),
        ("gzip, *;q=0", "gzip"),
        ("*;q=0", None),
        # identity as one among them
        ("identity, gzip;q=0.5", None),
        ("identity;q=0.5, gzip", "gzip"),
        ("identity, gzip", "gzip"),
        ("identity;q=0, gzip;q=0.1", "gzip"),
        ("identity;q=0", None),
        ("identity;q=0, compress", None),
        ("*;q=0, gzip;q=0.1", "gzip"),
        # form: case, white space, empty members, what is malformed
        ("GZIP", "gzip"),
        ("gzip;Q=0.5", "gzip"),
        (" ,, gzip ; q=0.5 ,", "gzip"),
        ("gzip;q=2", None),
        ("gzip;q=-1", None),
        ("gzip;q=0.1234", None),
        ("gzip;q=, br", "br"),
        ("gzip;q=2, br;q=0, zstd;q=0, *;q=0.1", "gzip"),
        ("gzip;level=9", "gzip"),
        ("gzipped", None),
        ("g zip", None),
        ("\xff, gzip", "gzip"),
        # what is sent by Chromium 140, Firefox 140, Safari 18 and curl 8
        ("gzip, deflate, br, zstd", "zstd"),
        ("gzip, deflate, br", "br"),
        ("deflate, gzip, br, zstd", "zstd"),
    ],
)
async def test_co_1_the_client_chooses(accept: str | None, coding: str | None) -> None:
    response = (await get(answering(TEXT), accept)).assert_ok()
    response.assert_header("vary", "Accept-Encoding")
    if coding is None:
        response.assert_no_header("content-encoding").assert_body(TEXT)
    else:
        response.assert_header("content-encoding", coding)
        assert decoded(response) == TEXT.encode()


async def test_co_1_several_fields_are_one_list() -> None:
    async with TestServer((Compression(), answering(TEXT))) as app:
        fields = [("accept-encoding", "zstd;q=0"), ("accept-encoding", "br, gzip")]
        response = await app.get("/", headers=fields)
    response.assert_header("content-encoding", "br")


async def test_co_1_the_setting_has_the_order() -> None:
    response = await get(answering(TEXT), ALL, codings=["gzip", "br"])
    response.assert_header("content-encoding", "gzip")
    (await get(answering(TEXT), "zstd", codings=["gzip"])).assert_no_header("content-encoding")


# -- CO-2 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "answer",
    [
        answering(TEXT, content_encoding="own"),
        answering(TEXT, status=206, content_type="multipart/byteranges; boundary=x"),
        answering("", content_range="bytes */1320", status=416),
        answering(TEXT, cache_control="max-age=60, No-Transform"),
        answering(TEXT, cache_control="no-transform"),
        answering(NOISE.hex(), status=204),
        answering(None, status=201),
        answering(None),
        None,
    ],
)
@pytest.mark.parametrize("accept", ["gzip", None])
async def test_co_2_what_is_left(answer: Any, accept: str | None) -> None:
    async with TestServer(answer) as app:
        plain = await app.get("/")
    response = await get(answer, accept)
    assert (response.status, response.body) == (plain.status, plain.body)
    headers = [
        sorted(each for each in r.headers.items() if each[0] != "date") for r in (plain, response)
    ]
    assert headers[0] == headers[1]
    response.assert_no_header("vary")


@pytest.mark.parametrize(
    ("content_type", "is_coded"),
    [
        ("text/html; charset=utf-8", True),
        ("TEXT/HTML;charset=utf-8", True),
        ("application/json", True),
        ("application/wasm", True),
        ("application/x-tar", True),
        ("image/svg+xml", True),
        ("image/bmp", True),
        ("font/ttf", True),
        ("not a type", True),
        ("image/png", False),
        ("IMAGE/JPEG", False),
        ("image/webp ; x=y", False),
        ("video/mp4", False),
        ("audio/ogg", False),
        ("font/woff2", False),
        ("application/zip", False),
        ("application/gzip", False),
        ("application/zstd", False),
        ("application/epub+zip", False),
        ("application/pdf", False),
        ("application/octet-stream", False),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", False),
        ("application/vnd.oasis.opendocument.text", False),
        ("multipart/mixed; boundary=x", False),
        ("application/x-own", False),
        ("model/gltf-binary", False),
        ("model/obj", False),
    ],
)
async def test_co_2_some_types_are_left(content_type: str, is_coded: bool) -> None:
    answer = answering(TEXT, content_type=content_type)
    response = await get(answer, skip_types=["application/X-Own", "model/*"])
    assert ("content-encoding" in response.headers) is is_coded
    assert ("vary" in response.headers) is is_coded
    response.assert_header("content-type", content_type)


@pytest.mark.parametrize("skipped", ["image/svg+xml", "image/*"])
async def test_co_2_a_type_can_be_skipped_that_is_not_by_default(skipped: str) -> None:
    answer = answering(TEXT, content_type="image/svg+xml")
    (await get(answer, skip_types=[skipped])).assert_no_header("content-encoding")


@pytest.mark.parametrize(("size", "is_coded"), [(499, False), (500, True), (501, True)])
@pytest.mark.parametrize("kind", ["bytes", "stream", "file"])
async def test_co_2_short_bodies_are_left(
    size: int, is_coded: bool, kind: str, tmp_path: Path
) -> None:
    data = b"x" * size

    async def answer(conn: tt.Conn) -> tt.Conn:
        match kind:
            case "bytes":
                return conn.ok(data)
            case "stream":
                return conn.ok(tt.Body.streaming(one(data), len(data)))
        path = tmp_path / "file"
        path.write_bytes(data)
        return conn.ok(tt.Body.from_path(path))

    response = await get(answer)
    assert ("content-encoding" in response.headers) is is_coded
    assert (decoded(response) if is_coded else response.body) == data
    if not is_coded:
        response.assert_header("content-length", str(size))


@pytest.mark.parametrize(("size", "is_coded"), [(29, False), (30, True)])
async def test_co_2_the_least_size_is_a_setting(size: int, is_coded: bool) -> None:
    response = await get(answering("x" * size), min_bytes=30)
    assert ("content-encoding" in response.headers) is is_coded


async def test_co_2_an_upgrade_is_left() -> None:
    class Echo(tt.Handler):
        async def run(self, conn: tt.Conn) -> tt.Conn:
            return conn.with_response_header("upgrade", "x").upgrade()

        def has_upgrade(self, upgrade: tt.Upgrade) -> bool:
            return True

        async def upgrade(self, upgrade: tt.Upgrade) -> None:
            await upgrade.transport.send_all(TEXT.encode())

    async with serving((Compression(), Echo())) as app:
        client = app.connect()
        await client.send(request("/", *UPGRADE, "Accept-Encoding: gzip"))
        response = await client.response()
        assert response.status == 101
        assert not {"vary", "content-encoding"} & response.headers.keys()
        assert (await client.rest()).decode() == TEXT


async def test_co_2_an_event_stream_is_left(autojump_clock: object) -> None:
    async def ticks(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
        for n in range(100):
            yield f"{n}"

    async with TestServer((Compression(), EventStream(ticks))) as app:
        events = app.events("/", headers={"accept-encoding": ALL})
        assert [event.data async for event in events] == [f"{n}" for n in range(100)]
        assert "content-encoding" not in (events.headers or {})


async def test_co_2_files_that_were_compressed_before_are_left(tmp_path: Path) -> None:
    for name in ("a.txt", "b.txt"):
        (tmp_path / name).write_text(TEXT)
    (tmp_path / "a.txt.gz").write_bytes(b"compressed before")
    headers = {"accept-encoding": "gzip"}
    async with TestServer((Compression(), Static(tmp_path, precompressed=True))) as app:
        response = (await app.get("/a.txt", headers=headers)).assert_body(b"compressed before")
        response.assert_header("vary", "accept-encoding")
        assert response.headers["content-length"] == "17"
        response = await app.get("/b.txt", headers=headers)
        assert decoded(response) == TEXT.encode()
        headers["if-none-match"] = response.headers["etag"]
        assert headers["if-none-match"].startswith('W/"')
        response = (await app.get("/b.txt", headers=headers)).assert_status(304)
        response.assert_header("etag", headers["if-none-match"])


# -- CO-3 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("size", [600, 65_536, 65_537, 1_000_000])
async def test_co_3_a_body_in_memory(
    coding: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = (TEXT.encode() * (size // len(TEXT) + 1))[:size]
    inline: list[bool] = []
    spy(monkeypatch, lambda _: inline.append(is_main()))
    response = (await get(answering(data), coding)).assert_header("content-encoding", coding)
    response.assert_header("content-length", str(len(response.body)))
    assert len(response.body) < len(data)
    assert decoded(response) == data
    assert inline == [size <= 65_536]


@pytest.mark.parametrize("coding", CODINGS)
async def test_co_3_what_does_not_become_smaller_is_sent_as_it_is(coding: str) -> None:
    answer = answering(NOISE, etag='"strong"', accept_ranges="bytes")
    response = (await get(answer, coding)).assert_body(NOISE)
    response.assert_no_header("content-encoding").assert_header("vary", "Accept-Encoding")
    response.assert_header("etag", '"strong"').assert_header("accept-ranges", "bytes")


async def test_co_3_a_level_is_a_setting() -> None:
    data = bytes(Random(2).choices(b"abcdefgh", k=20_000))
    sizes = []
    for name, setting, levels in [
        ("gzip", "gzip_level", (1, 9)),
        ("br", "brotli_level", (0, 11)),
        ("zstd", "zstd_level", (1, 19)),
    ]:
        settings: list[dict[str, Any]] = [{setting: level} for level in levels]
        sizes.append([len((await get(answering(data), name, **each)).body) for each in settings])
    assert all(low > high for low, high in sizes)


@pytest.mark.parametrize("how", ["cut", "leaves"])
async def test_co_3_cancelled_while_it_is_coded(
    how: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    started, proceed = trio.Event(), threading.Event()

    def wait(data: bytes | memoryview) -> None:
        anyio.from_thread.run_sync(started.set)
        proceed.wait()

    spy(monkeypatch, wait)
    try:
        async with serving((Compression(), answering(TEXT * 100))) as app:
            client = app.connect()
            await client.send(request("/", "Accept-Encoding: gzip"))
            await started.wait()
            if how == "leaves":
                await client.stream.aclose()
                proceed.set()
            else:
                app.handle.cancel("now")
                response = await client.response()
                assert (response.status, response.is_whole) == (503, True)
                assert "content-encoding" not in response.headers
    finally:
        proceed.set()
    assert "ERROR" not in [record.levelname for record in caplog.records]


# -- CO-4 --------------------------------------------------------------------------------------


async def one(data: bytes) -> AsyncIterator[bytes]:
    yield data


class Reader:
    """Reads a response piece by piece, and decodes each as it comes."""

    def __init__(self, client: Peer, coding: str) -> None:
        self._client = client
        self._parser = h11.Connection(h11.CLIENT)
        self._parser.send(h11.Request(method="GET", target="/", headers=[("host", "x")]))
        self._parser.send(h11.EndOfMessage())
        self.decoder = Decoder(coding)
        self.headers: dict[str, str] = {}
        self.trailers: dict[str, str] = {}

    async def receive(self) -> bytes | None:
        """Return what the next bytes of the body mean; None at its end."""
        while True:
            match event := self._parser.next_event():
                case h11.NEED_DATA:
                    self._parser.receive_data(await self._client.receive())
                case h11.Response(headers=headers):
                    self.headers = {name.decode(): value.decode() for name, value in headers}
                case h11.Data(data=data):
                    return self.decoder.feed(bytes(data))
                case h11.EndOfMessage(headers=headers):
                    self.trailers = {name.decode(): value.decode() for name, value in headers}
                    return None
                case _:
                    raise AssertionError(event)


@pytest.mark.parametrize("coding", CODINGS)
async def test_co_4_a_stream_is_not_delayed(coding: str, autojump_clock: object) -> None:
    lines = [b'{"n": %d}\n' % n for n in range(5)]

    async def slowly() -> AsyncIterator[bytes]:
        for line in lines:
            yield line
            await trio.sleep(60)

    async with serving((Compression(), answering(tt.Body.of(slowly())))) as app:
        client = app.connect()
        start = trio.current_time()
        await client.send(request("/", f"Accept-Encoding: {coding}"))
        reader = Reader(client, coding)
        for n, line in enumerate(lines):
            assert await reader.receive() == line
            assert trio.current_time() - start == 60 * n
        assert await reader.receive() == b""
        assert trio.current_time() - start == 60 * 5
        assert await reader.receive() is None
        assert reader.decoder.is_whole
        assert reader.headers["content-encoding"] == coding
        assert reader.headers["transfer-encoding"] == "chunked"
        await client.stream.aclose()


async def test_co_4_an_event_stream_of_another_kind_is_not_delayed(autojump_clock: object) -> None:
    async def events() -> AsyncIterator[bytes]:
        for n in range(3):
            yield b"data: %d\n\n" % n
            await trio.sleep(1)

    answer = answering(tt.Body.of(events()), content_type="text/event-stream")
    async with serving((Compression(), answer)) as app:
        client = app.connect()
        await client.send(request("/", "Accept-Encoding: gzip"))
        reader = Reader(client, "gzip")
        start = trio.current_time()
        for n in range(3):
            assert await reader.receive() == b"data: %d\n\n" % n
            assert trio.current_time() - start == n
        await client.stream.aclose()


@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_co_4_a_file(coding: str, version: str, tmp_path: Path) -> None:
    path = tmp_path / "file"
    data = TEXT.encode() * 500  # of three pieces
    path.write_bytes(data)
    async with serving((Compression(), answering(tt.Body.from_path(path)))) as app:
        client = app.connect()
        await client.send(request("/", f"Accept-Encoding: {coding}", version=version))
        response = await client.response()
        await client.stream.aclose()
    assert response.is_whole
    assert len(response.body) < len(data) / 10
    assert decode(coding, response.body) == data
    assert "content-length" not in response.headers


async def test_co_4_a_file_that_is_not_there(caplog: pytest.LogCaptureFixture) -> None:
    response = await get(answering(tt.Body.from_path("/does/not/exist")))
    response.assert_status(500).assert_no_header("content-encoding")
    assert "FileNotFoundError" in caplog.text


async def test_co_4_an_empty_stream() -> None:
    async def nothing() -> AsyncIterator[bytes]:
        yield b""

    assert decoded(await get(answering(tt.Body.of(nothing())))) == b""


@pytest.mark.parametrize("length", [4, 6])
async def test_co_4_a_declared_length_is_checked(
    length: int, caplog: pytest.LogCaptureFixture
) -> None:
    answer = answering(tt.Body.streaming(one(b"12345"), length))
    async with serving((Compression(min_bytes=0), answer)) as app:
        client = app.connect()
        await client.send(request("/", "Accept-Encoding: gzip"))
        assert not (await client.response()).is_whole
        await client.stream.aclose()
    assert f"gave 5 bytes where {length} were declared" in caplog.text


async def test_co_4_trailers_are_kept_but_digests() -> None:
    async def answer(conn: tt.Conn) -> tt.Conn:
        async def pieces() -> AsyncIterator[bytes]:
            yield TEXT.encode()
            conn.response_trailers.set("server-timing", "db;dur=1")
            conn.response_trailers.set("repr-digest", "sha-256=:AAAA:")

        return conn.ok(pieces())

    async with serving((Compression(), answer)) as app:
        client = app.connect()
        fields = ("Accept-Encoding: gzip", "TE: trailers", "Connection: te")
        await client.send(request("/", *fields))
        reader = Reader(client, "gzip")
        assert await reader.receive() == TEXT.encode()
        while await reader.receive() is not None:
            pass
        assert reader.trailers == {"server-timing": "db;dur=1"}
        await client.stream.aclose()


async def test_co_4_others_run_after_every_64_kib(monkeypatch: pytest.MonkeyPatch) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for size in (1000, 64_536, 1, 65_536, 65_537, 1):
            yield b"x" * size

    inline: list[tuple[int, bool]] = []
    spy(monkeypatch, lambda piece: inline.append((len(piece), is_main())))
    response = await get(answering(tt.Body.of(pieces())))
    assert decoded(response) == b"x" * 196_611
    assert inline == [
        (1000, True),
        (64_536, True),
        (1, False),
        (65_536, True),
        (65_537, False),
        (1, True),
    ]


@pytest.mark.parametrize("size", [2000, 100_000])
async def test_co_4_what_an_asgi_application_sends_is_not_delayed(size: int) -> None:
    data = Random(4).randbytes(size)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", "no lifespan here"
        await send({"type": "http.response.start", "status": 200, "trailers": True})
        for _ in range(3):
            await send({"type": "http.response.body", "body": data, "more_body": True})
            # The client has it by now.
            decoded = b""
            while len(decoded) < size:
                decoded += await reader.receive() or b""
            assert decoded == data
        await send({"type": "http.response.body"})
        await send({"type": "http.response.trailers", "headers": [(b"x-count", b"3")]})
        sent.set()

    sent = trio.Event()
    async with serving((Compression(), Asgi(app))) as server:
        client = server.connect()
        reader = Reader(client, "br")
        fields = ("Accept-Encoding: br", "TE: trailers", "Connection: te")
        await client.send(request("/", *fields))
        with trio.fail_after(60):
            await sent.wait()
        while await reader.receive() is not None:
            pass
        assert reader.decoder.is_whole
        assert reader.trailers == {"x-count": "3"}
        await client.stream.aclose()


@pytest.mark.parametrize("kind", ["memory", "stream", "file"])
def test_co_4_under_a_server_that_is_not_ours(kind: str, tmp_path: Path) -> None:
    data = TEXT.encode() * 100
    (tmp_path / "file").write_bytes(data)

    async def main() -> None:
        bodies = {
            "memory": tt.Body(data),
            "stream": tt.Body.of(one(data)),
            "file": tt.Body.from_path(tmp_path / "file"),
        }
        transport = httpx.ASGITransport(to_asgi((Compression(), answering(bodies[kind]))))
        async with httpx.AsyncClient(transport=transport, base_url="http://elsewhere") as client:
            response = await client.get("/", headers={"accept-encoding": "gzip"})
        assert response.headers["content-encoding"] == "gzip"
        assert response.content == data

    asyncio.run(main())


# -- CO-5 --------------------------------------------------------------------------------------


class Source:
    """Notes what is opened and closed."""

    def __init__(self, log: list[str], *, breaks: bool = False) -> None:
        self._log = log
        self._breaks = breaks

    async def __aenter__(self) -> None:
        self._log.append("entered")

    async def __aexit__(self, *_: object) -> None:
        self._log.append("exited")

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            yield b"one"
            if self._breaks:
                raise RuntimeError("broken")
            await trio.sleep(1)
            yield b"two"
            await trio.sleep_forever()
        finally:
            self._log.append("iterator")

    async def aclose(self) -> None:
        self._log.append("source")


@pytest.mark.parametrize("how", ["breaks", "cut", "leaves", "is reset"])
@pytest.mark.parametrize("coding", CODINGS)
async def test_co_5_the_source_is_closed(how: str, coding: str, autojump_clock: object) -> None:
    log: list[str] = []
    source = tt.Body.of(Source(log, breaks=how == "breaks"))
    config = tt.config().with_drain_timeout(5)
    async with TestServer((Compression(), answering(source)), config) as app:
        client = app.connect()
        await client.send(request("/", f"Accept-Encoding: {coding}"))
        await settled()
        assert log[0] == "entered"
        match how:
            case "breaks":
                assert not (await client.receive_until_closed()).endswith(b"0\r\n\r\n")
            case "cut":
                await app.shut_down()
                assert not (await client.receive_until_closed()).endswith(b"0\r\n\r\n")
            case "leaves":
                client.close()
                await trio.sleep(2)
            case "is reset":
                client.reset()
                await trio.sleep(2)
        assert log == ["entered", "iterator", "exited", "source"]


async def test_co_5_a_drain_waits_for_the_end(autojump_clock: object) -> None:
    async def until_stop(conn: tt.Conn) -> tt.Conn:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"until "
            await conn.swansong.shutting_down()
            await trio.sleep(3)
            yield b"the end"

        return conn.ok(pieces())

    async with serving((Compression(), until_stop)) as app:
        client = app.connect()
        await client.send(request("/", "Accept-Encoding: gzip"))
        await settled()
        app.handle.shut_down()
        response = await client.response()
        assert response.is_whole
        assert decode("gzip", response.body) == b"until the end"
        assert (await app.handle).is_clean


@pytest.mark.parametrize("how", ["head", "before_send raises"])
async def test_co_5_also_if_it_is_not_sent(how: str) -> None:
    class Outer(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            if how != "head":
                raise RuntimeError
            return conn

    log: list[str] = []
    answer = answering(tt.Body.of(Source(log)))
    async with TestServer((Outer(), Compression(), answer)) as app:
        method = "HEAD" if how == "head" else "GET"
        response = await app.request(method, "/", headers={"accept-encoding": "gzip"})
    assert response.status == (200 if how == "head" else 500)
    assert log == (["entered", "exited", "source"] if how == "head" else ["source"])


# -- CO-6 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["gzip", None, "identity", "gzip;q=0"])
@pytest.mark.parametrize(
    ("vary", "expected"),
    [
        ([], "Accept-Encoding"),
        (["Origin"], "Origin, Accept-Encoding"),
        (["accept-encoding, Origin"], "accept-encoding, Origin"),
        (["*"], "*"),
    ],
)
async def test_co_6_caches_are_told(accept: str | None, vary: list[str], expected: str) -> None:
    async def answer(conn: tt.Conn) -> tt.Conn:
        for each in vary:
            conn.with_added_response_header("vary", each)
        return conn.ok(TEXT)

    (await get(answer, accept)).assert_header("vary", expected)


@pytest.mark.parametrize("kind", ["bytes", "stream"])
async def test_co_6_fields_of_the_content_as_it_was_are_gone(kind: str) -> None:
    data = TEXT.encode()
    fields: dict[str, Any] = {
        "etag": '"v1"',
        "accept_ranges": "bytes",
        "content_length": str(len(data)),
        "content_digest": "sha-256=:AAAA:",
        "repr_digest": "sha-256=:AAAA:",
        "digest": "sha-256=AAAA",
        "content_md5": "AAAA",
        "last_modified": "Thu, 26 Nov 2026 14:55:51 GMT",
    }

    def answer() -> Any:
        body = data if kind == "bytes" else tt.Body.streaming(one(data), len(data))
        return answering(body, **fields)

    response = (await get(answer())).assert_header("etag", 'W/"v1"')
    response.assert_header("last-modified").assert_header("content-encoding", "gzip")
    for name in ("accept-ranges", "content-digest", "repr-digest", "digest", "content-md5"):
        response.assert_no_header(name)
    length = str(len(response.body)) if kind == "bytes" else None
    assert response.headers.get("content-length") == length
    assert decoded(response) == data

    response = (await get(answer(), None)).assert_header("etag", '"v1"').assert_body(data)
    response.assert_header("accept-ranges").assert_header("repr-digest")


@pytest.mark.parametrize("accept", ["gzip", None])
async def test_co_6_text_stays_text(accept: str | None) -> None:
    response = await get(answering(TEXT), accept)
    response.assert_header("content-type", "text/plain; charset=utf-8")
    own = await get(answering(TEXT, content_type="text/html"), accept)
    own.assert_header("content-type", "text/html")
    (await get(answering(TEXT.encode()), accept)).assert_no_header("content-type")


async def test_co_6_a_weak_tag_stays_as_it_is() -> None:
    (await get(answering(TEXT, etag='W/"v1"'))).assert_header("etag", 'W/"v1"')


async def test_co_6_a_second_compression_changes_nothing() -> None:
    response = await get((Compression(), answering(TEXT)))
    response.assert_header("content-encoding", "gzip").assert_header("vary", "Accept-Encoding")
    assert decoded(response) == TEXT.encode()


async def test_co_6_the_answer_to_an_exception_is_coded() -> None:
    async def fail(conn: tt.Conn) -> tt.Conn:
        raise tt.HttpError(409)

    response = (await get(fail, min_bytes=0)).assert_status(409)
    response.assert_body("Conflict\n").assert_header("vary", "Accept-Encoding")  # not smaller


# -- CO-7 --------------------------------------------------------------------------------------


@pytest.mark.parametrize("accept", ["gzip", "zstd", None])
@pytest.mark.parametrize("kind", ["text", "short", "noise", "file", "stream"])
async def test_co_7_head_has_the_fields_of_get(
    accept: str | None, kind: str, tmp_path: Path
) -> None:
    path = tmp_path / "file"
    path.write_text(TEXT, encoding="utf-8")

    async def answer(conn: tt.Conn) -> tt.Conn:
        bodies: dict[str, BodyLike] = {
            "text": TEXT,
            "short": "short",
            "noise": NOISE,
            "file": tt.Body.from_path(path),
            "stream": one(TEXT.encode()),
        }
        return conn.ok(bodies[kind]).with_response_header("etag", '"v1"')

    fields = []
    for method in ("GET", "HEAD"):
        response = await get((Head(), answer), accept, method=method)
        headers = response.headers.copy()
        for name in ("date", "transfer-encoding"):
            headers.remove(name)
        fields.append(sorted(headers.items()))
    assert fields[0] == fields[1]
    assert response.body == b""


@pytest.mark.parametrize(
    ("accept", "etag"), [("gzip", 'W/"v1"'), (None, '"v1"'), ("gzip;q=0", '"v1"')]
)
async def test_co_7_not_modified(accept: str | None, etag: str) -> None:
    response = await get(answering(None, status=304, etag='"v1"'), accept)
    response.assert_status(304).assert_header("etag", etag)
    response.assert_header("vary", "Accept-Encoding").assert_no_header("content-encoding")


@pytest.mark.parametrize("accept", ["gzip", None])
@pytest.mark.parametrize("size", [10, 1000])
async def test_co_7_a_part_is_sent_as_it_is(accept: str | None, size: int) -> None:
    part = TEXT[:size].encode()
    fields = {"content_range": f"bytes 0-{size - 1}/1320", "etag": '"v1"', "accept_ranges": "bytes"}
    response = await get(answering(part, status=206, **fields), accept)
    response.assert_status(206).assert_body(part).assert_header("etag", '"v1"')
    response.assert_no_header("content-encoding").assert_header("vary", "Accept-Encoding")
    response.assert_header("accept-ranges", "bytes").assert_header("content-length", str(size))


@pytest.mark.parametrize(
    "fields", [{"content_type": "image/png"}, {"cache_control": "no-transform"}]
)
async def test_co_7_not_modified_of_what_is_left(fields: dict[str, str]) -> None:
    response = await get(answering(None, status=304, etag='"v1"', **fields))
    response.assert_header("etag", '"v1"').assert_no_header("vary")


# -- CO-8 --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"codings": ["deflate"]}, "'deflate' is no coding; there are zstd, br, gzip"),
        ({"codings": []}, "must be different ones"),
        ({"codings": ["gzip", "gzip"]}, "must be different ones"),
        ({"gzip_level": 0}, "the level of gzip must be a whole number from 1 to 9, not 0"),
        ({"gzip_level": 10}, "from 1 to 9"),
        ({"gzip_level": True}, "from 1 to 9"),
        ({"brotli_level": -1}, "the level of br must be a whole number from 0 to 11"),
        ({"brotli_level": 12}, "from 0 to 11"),
        ({"zstd_level": 0}, "from 1 to 19"),
        ({"zstd_level": 20}, "from 1 to 19"),
        ({"zstd_level": "3"}, "from 1 to 19, not '3'"),
        ({"min_bytes": -1}, "Compression.min_bytes must be a whole number from 0"),
        ({"skip_types": "model/*"}, r"a list, such as \['model/\*'\]"),
        ({"skip_types": ["model"]}, "'model' is no media type"),
        ({"skip_types": ["*/*"]}, "is no media type"),
        ({"skip_types": ["text/html; charset=utf-8"]}, "is no media type"),
    ],
)
def test_co_8_a_wrong_setting_is_a_config_error(settings: dict[str, Any], reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        Compression(**settings)


@pytest.mark.parametrize(
    ("coding", "module", "extra"), [("zstd", zstd.__name__, "zstd"), ("br", "brotli", "brotli")]
)
async def test_co_8_what_is_not_installed_is_left_out_unless_it_was_asked_for(
    coding: str, module: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'trillium-trio\[{extra}\]'"):
        Compression(codings=["gzip", coding])
    (await get(answering(TEXT), f"{coding}, gzip;q=0.1")).assert_header("content-encoding", "gzip")
    (await get(answering(TEXT), coding)).assert_no_header("content-encoding")


async def test_co_8_one_coding_by_its_name() -> None:
    response = await get(answering(TEXT), ALL, codings="br")
    response.assert_header("content-encoding", "br")


async def test_co_8_the_window_of_zstandard_is_one_that_clients_accept() -> None:
    """RFC 9659: at most 8 MiB."""
    data = Random(3).randbytes(100_000) + bytes(9 << 20)
    limit = {zstd.DecompressionParameter.window_log_max: 23}
    for body in (data, one(data)):
        response = await get(answering(body), "zstd", zstd_level=19)
        assert zstd.decompress(response.body, options=limit) == data
