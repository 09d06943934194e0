"""ST: files, in memory. What needs real sockets is in tests/e2e/test_static.py."""

from __future__ import annotations

import gzip
import os
import re
import socket
import sys
import zipfile
from email import message_from_bytes
from email.message import Message
from typing import TYPE_CHECKING

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

import trillium_trio as tt
from trillium_trio.handlers import CachingHeaders, Router, Static
from trillium_trio.handlers.static import _folder
from trillium_trio.handlers.static._path import names_of
from trillium_trio.handlers.static._types import CONTENT_TYPES
from trillium_trio.http import http_date
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from trillium_trio.conn import HandlerLike
    from trillium_trio.testing import TestResponse

LARGE = 200_000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path / "root"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.txt").write_text("0123456789")
    (root / "large.bin").write_bytes(os.urandom(LARGE))
    (root / "nothing.txt").touch()
    (root / "a b+ü.txt").write_text("named")
    (root / "sub" / "index.html").write_text("<p>sub</p>")
    (root / "sub" / "page.html").write_text("<p>page</p>")
    (root / ".hidden").write_text("hidden")
    (tmp_path / "outside.txt").write_text("outside")
    return root


@pytest.fixture
def keeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are kept in memory at once, though they have just been made."""
    monkeypatch.setattr(_folder, "_SETTLED_NS", -10_000_000_000)


async def get(handler: HandlerLike, path: str, method: str = "GET", **fields: str) -> TestResponse:
    async with TestServer(handler) as app:
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        return await app.request(method, path, headers=headers)


# -- ST-1 ------------------------------------------------------------------------------------------


async def test_st_1_a_file_is_found_alone_mounted_and_below_a_route(root: Path) -> None:
    router = Router().mount("/m", Static(root)).get("/r/{rest:path}", Static(root))
    async with TestServer((router, Static(root))) as app:
        for front in ("", "/m", "/r"):
            (await app.get(f"{front}/a.txt")).assert_status(200).assert_body("0123456789")
            (await app.get(f"{front}/sub/page.html")).assert_body("<p>page</p>")
            (await app.get(f"{front}/a%20b+%C3%BC.txt?q")).assert_body("named")
        (await app.get("/m/m/a.txt")).assert_status(404)
        (await app.get("/%61.txt")).assert_status(200)


async def test_st_1_what_is_not_found_is_passed_on(root: Path) -> None:
    async with TestServer((Static(root), "the next")) as app:
        for path in ("/b.txt", "/a.txt/", "/a.txt/b", "/sub/none", "/..%2fa.txt", "/%", "*"):
            method = "OPTIONS" if path == "*" else "GET"
            (await app.request(method, path)).assert_status(200).assert_body("the next")
        for method in ("POST", "PUT", "DELETE", "OPTIONS", "PATCH"):
            (await app.request(method, "/a.txt")).assert_body("the next")
        (await app.get("/a.txt")).assert_body("0123456789")


async def test_st_1_an_earlier_router_decides(root: Path) -> None:
    router = Router().get("/files/{rest:path}", (Static(root), None))
    async with TestServer((router, Static(root))) as app:
        # The route has passed on; behind it the whole path counts again.
        (await app.get("/files/a.txt")).assert_body("0123456789")
        (await app.get("/files/none")).assert_status(404)
        (root / "files").mkdir()
        (root / "files" / "own.txt").write_text("own")
        (await app.get("/files/own.txt")).assert_body("own")


# -- ST-2, ST-3 ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/", ("",)),
        ("/a", ("a",)),
        ("/a/", ("a", "")),
        ("/a%20b/%C3%BC", ("a b", "ü")),
        ("/a%252e", ("a%2e",)),
        ("/a..b", ("a..b",)),
        ("/a.", ("a.",)),
        ("/C:/x", ("C:", "x")),
        ("", None),
        ("*", None),
        ("a", None),
        ("//a", None),
        ("/a//b", None),
        ("/a//", None),
        ("/.", None),
        ("/..", None),
        ("/a/../b", None),
        ("/a/%2e%2E/b", None),
        ("/.%2e/", None),
        ("/a%2fb", None),
        ("/a%5cb", None),
        ("/a\\b", None),
        ("/a%00", None),
        ("/a%0a", None),
        ("/a%7f", None),
        ("/%", None),
        ("/%g0", None),
        ("/%c0%ae", None),
        ("/%ff", None),
        ("/%ed%a0%80", None),
        ("/.git", None),
        ("/%2egit/config", None),
        ("/a/.b/c", None),
    ],
)
def test_st_2_names_of_a_path(path: str, names: tuple[str, ...] | None) -> None:
    assert names_of(path, dotfiles=False) == names


@pytest.mark.parametrize("path", ["/..", "/.", "/%2e%2e/a", "/a/..", "/.%2e"])
def test_st_2_dotfiles_do_not_lead_up(path: str) -> None:
    assert names_of(path, dotfiles=True) is None
    assert names_of("/.a/..b", dotfiles=True) == (".a", "..b")


@given(st.lists(st.sampled_from(["/", "..", ".", "%2e", "%2f", "%5c", "a", "%61", "%c0%ae", "%"])))
def test_st_2_names_never_lead_up(pieces: list[str]) -> None:
    names = names_of("/" + "".join(pieces), dotfiles=True)
    if names is not None:
        path = os.path.normpath(os.path.join("/top", *names))
        assert path == "/top" or path.startswith("/top/")
        assert len(path.split("/")) == len([each for each in names if each]) + 2


async def test_st_3_names_with_a_dot(root: Path) -> None:
    (await get(Static(root), "/.hidden")).assert_status(404)
    (await get(Static(root, dotfiles=True), "/.hidden")).assert_body("hidden")
    (await get(Static(root, dotfiles=True), "/../outside.txt")).assert_status(404)


async def test_st_3_symbolic_links(root: Path, tmp_path: Path) -> None:
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    (root / "inner.txt").symlink_to("a.txt")
    (root / "up").symlink_to(tmp_path)
    (root / "empty" / "index.html").symlink_to(tmp_path / "outside.txt")
    paths = ("/link.txt", "/inner.txt", "/up/outside.txt", "/empty/", "/empty")
    async with TestServer(Static(root)) as app:
        for path in paths:
            (await app.get(path)).assert_status(404)
    async with TestServer(Static(root, follow_symlinks=True)) as app:
        found = [(await app.get(path)).body for path in paths]
        assert found == [b"outside", b"0123456789", b"outside", b"outside", b""]


async def test_st_3_the_root_may_be_a_link_and_moves(root: Path, tmp_path: Path) -> None:
    (tmp_path / "current").symlink_to(root)
    async with TestServer(Static(tmp_path / "current")) as app:
        (await app.get("/a.txt")).assert_body("0123456789")
        root.rename(tmp_path / "moved")
        (await app.get("/a.txt")).assert_body("0123456789")
        (await app.get("/sub/page.html")).assert_body("<p>page</p>")


async def test_st_3_a_relative_root_is_that_of_the_start(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    handler = Static("root")
    monkeypatch.chdir("/")
    (await get(handler, "/a.txt")).assert_body("0123456789")


async def test_st_3_a_folder_replaced_by_a_link_leads_nowhere(
    root: Path, tmp_path: Path, keeps: None
) -> None:
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    (outside / "page.html").write_text("outside")
    async with TestServer(Static(root)) as app:
        (await app.get("/sub/page.html")).assert_body("<p>page</p>")  # is kept now
        (root / "sub").rename(tmp_path / "away")
        (root / "sub").symlink_to(outside)
        (await app.get("/sub/page.html")).assert_status(404)


async def test_st_3_special_files_are_not_found_at_once(root: Path) -> None:
    os.mkfifo(root / "pipe")
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.fspath(root / "socket"))
        async with TestServer(Static(root)) as app:
            with trio.fail_after(5):
                for path in ("/pipe", "/socket", "/empty", "/empty/"):
                    (await app.get(path)).assert_status(404)


# -- ST-4 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/a.txt", "/large.bin", "/nothing.txt"])
async def test_st_4_head_has_the_fields_of_get(path: str, root: Path) -> None:
    whole = await get(Static(root), path)
    head = await get(Static(root), path, "HEAD")
    assert head.body == b""
    assert len(whole.body) == int(whole.headers["content-length"])
    fields = [each for each in whole.headers.items() if each[0] != "date"]
    assert fields == [each for each in head.headers.items() if each[0] != "date"]


async def test_st_4_fields_of_a_file(root: Path) -> None:
    os.utime(root / "a.txt", ns=(0, 784_111_777_500_000_000))
    response = await get(Static(root), "/a.txt")
    response.assert_header("content-type", "text/plain; charset=utf-8")
    response.assert_header("last-modified", "Sun, 06 Nov 1994 08:49:37 GMT")
    response.assert_header("accept-ranges", "bytes")
    response.assert_header("etag", '"ae1b981da166f00-a"')
    for name in ("cache-control", "vary", "content-encoding"):
        response.assert_no_header(name)


async def test_st_4_a_time_in_the_future_is_not_sent(root: Path) -> None:
    os.utime(root / "a.txt", (4_000_000_000, 4_000_000_000))
    (await get(Static(root), "/a.txt")).assert_status(200).assert_no_header("last-modified")
    os.utime(root / "a.txt", (-1, -1))
    response = await get(Static(root), "/a.txt")
    response.assert_header("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")


async def test_st_4_content_types(root: Path) -> None:
    names = {
        "x.HTML": "text/html; charset=utf-8",
        "x.tar.gz": "application/gzip",
        "x.svg": "image/svg+xml",
        "x.mjs": "text/javascript; charset=utf-8",
        "x.unknown": "application/octet-stream",
        "x": "application/octet-stream",
        "html": "application/octet-stream",
        "x.own": "text/own; charset=utf-8",
        "x.txt": "text/other; charset=latin-1",
    }
    own = {".own": "text/own", "TXT": "text/other; charset=latin-1"}
    async with TestServer(Static(root, content_types=own)) as app:
        for name, kind in names.items():
            (root / name).touch()
            (await app.get(f"/{name}")).assert_header("content-type", kind)


def test_st_4_the_table_is_in_order() -> None:
    for suffix, kind in CONTENT_TYPES.items():
        assert suffix == suffix.lower().strip(".")
        assert re.fullmatch(r"[a-z]+/[a-z0-9.+-]+", kind)


# -- ST-5 ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/a.txt", "/large.bin"])
async def test_st_5_preconditions(path: str, root: Path) -> None:
    async with TestServer(Static(root, cache_control="max-age=60")) as app:
        whole = await app.get(path)
        tag, modified = whole.headers["etag"], whole.headers["last-modified"]
        before = http_date((root / path[1:]).stat().st_mtime - 10).decode()
        for method in ("GET", "HEAD"):
            for fields, status in (
                ({"if-none-match": tag}, 304),
                ({"if-none-match": f"W/{tag}"}, 304),
                ({"if-none-match": '"x"'}, 200),
                ({"if-modified-since": modified}, 304),
                ({"if-modified-since": before}, 200),
                ({"if-match": '"x"'}, 412),
                ({"if-match": tag}, 200),
                ({"if-unmodified-since": before}, 412),
                # A failed precondition goes before a range.
                ({"if-none-match": tag, "range": "bytes=0-1"}, 304),
            ):
                response = await app.request(method, path, headers=fields)
                response.assert_status(status)
                if status == 304:
                    response.assert_header("etag", tag).assert_header("last-modified", modified)
                    response.assert_header("cache-control", "max-age=60")
                    response.assert_no_header("content-type").assert_no_header("content-length")
                if status == 412:
                    response.assert_no_header("etag").assert_no_header("accept-ranges")


@pytest.mark.parametrize("path", ["/a.txt", "/large.bin"])
async def test_st_5_ranges(path: str, root: Path) -> None:
    content = (root / path[1:]).read_bytes()
    length = len(content)
    async with TestServer(Static(root)) as app:
        tag = (await app.get(path)).headers["etag"]
        for text, part in (
            ("0-4", range(5)),
            ("-3", range(length - 3, length)),
            ("5-", range(5, length)),
            (f"{length - 1}-{length + 5}", range(length - 1, length)),
        ):
            response = await app.get(path, headers={"range": f"bytes={text}", "if-range": tag})
            response.assert_status(206).assert_body(content[part.start : part.stop])
            response.assert_header("content-range", f"bytes {part.start}-{part[-1]}/{length}")
            response.assert_header("etag", tag)
        response = await app.get(path, headers={"range": f"bytes={length}-"})
        response.assert_status(416).assert_header("content-range", f"bytes */{length}")
        response.assert_no_header("etag")
        for fields in (
            {"range": "bytes=0-4", "if-range": '"x"'},
            {"range": "bytes=2-1"},
            {"range": "bytes=0-,0-"},
            {"range": "lines=0-4"},
            {"range": "bytes=" + ",".join(f"{each}-{each}" for each in range(0, 18, 2))},
        ):
            response = await app.get(path, headers=fields)
            response.assert_status(200).assert_body(content).assert_no_header("content-range")
        head = await app.request("HEAD", path, headers={"range": "bytes=0-4"})
        head.assert_status(200).assert_header("content-length", str(length))


@pytest.mark.parametrize("path", ["/a.txt", "/large.bin"])
async def test_st_5_several_ranges(path: str, root: Path) -> None:
    content = (root / path[1:]).read_bytes()
    kind = (await get(Static(root), path)).headers["content-type"]
    response = await get(Static(root), path, range="bytes=6-7, 0-2, -1")
    response.assert_status(206).assert_no_header("content-range")
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    message = message_from_bytes(head + response.body)
    parts = message.get_payload()
    assert isinstance(parts, list)
    assert message.get_content_type() == "multipart/byteranges"
    expected = [content[6:8], content[:3], content[-1:]]
    for part, data in zip(parts, expected, strict=True):
        assert isinstance(part, Message)
        assert part["content-type"] == kind
        assert part.get_payload(decode=True) == data
    assert parts[1]["content-range"] == f"bytes 0-2/{len(content)}"  # type: ignore[index]  # checked above


async def test_st_5_an_empty_file_has_no_ranges(root: Path) -> None:
    for text in ("bytes=0-", "bytes=-5"):
        (await get(Static(root), "/nothing.txt", range=text)).assert_status(200).assert_body("")


async def test_st_5_with_caching_headers_in_front(root: Path) -> None:
    async with TestServer((CachingHeaders(etag="weak"), Static(root))) as app:
        tag = (await app.get("/a.txt")).headers["etag"]
        assert not tag.startswith("W/")
        for path in ("/a.txt", "/large.bin"):
            tag = (await app.get(path)).headers["etag"]
            (await app.get(path, headers={"if-none-match": tag})).assert_status(304)
            (await app.get(path, headers={"range": "bytes=0-0"})).assert_status(206)


# -- ST-6, ST-7 ------------------------------------------------------------------------------------


async def test_st_6_a_folder_is_its_index(root: Path) -> None:
    router = Router().mount("/m", Static(root)).mount("/s", Static(root / "sub"))
    async with TestServer((router, Static(root))) as app:
        for path, status, location in (
            ("/sub/", 200, None),
            ("/m/sub/", 200, None),
            ("/s/", 200, None),
            ("/sub", 308, "/sub/"),
            ("/sub?a=/b", 308, "/sub/?a=/b"),
            ("/m/sub", 308, "/m/sub/"),
            ("/s", 308, "/s/"),
            ("/s?x", 308, "/s/?x"),
            ("/%73ub", 308, "/%73ub/"),
            ("/empty", 404, None),
            ("/empty/", 404, None),
            ("/m", 404, None),
            ("/", 404, None),
            ("/sub/deep", 404, None),
            ("/sub/index.html/", 404, None),
            ("//sub", 404, None),
            ("/%5csub", 404, None),
        ):
            response = await app.get(path)
            response.assert_status(status)
            assert response.headers.get("location") == location, path
        # Also of what is in memory.
        (await app.get("/s/")).assert_status(200)
        (await app.get("/s")).assert_status(308)


async def test_st_6_no_redirect_leads_to_another_host(root: Path) -> None:
    (root / "example.com").mkdir()
    (root / "example.com" / "index.html").touch()
    hosts = Router().mount("/{host}", Static(root / "example.com"))
    async with TestServer((Static(root), hosts)) as app:
        (await app.get("/example.com")).assert_header("location", "/example.com/")
        for path in ("//example.com", "//example.com/%2e%2e", "///example.com"):
            (await app.get(path)).assert_no_header("location")
        # Encoded, it is a name like any other.
        for path in ("/%2fexample.com", "/%5cexample.com"):
            (await app.get(path)).assert_header("location", f"{path}/")
    nested = Router().mount("/", Router().mount("/", Static(root)))
    (await get(nested, "//example.com")).assert_no_header("location")


async def test_st_6_another_index_or_none(root: Path) -> None:
    handler = Static(root, index="page.html")
    (await get(handler, "/sub/")).assert_body("<p>page</p>")
    handler = Static(root, index=None)
    for path in ("/sub", "/sub/", "/"):
        (await get(handler, path)).assert_status(404)
    (await get(handler, "/sub/index.html")).assert_status(200)


async def test_st_7_a_fallback_for_pages(root: Path) -> None:
    handler = Static(root, fallback="sub/page.html", cache_control={"sub/page.html": "no-cache"})
    async with TestServer(Router().mount("/app", (handler, "the next"))) as app:
        html = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
        for path in ("/app/users/5", "/app", "/app/", "/app/a.txt/x"):
            response = await app.get(path, headers=html)
            response.assert_status(200).assert_body("<p>page</p>")
            response.assert_header("cache-control", "no-cache").assert_header("vary", "accept")
        tag = response.headers["etag"]
        response = await app.get("/app/users/6", headers={**html, "if-none-match": tag})
        response.assert_status(304).assert_header("vary", "accept")
        (await app.get("/app/x", headers={"accept": "*/*"})).assert_body("the next")
        (await app.get("/app/x")).assert_body("the next")
        (await app.get("/app/..%2fx", headers=html)).assert_body("the next")
        (await app.post("/app/x", headers=html)).assert_body("the next")
        (await app.get("/app/a.txt", headers=html)).assert_body("0123456789")
        (root / "sub" / "page.html").unlink()
        (await app.get("/app/users/5", headers=html)).assert_body("the next")


# -- ST-8, ST-9 ------------------------------------------------------------------------------------


@pytest.fixture
def compressed(root: Path) -> Path:
    (root / "app.js").write_text("the original")
    (root / "app.js.gz").write_bytes(gzip.compress(b"the original"))
    (root / "app.js.br").write_bytes(b"br")
    (root / "only.js.gz").write_bytes(b"gz")
    return root


async def test_st_8_a_precompressed_file_is_sent(compressed: Path, keeps: None) -> None:
    async with TestServer(Static(compressed, precompressed=True)) as app:
        tags = set()
        for _ in range(2):  # from the file, and from memory
            for accepted, encoding in (
                ("gzip, br", "br"),
                ("gzip", "gzip"),
                ("zstd", None),
                ("br;q=0.1, gzip", "gzip"),
            ):
                response = await app.get("/app.js", headers={"accept-encoding": accepted})
                response.assert_status(200).assert_header("vary", "accept-encoding")
                response.assert_header("content-type", "text/javascript; charset=utf-8")
                assert response.headers.get("content-encoding") == encoding
                tags.add(response.headers["etag"])
            assert gzip.decompress(response.body) == b"the original"
        assert len(tags) == 3
        # What is not compressed varies as well: another client would get another form.
        (await app.get("/a.txt")).assert_header("vary", "accept-encoding")
        (await app.get("/only.js", headers={"accept-encoding": "gzip"})).assert_status(404)
        tag = response.headers["etag"]
        fields = {"accept-encoding": "gzip", "if-none-match": tag}
        response = await app.get("/app.js", headers=fields)
        response.assert_status(304).assert_header("vary", "accept-encoding")


async def test_st_8_never_with_ranges(compressed: Path) -> None:
    fields = {"accept_encoding": "br", "range": "bytes=4-"}
    response = await get(Static(compressed, precompressed=True), "/app.js", **fields)
    response.assert_status(206).assert_body("original").assert_no_header("content-encoding")
    response.assert_header("vary", "accept-encoding")
    # A range of the compressed form, which the client has a part of, is not to be had.
    encoded = await get(Static(compressed, precompressed=True), "/app.js", accept_encoding="br")
    fields["if_range"] = encoded.headers["etag"]
    response = await get(Static(compressed, precompressed=True), "/app.js", **fields)
    response.assert_status(200).assert_body("the original")


async def test_st_8_a_form_that_comes_or_goes_is_seen(compressed: Path, keeps: None) -> None:
    async with TestServer(Static(compressed, precompressed=True)) as app:
        for change, body in (
            (lambda: None, b"br"),
            (lambda: (compressed / "app.js.zst").write_bytes(b"zst"), b"zst"),
            ((compressed / "app.js.zst").unlink, b"br"),
            (lambda: (compressed / "app.js.br").write_bytes(b"br2"), b"br2"),
        ):
            change()
            for _ in range(2):
                response = await app.get("/app.js", headers={"accept-encoding": "br, zstd"})
                response.assert_body(body)


async def test_st_8_is_off_by_default(compressed: Path) -> None:
    response = await get(Static(compressed), "/app.js", accept_encoding="br")
    response.assert_body("the original").assert_no_header("vary")
    response = await get(Static(compressed), "/app.js.gz")
    response.assert_header("content-type", "application/gzip")
    response.assert_no_header("content-encoding")


async def test_st_8_vary_is_added_to_that_of_others(compressed: Path) -> None:
    async def varies(conn: tt.Conn) -> tt.Conn:
        return conn.with_response_header("vary", "origin")

    handler = (varies, Static(compressed, precompressed=True))
    assert (await get(handler, "/app.js")).headers.get_all("vary") == ["origin, accept-encoding"]


async def test_st_9_cache_control_by_pattern(root: Path) -> None:
    rules: dict[str | re.Pattern[str], str] = {
        "sub/index.html": "no-cache",
        re.compile(r"^large"): "immutable",
        "page.html": "max-age=2",
        "sub/*": "max-age=1",
    }
    async with TestServer(Static(root, cache_control=rules)) as app:
        for path, value in (
            ("/sub/", "no-cache"),
            ("/sub/page.html", "max-age=1"),
            ("/large.bin", "immutable"),
            ("/a.txt", None),
        ):
            for fields in ({}, {"range": "bytes=0-0"}, {"if-none-match": "*"}):
                response = await app.get(path, headers=fields)
                assert response.headers.get("cache-control") == value, (path, fields)


# -- ST-10 -----------------------------------------------------------------------------------------


def replace(path: Path) -> None:
    (path.parent / "new").write_text("9876543210")
    (path.parent / "new").rename(path)


def write_in_place(path: Path) -> None:
    status = path.stat()
    path.write_text("9876543210")
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("change", [replace, write_in_place])
async def test_st_10_a_file_that_changes_is_seen(
    change: Callable[[Path], None], root: Path, keeps: None
) -> None:
    async with TestServer(Static(root)) as app:
        for _ in range(3):
            (await app.get("/a.txt")).assert_body("0123456789")
        change(root / "a.txt")
        for _ in range(3):
            (await app.get("/a.txt")).assert_body("9876543210")
        (root / "a.txt").unlink()
        (await app.get("/a.txt")).assert_status(404)


def opened(handler: Static) -> list[str]:
    """Note each time that a file is opened by its name."""
    folder = handler._source
    assert isinstance(folder, _folder.Folder)
    names: list[str] = []
    find = folder._open

    def note(at: int, name: str, path: str) -> object:
        names.append(path)
        return find(at, name, path)

    folder._open = note  # type: ignore[method-assign, assignment]  # calls it
    return names


async def test_st_10_what_has_just_changed_is_not_kept(root: Path) -> None:
    handler = Static(root)
    names = opened(handler)
    async with TestServer(handler) as app:
        for _ in range(3):
            (await app.get("/a.txt")).assert_status(200)
    assert names == ["a.txt"] * 3


async def test_st_10_memory_is_bounded(root: Path, keeps: None) -> None:
    for name in "bcd":
        (root / f"{name}.bin").write_bytes(bytes(40_000))
    handler = Static(root, cache_bytes=100_000)
    names = opened(handler)
    async with TestServer(handler) as app:
        for each in "bcbcdcdbc":  # d replaces b, b replaces c, c replaces d
            (await app.get(f"/{each}.bin")).assert_status(200)
        (await app.get("/large.bin")).assert_status(200)
        (await app.get("/large.bin")).assert_status(200)
    assert names == [f"{each}.bin" for each in "bcdbc"] + ["large.bin"] * 2


async def test_st_10_nothing_is_kept_if_there_is_no_room(root: Path, keeps: None) -> None:
    handler = Static(root, cache_bytes=0, precompressed=True)
    names = opened(handler)
    async with TestServer(handler) as app:
        for _ in range(2):
            (await app.get("/a.txt", headers={"accept-encoding": "br"})).assert_status(200)
    assert names == ["a.txt", "a.txt.br"] * 2


async def test_cn_21_a_file_that_is_cut_while_it_is_sent(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def cut(conn: tt.Conn) -> tt.Conn:
        os.truncate(root / "large.bin", 100)
        return conn

    class Cut(tt.Handler):
        async def before_send(self, conn: tt.Conn) -> tt.Conn:
            return await cut(conn)

    async with TestServer((Cut(), Static(root))) as app:
        peer = app.connect()
        await peer.send(b"GET /large.bin HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = (await peer.receive_until_closed()).partition(b"\r\n\r\n")
        assert f"content-length: {LARGE}".encode() in head
        assert len(body) == 100
    assert f"where {LARGE} were declared" in caplog.text


# -- ST-11, ST-12 ----------------------------------------------------------------------------------


@pytest.fixture(params=["folder", "archive"])
def package(
    request: pytest.FixtureRequest, root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> str:
    name = f"st_package_{request.param}_{os.getpid()}"
    files = {
        "__init__.py": b"",
        "web/index.html": b"<p>index</p>",
        "web/css/a.css": b"a {}",
        "web/css/a.css.gz": gzip.compress(b"a {}"),
        "web/.hidden": b"hidden",
        "web/large.bin": bytes(LARGE),
    }
    if request.param == "archive":
        place = tmp_path / "packages.zip"
        with zipfile.ZipFile(place, "w") as archive:
            for path, data in files.items():
                archive.writestr(f"{name}/{path}", data)
    else:
        place = tmp_path / "packages"
        for path, data in files.items():
            (place / name / path).parent.mkdir(parents=True, exist_ok=True)
            (place / name / path).write_bytes(data)
    monkeypatch.syspath_prepend(os.fspath(place))
    monkeypatch.delitem(sys.modules, name, raising=False)
    return name


async def test_st_11_files_of_a_package(package: str) -> None:
    handler = Static.package(
        package, "web", precompressed=True, cache_control="no-cache", fallback="index.html"
    )
    async with TestServer(Router().mount("/w", handler)) as app:
        (await app.get("/w/")).assert_status(200).assert_body("<p>index</p>")
        (await app.get("/w")).assert_status(308).assert_header("location", "/w/")
        response = await app.get("/w/css/a.css")
        response.assert_body("a {}").assert_header("content-type", "text/css; charset=utf-8")
        response.assert_header("cache-control", "no-cache").assert_no_header("last-modified")
        tag = response.headers["etag"]
        (await app.get("/w/css/a.css", headers={"if-none-match": tag})).assert_status(304)
        response = await app.get("/w/css/a.css", headers={"accept-encoding": "gzip"})
        response.assert_header("content-encoding", "gzip")
        assert gzip.decompress(response.body) == b"a {}"
        (await app.get("/w/large.bin", headers={"range": "bytes=5-"})).assert_body(bytes(LARGE - 5))
        for path in ("/w/css", "/w/css/", "/w/.hidden", "/w/../__init__.py", "/w/__init__.py"):
            (await app.get(path)).assert_status(404)
        (await app.get("/w/page", headers={"accept": "text/html"})).assert_body("<p>index</p>")
    assert handler.name == f"Static({package}:web)"
    again = Static.package(package, "web", index=None)
    (await get(again, "/css/a.css")).assert_header("etag", tag)
    (await get(again, "/")).assert_status(404)


def test_st_11_what_is_not_in_a_package(package: str) -> None:
    with pytest.raises(tt.ConfigError, match="has no folder 'none'"):
        Static.package(package, "none")
    for name in ("no_such_package", "json.decoder", ""):
        with pytest.raises(tt.ConfigError, match=f"cannot find the package '{name}'"):
            Static.package(name)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"index": ""}, "Static.index is the name of a file"),
        ({"index": "a/b"}, "Static.index is the name of a file"),
        ({"fallback": "../x"}, "Static.fallback cannot be served"),
        ({"fallback": ".x"}, "Static.fallback cannot be served"),
        ({"cache_control": "a\nb"}, "Static.cache_control has a value that cannot be sent"),
        ({"cache_control": {"*": 5}}, "Static.cache_control has a value that cannot be sent"),
        ({"content_types": {".x": "a\r"}}, "Static.content_types has a value"),
        ({"cache_bytes": -1}, "Static.cache_bytes"),
    ],
)
def test_st_12_settings_that_are_wrong(
    settings: dict[str, object], message: str, root: Path
) -> None:
    with pytest.raises(tt.ConfigError, match=re.escape(message)):
        Static(root, **settings)  # type: ignore[arg-type]  # that is the point


def test_st_12_a_root_that_cannot_be_opened(root: Path) -> None:
    with pytest.raises(tt.ConfigError, match=r"none': No such file or directory"):
        Static(root / "none")
    with pytest.raises(tt.ConfigError, match=r"a\.txt': Not a directory"):
        Static(root / "a.txt")


async def test_st_12_failures_of_the_file_system(
    root: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # The tests may run as root, who may read everything.
    errors = iter([PermissionError(13, "no"), OSError(5, "broken")])

    def fail(*_: object, **__: object) -> int:
        raise next(errors)

    async with TestServer(Static(root)) as app:
        monkeypatch.setattr(os, "open", fail)
        (await app.get("/a.txt")).assert_status(403)
        (await app.get("/a.txt")).assert_status(500)
        monkeypatch.undo()
        (await app.get("/a.txt")).assert_status(200)
    assert "[Errno 5] broken" in caplog.text
