"""The shop of the tutorial, built from its pages: each chapter does what its page says."""

from __future__ import annotations

import json
import os
import re
import ssl
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
from websockets.exceptions import ConnectionClosedError
from websockets.sync.client import connect

from tests.e2e._postgres import Postgres, needs_postgres
from tests.e2e._shop import Process, make_certificate
from tests.e2e.test_rolling_restart import free_port, wait_until
from tests.meta._snippets import files
from tests.meta._tree import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

TUTORIAL = ROOT / "docs" / "tutorial"
CHAPTERS = sorted(TUTORIAL.glob("1[0-9]-*.md"))
SHOP = ROOT / "examples" / "shop"
PNG = b"\x89PNG\r\n\x1a\n and the rest"


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def build(folder: Path, last: str) -> None:
    """Write the files of all chapters up to this one, as a reader would."""
    for chapter in CHAPTERS:
        for name, text in files(chapter.read_text("utf-8")):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, "utf-8")
        if chapter.stem == last:
            return
    raise AssertionError(f"there is no chapter {last}")


@contextmanager
def running(folder: Path, database: str) -> Iterator[httpx.Client]:
    """Run the command of the page on the files in a folder."""
    environment = {"DATABASE_URL": database, "PYTHONPATH": str(ROOT)}
    arguments = ["trillium_trio", "shop.app:app", "--bind", "127.0.0.1:0"]
    shop = Process(arguments, folder / "shop.log", environment)
    try:
        wait_until(lambda: shop.says("listening on"), "the shop is ready")
        [url] = re.findall(r"listening on (\S+)", shop.text)
        with httpx.Client(base_url=url) as client:
            yield client
        shop.stop()
    finally:
        shop.kill()


def log_in(client: httpx.Client) -> None:
    client.post("/login", data={"name": "ada", "password": "secret"})
    assert "Log out ada" in client.get("/").text


def begun(client: httpx.Client) -> None:
    page = client.get("/").text
    assert [name in page for name in ("Tea", "Pot", "Cup")] == [True] * 3
    assert "4.50, 1000 left" in client.get("/products/1").text
    assert client.get("/products/9").status_code == 404
    assert client.get("/static/shop.css").status_code == 200


def accounts(client: httpx.Client) -> None:
    log_in(client)
    wrong = client.post("/login", data={"name": "ada", "password": "guess"})
    assert wrong.status_code == 403
    assert "That is not the password" in wrong.text
    forged = client.post("/logout", headers={"origin": "https://evil.example"})
    assert forged.status_code == 403
    for name in ("", "a\0b", "a" * 51):
        assert client.post("/login", data={"name": name, "password": "x"}).status_code == 403
    assert client.post("/logout").status_code == 303
    assert "Log in" in client.get("/").text


def orders(client: httpx.Client) -> None:
    order = {"key": str(uuid4()), "quantity": "2"}
    assert client.post("/products/1/order", data=order).headers["location"] == "/login"
    log_in(client)
    for _ in range(2):
        assert client.post("/products/1/order", data=order).headers["location"] == "/orders"
    assert client.get("/orders").text.count("2 x Tea") == 1
    assert "2 x Tea" not in client.get("/orders?after=1").text
    assert "2 x Tea" in client.get("/orders?after=x").text
    assert "998 left" in client.get("/products/1").text
    for quantity, status in (("0", 422), ("101", 422), ("x", 422), ("100", 303)):
        data = {"key": str(uuid4()), "quantity": quantity}
        assert client.post("/products/2/order", data=data).status_code == status
    client.post("/products/2/order", data={"key": str(uuid4()), "quantity": "100"})
    gone = client.post("/products/2/order", data={"key": str(uuid4()), "quantity": "1"})
    assert gone.status_code == 409

    assert client.post("/products/3/picture", files={"picture": b"text"}).status_code == 422
    big = PNG + bytes(1024 * 1024)
    assert client.post("/products/3/picture", files={"picture": big}).status_code == 413
    assert client.post("/products/9/picture", files={"picture": PNG}).status_code == 404
    assert client.post("/products/3/picture", files={"picture": PNG}).status_code == 303
    [path] = re.findall(r'src="(/pictures/[^"]+)"', client.get("/").text)
    picture = client.get(path)
    assert (picture.content, picture.headers["content-type"]) == (PNG, "image/png")


