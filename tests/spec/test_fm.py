"""The clauses of docs/spec/forms.md."""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

import trillium_trio as tt
from tests.wire import settled
from trillium_trio.exceptions import ConfigError, MisuseError
from trillium_trio.handlers import Form, Forms, Upload
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from trio.testing import MockClock

    from trillium_trio.testing import TestResponse

URLENCODED = {"content-type": "application/x-www-form-urlencoded"}
MULTIPART = {"content-type": "multipart/form-data; boundary=x"}


def field(name: str, value: str | bytes) -> bytes:
    data = value.encode() if isinstance(value, str) else value
    return b'--x\r\nContent-Disposition: form-data; name="%b"\r\n\r\n%b\r\n' % (
        *(name.encode(), data),
    )


def file(name: str, filename: str, data: bytes, *, kind: str = "image/png") -> bytes:
    return (
        b'--x\r\nContent-Disposition: form-data; name="%b"; filename="%b"\r\n'
        b"Content-Type: %b\r\n\r\n%b\r\n"
    ) % (name.encode(), filename.encode(), kind.encode(), data)


END = b"--x--\r\n"


async def cut(body: bytes, size: int) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def show(conn: tt.Conn) -> tt.Conn:
    form = await Forms.of(conn).read()
    files = {
        name: [
            (each.filename, each.content_type, each.size, (await each.read())[:20].decode())
            for each in form.get_files(name)
        ]
        for name in form.files
    }
    return conn.ok(f"{ {name: form.get_all(name) for name in form} } {files}")


async def post(body: Any, headers: dict[str, str] = MULTIPART, **limits: Any) -> TestResponse:
    async with TestServer((Forms(**limits), show)) as app:
        return await app.post("/", body=body, headers=headers)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "{} {}"),
        (b"a=1&b=2&a=3", "{'a': ['1', '3'], 'b': ['2']} {}"),
        (b"a=&=b&c", "{'a': [''], '': ['b'], 'c': ['']} {}"),
        (b"a=%C3%A9+%26", "{'a': ['é &']} {}"),
        (b"a=\xc3\xa9", "{'a': ['é']} {}"),  # as curl sends it
        (b"a=1;b=2", "{'a': ['1;b=2']} {}"),
    ],
)
async def test_fm_1_an_urlencoded_form(body: bytes, expected: str) -> None:
    (await post(body, URLENCODED)).assert_ok().assert_body(expected)


async def test_fm_1_a_multipart_form() -> None:
    body = field("a", "1") + field("b", "é") + field("a", "3") + file("f", "x.png", b"data") + END
    response = await post(body)
    response.assert_ok().assert_body(
        "{'a': ['1', '3'], 'b': ['é']} {'f': [('x.png', 'image/png', 4, 'data')]}"
    )


async def test_fm_1_it_may_come_in_single_bytes() -> None:
    body = field("a", "1" * 50) + file("f", "x", b"--z\r\n\r\n--y", kind="text/plain") + END

    async def bytes_of_it() -> AsyncIterator[bytes]:
        for each in body:
            yield bytes([each])

    response = (await post(bytes_of_it())).assert_ok()
    assert response.text.endswith("{'f': [('x', 'text/plain', 10, '--z\\r\\n\\r\\n--y')]}")


async def test_fm_1_a_second_call_returns_the_same_form() -> None:
    async def twice(conn: tt.Conn) -> tt.Conn:
        first = await Forms.of(conn).read()
        assert await Forms.of(conn).read() is first
        assert first is Form.of(conn)
        assert first["a"] == first.get_all("a")[0] == "1"
        assert "b" not in first
        assert not first.get_all("b")
        assert not first.get_files("b")
        assert repr(first) == "<Form a>"
        return conn.ok("")

    async with TestServer((Forms(), twice)) as app:
        (await app.post("/", body=b"a=1", headers=URLENCODED)).assert_ok()


