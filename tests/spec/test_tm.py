"""The clauses of docs/spec/templates.md."""

from __future__ import annotations

import os
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import jinja2
import pytest
import trio

from tests.wire import settled
from trillium_trio.exceptions import ConfigError, MisuseError
from trillium_trio.handlers import Templates
from trillium_trio.testing import TestServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    import trillium_trio as tt

FILES = {
    "hello.html": "<p>Hello {{ name }}",
    "base.html": "<title>{% block title %}{% endblock %}</title>",
    "child.html.j2": "{% extends 'base.html' %}{% block title %}{{ name }}{% endblock %}",
    "mail.txt": "Hello {{ name }}",
    "feed.xml.jinja": "<a>{{ name }}</a>",
    "data.json": '{"a": {{ name | tojson }}}',
    "noname": "{{ name }}",
    "picture.svg": "<svg>{{ name }}</svg>",
    "missing.html": "{{ nmae }}",
    "list.html": "{% for each in items %}{{ each }}\n{% endfor %}",
    "call.html": "{{ call() }}",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


async def page(conn: tt.Conn) -> tt.Conn:
    return await Templates.of(conn).render(conn.path[1:], name="<Ada>")


@pytest.mark.parametrize(
    ("name", "media_type", "body"),
    [
        ("hello.html", "text/html; charset=utf-8", "<p>Hello &lt;Ada&gt;"),
        ("child.html.j2", "text/html; charset=utf-8", "<title>&lt;Ada&gt;</title>"),
        ("mail.txt", "text/plain; charset=utf-8", "Hello <Ada>"),
        ("feed.xml.jinja", "application/xml; charset=utf-8", "<a>&lt;Ada&gt;</a>"),
        ("data.json", "application/json", '{"a": "\\u003cAda\\u003e"}'),
        ("noname", "text/html; charset=utf-8", "&lt;Ada&gt;"),
        ("picture.svg", "image/svg+xml", "<svg>&lt;Ada&gt;</svg>"),
    ],
)
async def test_tm_2_values_are_escaped_and_tm_1_the_name_says_the_type(
    folder: Path, name: str, media_type: str, body: str
) -> None:
    async with TestServer((Templates(folder), page)) as app:
        response = await app.get(f"/{name}")
    response.assert_ok().assert_body(body).assert_header("content-type", media_type)


async def test_tm_1_status_and_type_of_the_response_are_kept(folder: Path) -> None:
    async def own(conn: tt.Conn) -> tt.Conn:
        conn.with_status(404).with_response_header("content-type", "text/x")
        conn = await Templates.of(conn).render("hello.html", name="x")
        assert conn.is_halted
        return conn

    async with TestServer((Templates(folder), own)) as app:
        response = await app.get("/")
    response.assert_status(404).assert_header("content-type", "text/x")


async def test_tm_1_without_the_handler_the_error_names_it() -> None:
    async def asks(conn: tt.Conn) -> tt.Conn:
        with pytest.raises(MisuseError, match="Templates leaves it"):
            Templates.of(conn)
        return conn.ok("")

    async with TestServer(asks) as app:
        (await app.get("/")).assert_ok()


async def test_tm_1_text_answers_nothing(folder: Path) -> None:
    async def mail(conn: tt.Conn) -> tt.Conn:
        return conn.ok(await Templates.of(conn).text("mail.txt", name="<Ada>"))

    async with TestServer((Templates(folder), mail)) as app:
        (await app.get("/")).assert_body("Hello <Ada>")


async def test_tm_3_a_mistake_keeps_the_server_from_starting(folder: Path) -> None:
    (folder / "broken.html").write_text("fine\n{% if %}", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(jinja2.TemplateSyntaxError) as caught:
        async with TestServer((Templates(folder), page)):
            pass
    assert (caught.value.name, caught.value.lineno) == ("broken.html", 2)


@pytest.mark.parametrize("name", ["missing.html", "nothing.html", "../hello.html"])
async def test_tm_3_a_failure_is_a_500(
    folder: Path, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    async with TestServer((Templates(folder), page)) as app:
        response = await app.get(f"/{name}")
    response.assert_status(500).assert_body("Internal Server Error\n")
    assert "jinja2.exceptions." in caplog.text


async def test_tm_3_undefined_names_can_be_nothing(folder: Path) -> None:
    async with TestServer((Templates(folder, strict=False), page)) as app:
        (await app.get("/missing.html")).assert_ok().assert_body("")


def test_tm_3_a_folder_that_is_not_there_is_a_config_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder '.*nothing'"):
        Templates(tmp_path / "nothing")


async def test_tm_3_a_change_is_noticed_where_it_is_developed(folder: Path) -> None:
    for reload, expected in ((False, "<p>Hello x"), (True, "new x")):
        templates = Templates(folder, reload=reload)

        async def hello(conn: tt.Conn) -> tt.Conn:
            return await Templates.of(conn).render("hello.html", name="x")

        (folder / "hello.html").write_text(FILES["hello.html"], encoding="utf-8")
        async with TestServer((templates, hello)) as app:
            (await app.get("/")).assert_body("<p>Hello x")
            (folder / "hello.html").write_text("new {{ name }}", encoding="utf-8")
            time_of_change = time.time() + 10
            os.utime(folder / "hello.html", (time_of_change, time_of_change))
            (await app.get("/")).assert_body(expected)


@pytest.mark.parametrize("method", ["render", "text"])
async def test_tm_4_what_takes_long_goes_on_in_a_thread(folder: Path, method: str) -> None:
    threads: list[threading.Thread] = []

    def items() -> Iterator[int]:
        for number in range(3):
            threads.append(threading.current_thread())
            ends = time.perf_counter() + 0.002
            while time.perf_counter() < ends:
                pass
            yield number

    async def slow(conn: tt.Conn) -> tt.Conn:
        done = await getattr(Templates.of(conn), method)("list.html", items=items())
        return conn.ok(done) if method == "text" else conn

    async with TestServer((Templates(folder), slow)) as app:
        (await app.get("/")).assert_body("0\n1\n2\n")
    assert threads[0] is threading.current_thread()
    assert threads[-1] is not threading.current_thread()


async def test_tm_4_an_async_environment_can_wait(folder: Path) -> None:
    async def items() -> AsyncIterator[int]:
        for number in range(3):
            await trio.lowlevel.checkpoint()
            yield number

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(folder), enable_async=True, autoescape=True
    )

    async def waits(conn: tt.Conn) -> tt.Conn:
        templates = Templates.of(conn)
        how = templates.stream if conn.path == "/stream" else templates.render
        return await how("list.html", items=items())

    async with TestServer((Templates(environment), waits)) as app:
        for path in ("/", "/stream"):
            (await app.get(path)).assert_ok().assert_body("0\n1\n2\n")


def numbers(count: int, seen: list[int]) -> Iterator[str]:
    for number in range(count):
        seen.append(number)
        yield str(number) * 1000


async def test_tm_5_a_page_can_be_sent_while_it_is_rendered(folder: Path) -> None:
    seen: list[int] = []

    async def stream(conn: tt.Conn) -> tt.Conn:
        return await Templates.of(conn).stream("list.html", items=numbers(100, seen))

    async with TestServer((Templates(folder), stream)) as app:
        response = await app.get("/")
    response.assert_ok().assert_header("transfer-encoding", "chunked")
    assert response.text == "".join(f"{str(n) * 1000}\n" for n in range(100))


async def test_tm_5_a_failure_cuts_it_off(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    def items() -> Iterator[str]:
        yield "x" * 20_000
        raise RuntimeError("on purpose")

    async def stream(conn: tt.Conn) -> tt.Conn:
        return await Templates.of(conn).stream("list.html", items=items())

    async with TestServer((Templates(folder), stream)) as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert not (await peer.receive_until_closed()).endswith(b"0\r\n\r\n")
    assert "RuntimeError: on purpose" in caplog.text


async def test_tm_5_a_client_that_disconnects_ends_the_rendering(folder: Path) -> None:
    seen: list[int] = []

    async def stream(conn: tt.Conn) -> tt.Conn:
        return await Templates.of(conn).stream("list.html", items=numbers(10**9, seen))

    async with TestServer((Templates(folder), stream)) as app:
        peer = app.connect()
        await peer.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await peer.receive_some()
        peer.reset()
        while app.swansong.guard_count:
            await trio.lowlevel.checkpoint()
        await settled()
        count = len(seen)
        await settled()
        assert len(seen) == count


async def test_tm_6_what_every_template_gets(folder: Path) -> None:
    def context(conn: tt.Conn) -> dict[str, Any]:
        return {"name": f"context {conn.path}"}

    async def hello(conn: tt.Conn) -> tt.Conn:
        values = {"name": "given"} if conn.path == "/given" else {}
        return await Templates.of(conn).render("hello.html", **values)

    templates = Templates(folder, context=context, globals={"name": "global"})
    async with TestServer((templates, hello)) as app:
        (await app.get("/x")).assert_body("<p>Hello context /x")
        (await app.get("/given")).assert_body("<p>Hello given")
    async with TestServer((Templates(folder, globals={"name": "global"}), hello)) as app:
        (await app.get("/x")).assert_body("<p>Hello global")


def test_tm_7_without_the_extra_the_handler_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(ImportError, match=r"pip install 'trillium-trio\[templates\]'"):
        Templates(folder)