def api(client: httpx.Client) -> None:
    assert client.get("/api/products").json()[0]["name"] == "Tea"
    assert client.get("/api/products/9").status_code == 404
    order = {"key": str(uuid4()), "product": 1, "quantity": 1}
    assert client.post("/api/orders", json=order).json()["detail"] == "log in first"
    log_in(client)
    made = client.post("/api/orders", json=order)
    assert (made.status_code, made.json()) == (201, {"id": 1})
    assert client.get("/api/orders").json()[0]["buyer"] == "ada"
    assert client.get("/api/orders?after=1").json() == []
    assert "/api/orders" in client.get("/openapi.json").json()["paths"]
    assert "Order a product." in client.get("/docs").text


def live(client: httpx.Client) -> None:
    log_in(client)
    assert "/static/live.js" in client.get("/live").text
    client.post("/api/orders", json={"key": str(uuid4()), "product": 3, "quantity": 4})
    with client.stream("GET", "/live/orders") as stream:
        lines = stream.iter_lines()
        assert next(line for line in lines if line.startswith("data")) == "data: ada: 4 x Cup"
    url = str(client.base_url.join("/live/chat?x")).replace("http", "ws", 1)
    cookies = "; ".join(f"{name}={value}" for name, value in client.cookies.items())
    with connect(url, additional_headers={"cookie": cookies}) as ws:
        ws.send(json.dumps([str(uuid4()), "nul \0 and ö"]))
        texts = [json.loads(ws.recv()).get("text") for _ in range(2)]
        assert "nul  and ö" in texts
    for wrong in ("text", '["no key", "text"]', json.dumps([str(uuid4()), "a" * 1001])):
        with connect(url, additional_headers={"cookie": cookies}) as ws:
            ws.send(wrong)
            with pytest.raises(ConnectionClosedError, match="1008"):
                while ws.recv():
                    pass


@needs_postgres
@pytest.mark.parametrize(
    ("chapter", "check"),
    [
        ("10-shop", begun),
        ("11-accounts", accounts),
        ("12-orders", orders),
        ("13-api", api),
        ("14-live", live),
    ],
)
def test_the_shop_of_a_chapter_does_what_the_page_says(
    chapter: str, check: Callable[[httpx.Client], None], postgres: Postgres, tmp_path: Path
) -> None:
    build(tmp_path, chapter)
    with running(tmp_path, postgres.new_database()) as client:
        begun(client)
        check(client)


@needs_postgres
def test_the_tests_of_the_shop_pass(postgres: Postgres, tmp_path: Path) -> None:
    build(tmp_path, "15-tests")
    page = (TUTORIAL / "15-tests.md").read_text("utf-8")
    [options] = re.findall(r"shop_test pytest (.+)$", page, re.MULTILINE)
    command = [sys.executable, "-m", "pytest", "-p", "no:randomly", *options.split(), str(tmp_path)]
    done = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT), "DATABASE_URL": postgres.new_database()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    assert "3 passed" in done.stdout


@needs_postgres
def test_the_shop_runs_with_its_three_ports(postgres: Postgres, tmp_path: Path) -> None:
    build(tmp_path, "16-run")
    make_certificate(tmp_path)
    https, http, admin = (free_port() for _ in range(3))
    environment = {
        "DATABASE_URL": postgres.new_database(),
        "PYTHONPATH": str(ROOT),
        "HTTPS": f"127.0.0.1:{https}",
        "HTTP": f"127.0.0.1:{http}",
        "ADMIN": f"127.0.0.1:{admin}",
    }
    context = ssl.create_default_context(cafile=tmp_path / "shop.crt")
    shop = Process(["shop"], tmp_path / "shop.log", environment)
    try:
        wait_until(lambda: shop.text.count("listening on") == 3, "the shop is ready")
        with httpx.Client(verify=context, follow_redirects=True) as client:
            page = client.get(f"http://localhost:{http}/")
            assert str(page.url) == f"https://localhost:{https}/"
            assert "Tea" in page.text
            client.base_url = f"https://localhost:{https}"
            log_in(client)
            with client.stream("GET", "/live/orders"):
                assert client.get(f"http://localhost:{admin}/readyz").status_code == 200
                assert "GET /live/orders" in client.get(f"http://localhost:{admin}/guards").text
        shop.stop()
        assert '"GET / HTTP/1.1" 200' in shop.text
    finally:
        shop.kill()


def test_the_pages_show_the_files_of_the_example() -> None:
    shown = {name: text for chapter in CHAPTERS for name, text in files(chapter.read_text("utf-8"))}
    kept = {
        path.relative_to(SHOP.parent).as_posix(): path.read_text("utf-8")
        for path in SHOP.rglob("*.*")
        if path.suffix != ".pyc"
    }
    assert shown == kept