@pytest.mark.parametrize(
    ("body", "headers"),
    [(b"a=1&b=2&c=3", URLENCODED), (field("a", "1") + field("b", "2") + END, MULTIPART)],
)
async def test_fm_1_half_a_form_is_never_returned(
    body: bytes, headers: dict[str, str], autojump_clock: MockClock
) -> None:
    async def slowly() -> AsyncIterator[bytes]:
        yield body[: len(body) // 2]
        await trio.sleep(10)
        yield body[len(body) // 2 :]

    async def twice(conn: tt.Conn) -> tt.Conn:
        with trio.move_on_after(5):
            await Forms.of(conn).read()
        with pytest.raises(MisuseError, match="has been read"):
            await Forms.of(conn).read()
        return conn.ok("")

    async with TestServer((Forms(), twice)) as app:
        (await app.post("/", body=slowly(), headers=headers)).assert_ok()


async def test_fm_1_no_body_is_an_empty_form() -> None:
    async with TestServer((Forms(), show)) as app:
        (await app.get("/")).assert_ok().assert_body("{} {}")


@pytest.mark.parametrize("kind", ["application/json", "multipart/mixed; boundary=x", ""])
async def test_fm_1_another_media_type_is_a_415(kind: str) -> None:
    response = await post(b"{}", {"content-type": kind})
    response.assert_status(415)
    accept = "application/x-www-form-urlencoded, multipart/form-data"
    response.assert_header("accept", accept)


async def test_fm_1_without_the_handler_the_error_names_it() -> None:
    async def asks(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(MisuseError, match="Forms leaves it"):
            Forms.of(conn)
        return conn.ok("")

    async with TestServer(asks) as app:
        (await app.get("/")).assert_ok()


@pytest.mark.parametrize(("size", "is_on_disk"), [(1000, False), (1001, True), (200_000, True)])
async def test_fm_2_large_files_are_on_disk(size: int, is_on_disk: bool, tmp_path: Path) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]

    async def look(conn: tt.Conn) -> tt.Conn:
        upload = (await Forms.of(conn).read()).files["f"]
        # A file in memory has no descriptor.
        try:
            upload.file.fileno()
        except OSError:
            assert not is_on_disk
        else:
            assert is_on_disk
        assert upload.size == size
        assert upload.file.read(10) == data[:10]
        assert await upload.read() == data
        assert b"".join([piece async for piece in upload]) == data
        await upload.save(tmp_path / "kept")
        assert repr(upload) == f"<Upload 'f': 'x.bin', {size} bytes>"
        return conn.ok("")

    async with TestServer((Forms(spool_bytes=1000), look)) as app:
        body = file("f", "x.bin", data) + END
        (await app.post("/", body=body, headers=MULTIPART)).assert_ok()
    assert (tmp_path / "kept").read_bytes() == data


async def test_fm_2_a_disk_may_take_less_than_it_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    class Reluctant(io.FileIO):
        def write(self, data: Any) -> int:
            return super().write(memoryview(data)[:7])

    def temporary_file(**_: Any) -> Reluctant:
        return Reluctant(os.memfd_create("disk"), "w+")

    monkeypatch.setattr("tempfile.TemporaryFile", temporary_file)
    data = bytes(range(256)) * 40

    async def look(conn: tt.Conn) -> tt.Conn:
        assert await (await Forms.of(conn).read()).files["f"].read() == data
        return conn.ok("")

    async with TestServer((Forms(spool_bytes=1000), look)) as app:
        body = cut(file("f", "x.bin", data) + END, 500)
        (await app.post("/", body=body, headers=MULTIPART)).assert_ok()


async def test_fm_2_a_file_that_was_not_chosen_is_left_out() -> None:
    body = file("f", "", b"") + file("g", "", b"x") + file("h", "empty", b"") + END
    response = await post(body)
    response.assert_body(
        "{} {'g': [('', 'image/png', 1, 'x')], 'h': [('empty', 'image/png', 0, '')]}"
    )


class Kept:
    """A handler that keeps the files of its forms, to see whether they are closed."""

    def __init__(self) -> None:
        self.uploads: list[Upload] = []
        self.is_waiting = trio.Event()

    async def __call__(self, conn: tt.Conn) -> tt.Conn:
        form = await Forms.of(conn).read()
        self.uploads += form.get_files("f")
        if conn.path == "/fail":
            raise RuntimeError("on purpose")
        if conn.path == "/wait":
            self.is_waiting.set()
            await trio.sleep_forever()
        if conn.path == "/leave":
            self.is_waiting.set()
            async with conn.cancel_on_disconnect():
                await trio.sleep_forever()
        return conn.ok("")


TWO_FILES = file("f", "small", b"x") + file("f", "large", b"x" * 10_000) + END


@pytest.mark.parametrize(("path", "status"), [("/", 200), ("/fail", 500), ("/wait", 503)])
async def test_fm_3_files_are_removed_however_the_request_ends(
    path: str, status: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    kept = Kept()
    answers: list[TestResponse] = []
    async with TestServer((Forms(spool_bytes=100), kept)) as app, trio.open_nursery() as nursery:

        async def ask() -> None:
            answers.append(await app.post(path, body=TWO_FILES, headers=MULTIPART))

        nursery.start_soon(ask)
        if path == "/wait":
            await kept.is_waiting.wait()
            app.shut_down(timeout=1)
    assert [each.status for each in answers] == [status]
    assert [each.file.closed for each in kept.uploads] == [True, True]


async def test_fm_3_also_if_the_client_disconnects(autojump_clock: MockClock) -> None:
    kept = Kept()
    async with TestServer((Forms(spool_bytes=100), kept)) as app:
        peer = app.connect()
        head = (
            f"POST /leave HTTP/1.1\r\nHost: a\r\nContent-Type: {MULTIPART['content-type']}\r\n"
            f"Content-Length: {len(TWO_FILES)}\r\n\r\n"
        )
        await peer.send(head.encode() + TWO_FILES)
        await kept.is_waiting.wait()
        assert not kept.uploads[1].file.closed
        peer.reset()
        await settled()
        assert [each.file.closed for each in kept.uploads] == [True, True]


@pytest.mark.parametrize("cut", [len(TWO_FILES) - 4, len(TWO_FILES) - 5000, 200])
async def test_fm_3_also_if_the_form_is_malformed(cut: int) -> None:
    # A file that is not closed is a ResourceWarning, and so a failure of this test.
    (await post(TWO_FILES[:cut], spool_bytes=100)).assert_status(400)


@pytest.mark.parametrize(
    ("limits", "body", "status"),
    [
        ({"max_fields": 2}, field("a", "") * 2 + END, 200),
        ({"max_fields": 2}, field("a", "") * 3 + END, 413),
        ({"max_files": 2}, file("a", "x", b"") * 2 + END, 200),
        ({"max_files": 2}, file("a", "x", b"") * 3 + END, 413),
        ({"max_files": 0}, file("a", "x", b"") + END, 413),
        ({"max_text_bytes": 10}, field("ab", "x" * 3) * 2 + END, 200),
        ({"max_text_bytes": 10}, field("ab", "x" * 3) * 2 + field("a", "") + END, 413),
        ({"max_text_bytes": 10}, field("ab", "x" * 9) + END, 413),
        ({"max_file_bytes": 10}, file("a", "x", b"x" * 10) + END, 200),
        ({"max_file_bytes": 10}, file("a", "x", b"x" * 11) + END, 413),
        ({"max_file_bytes": 10}, file("a", "x", b"x" * 10) * 2 + END, 200),
        ({"max_file_bytes": 10}, field("a", "x" * 11) + END, 200),
        ({"max_bytes": len(TWO_FILES)}, TWO_FILES, 200),
        ({"max_bytes": len(TWO_FILES) - 1}, TWO_FILES, 413),
    ],
)
async def test_fm_4_a_form_has_limits(limits: dict[str, int], body: bytes, status: int) -> None:
    (await post(body, MULTIPART, **limits)).assert_status(status)


@pytest.mark.parametrize(
    ("limits", "body", "status"),
    [
        ({"max_fields": 2}, b"a=1&a=2", 200),
        ({"max_fields": 2}, b"a=1&a=2&a=3", 413),
        ({"max_text_bytes": 7}, b"a=1&a=2", 200),
        ({"max_text_bytes": 6}, b"a=1&a=2", 413),
        ({"max_bytes": 7}, b"a=1&a=2", 200),
        ({"max_bytes": 6}, b"a=1&a=2", 413),
    ],
)
async def test_fm_4_an_urlencoded_one_as_well(
    limits: dict[str, int], body: bytes, status: int
) -> None:
    (await post(body, URLENCODED, **limits)).assert_status(status)
    # Without a length it is counted as it arrives.
    (await post(cut(body, 1), URLENCODED, **limits)).assert_status(status)


@pytest.mark.parametrize(
    ("body", "headers"), [(TWO_FILES, MULTIPART), (b"a=" + b"x" * 1000, URLENCODED)]
)
async def test_fm_4_a_form_may_be_larger_than_other_bodies(
    body: bytes, headers: dict[str, str]
) -> None:
    config = tt.config().with_http(tt.HttpConfig(max_body_bytes=100))
    for limits, status in (({}, 413), ({"max_bytes": 100_000}, 200)):
        async with TestServer((Forms(**limits), show), config) as app:
            response = await app.post("/", body=body, headers=headers)
        response.assert_status(status)


@pytest.mark.parametrize("name", ["max_fields", "max_bytes", "spool_bytes"])
def test_fm_4_a_limit_that_is_no_number_is_a_config_error(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        Forms(**{name: -1})


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n\r\nno disposition\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: attachment; name="a"\r\n\r\n1\r\n--x--\r\n',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1',
        b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n',
        b"--x\r\nContent-Disposition form-data\r\n\r\n1\r\n--x--\r\n",
        field("a", b"\xff") + END,
        field("a", "1").replace(b"\r\n", b"\n") + END,
    ],
)
async def test_fm_5_a_malformed_form_is_a_400(body: bytes) -> None:
    (await post(body)).assert_status(400)


@pytest.mark.parametrize(
    ("before", "status"),
    [
        (b"\r\n", 200),
        (b"for old readers\r\n", 200),
        (b"for old readers" * 9 + b"\r\n", 200),
        (b"-\r\n", 200),
        (b"x", 400),
        (b"x" * 40, 400),
        (b"x" * 40 + b"\n", 400),
        (b"--", 400),
        (b"--x?\r\n", 400),
    ],
)
async def test_fm_5_what_is_before_the_first_boundary_is_read_alike_in_pieces(
    before: bytes, status: int
) -> None:
    body = before + field("a", "1") + field("b", "2") + END
    for size in (1, 2, 3, 5, 40, len(body)):
        (await post(cut(body, size))).assert_status(status)


async def test_fm_5_the_reason_does_not_repeat_what_was_sent(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    name, undecodable = "n" * 4000, b'--x\r\nX: "%b\xff"\r\n\r\n' % (b"v" * 4000)
    for body in (field(name, b"\xff") + END, undecodable):
        (await post(body)).assert_status(400)
    (await post(file(name, "x", b"12") + END, max_file_bytes=1)).assert_status(413)
    assert any("n" * 64 in message for message in caplog.messages)
    assert max(map(len, caplog.messages)) < 320


@pytest.mark.parametrize("kind", ["multipart/form-data", 'multipart/form-data; boundary=""'])
async def test_fm_5_so_is_one_without_boundary(kind: str) -> None:
    (await post(END, {"content-type": kind})).assert_status(400)


@pytest.mark.parametrize("body", [b"a=%ff", b"a=\xff"])
async def test_fm_5_so_is_text_that_is_not_utf_8(body: bytes) -> None:
    (await post(body, URLENCODED)).assert_status(400)


@pytest.mark.parametrize(
    ("sent", "seen"),
    [
        ("../../etc/passwd", "passwd"),
        (r"C:\\users\\me\\x.png", "x.png"),
        ("/", ""),
        ("a%00b\x7f\x01", "a%00b"),
        ("a\x85\x9bb", "ab"),
        ("..", ".."),
    ],
)
async def test_fm_6_names_of_files_are_only_names(sent: str, seen: str) -> None:
    response = await post(file("f", sent, b"x") + END)
    response.assert_body(f"{{}} {{'f': [({seen!r}, 'image/png', 1, 'x')]}}")


async def test_fm_7_parts_can_be_read_as_they_arrive() -> None:
    async def parts(conn: tt.Conn) -> tt.Conn:
        seen: list[object] = []
        async for part in Forms.of(conn).parts():
            match part.name:
                case "skipped":
                    seen.append(repr(part))
                case "first":
                    seen.append(len(await anext(aiter(part))))
                case _:
                    seen.append((part.filename, part.content_type, await part.read(1000)))
        return conn.ok(f"{seen}")

    body = (
        *(file("skipped", "s", b"x" * 100_000), field("a", "1"), file("first", "f", b"y" * 10)),
        *(file("b", "x.png", b"--data"), END),
    )
    async with TestServer((Forms(), parts)) as app:
        response = await app.post("/", body=b"".join(body), headers=MULTIPART)
    response.assert_ok().assert_body(
        "[\"<Part 'skipped', file 's'>\", (None, None, b'1'), 10, "
        "('x.png', 'image/png', b'--data')]"
    )


@pytest.mark.parametrize(
    ("limits", "headers", "status"),
    [
        ({"max_files": 1}, MULTIPART, 413),
        ({"max_bytes": 100}, MULTIPART, 413),
        ({}, URLENCODED, 415),
        ({}, MULTIPART, 200),
    ],
)
async def test_fm_7_the_limits_hold(
    limits: dict[str, int], headers: dict[str, str], status: int
) -> None:
    async def parts(conn: tt.Conn) -> tt.Conn:
        async for _ in Forms.of(conn).parts():
            pass
        return conn.ok("")

    async with TestServer((Forms(**limits), parts)) as app:
        response = await app.post("/", body=TWO_FILES, headers=headers)
    response.assert_status(status)


async def test_fm_7_a_part_of_text_has_the_limit_of_its_reader() -> None:
    async def parts(conn: tt.Conn) -> tt.Conn:
        return conn.ok(str([await part.read(2) async for part in Forms.of(conn).parts()]))

    async with TestServer((Forms(), parts)) as app:
        for value, status in (("12", 200), ("123", 413)):
            body = field("a", value) + END
            (await app.post("/", body=body, headers=MULTIPART)).assert_status(status)


async def test_fm_7_not_after_read() -> None:
    async def both(conn: tt.Conn) -> tt.Conn:
        await Forms.of(conn).read()
        with pytest.raises(MisuseError, match="has been read"):
            Forms.of(conn).parts()
        return conn.ok("")

    async def half(conn: tt.Conn) -> tt.Conn:
        async for _ in Forms.of(conn).parts():
            break
        with pytest.raises(MisuseError, match="has been read"):
            await Forms.of(conn).read()
        with pytest.raises(MisuseError, match="has been read"):
            Forms.of(conn).parts()
        return conn.ok("")

    for handler in (both, half):
        async with TestServer((Forms(), handler)) as app:
            (await app.post("/", body=TWO_FILES, headers=MULTIPART)).assert_ok()


async def test_fm_8_without_the_extra_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "multipart", None)
    (await post(TWO_FILES)).assert_status(500)
    assert "pip install 'trillium-trio[multipart]'" in caplog.text
    (await post(b"a=1", URLENCODED)).assert_ok()


async def test_fm_9_a_field_that_is_missing_is_a_400(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")

    async def need(conn: tt.Conn) -> tt.Conn:
        form = await Forms.of(conn).read()
        assert "name" not in form
        assert form.get("name") is None
        assert form.files.get("picture") is None
        for find in (lambda: form["name"], lambda: form.files["picture"]):
            with pytest.raises(KeyError):
                find()
        return conn.ok(form["name"] if conn.path == "/field" else form.files["picture"].filename)

    async with TestServer((Forms(), need)) as app:
        for path in ("/field", "/file"):
            (await app.post(path, body="a=b", headers=URLENCODED)).assert_status(400)
    assert "the form has no field 'name'" in caplog.text
    assert "the form has no file 'picture'" in caplog.text
    assert "Traceback" not in caplog.text
