"""The shop, used by a person in a browser and by programs, while it is restarted under them."""

from __future__ import annotations

import ssl
import struct
import zlib
from contextlib import contextmanager
from typing import TYPE_CHECKING
from uuid import uuid4

import httpx
import pytest
from playwright.sync_api import FilePayload

from tests.e2e._browser import browser, needs_chromium
from tests.e2e._postgres import Postgres, needs_postgres
from tests.e2e._shop import Balanced, Restarts, Sockets
from tests.e2e.test_proxies import needs_haproxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import BrowserContext, Page, Request, Response

    from tests.e2e._shop import Service

RESTARTS = 10
KILLS = 5
PASSWORD = "correct horse"
SERVICES = [Sockets, pytest.param(Balanced, marks=needs_haproxy)]


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with Postgres() as server:
        yield server


def png() -> bytes:
    """Make a picture of one pixel."""
    header = b"IHDR" + struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)
    chunks = [
        struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each))
        for each in (header, b"IDAT" + zlib.compress(b"\0\0"), b"IEND")
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


class Person:
    """Who uses the shop: three tabs, and a note of all that goes wrong in them.

    Attributes:
      trouble: Requests that failed, and responses that say so.
      said: What was said in the chat, in this order.
      ordered: How many orders were made.
    """

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.trouble: list[str] = []
        self.said: list[str] = []
        self.ordered = 0
        self._url = url
        context.on("requestfailed", self._on_failure)
        context.on("response", self._on_response)
        self.shop: Page = context.new_page()
        self.tabs: list[Page] = []
        self._context = context

    def _on_failure(self, request: Request) -> None:
        self.trouble.append(f"{request.method} {request.url}: {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self.trouble.append(f"{response.url}: {response.status}")

    def log_in(self) -> None:
        self.shop.goto(self._url)
        self.shop.get_by_text("Log in").click()
        self.shop.get_by_label("Name").fill("ada")
        self.shop.get_by_label("Password").fill(PASSWORD)
        self.shop.get_by_role("button", name="Log in").click()
        self.shop.get_by_text("Log out ada").wait_for()
        for _ in range(2):
            page = self._context.new_page()
            page.goto(f"{self._url}/live")
            self.tabs.append(page)

    def upload(self) -> None:
        self.shop.goto(self._url)
        self.shop.get_by_text("Pot").click()
        picture = FilePayload(name="pot.png", mimeType="image/png", buffer=png())
        self.shop.get_by_label("Picture").set_input_files(picture)
        self.shop.get_by_role("button", name="Upload").click()
        shown = self.shop.get_by_alt_text("Pot")
        shown.wait_for()
        assert shown.evaluate("image => image.decode().then(() => image.naturalWidth)") == 1

    def order(self) -> None:
        self.shop.goto(f"{self._url}/products/1")
        self.shop.get_by_label("Quantity").fill("2")
        self.shop.get_by_role("button", name="Order").click()
        self.shop.wait_for_url("**/orders")
        self.ordered += 1

    def chat(self) -> None:
        """Say something in each of the two tabs, and see it in the other."""
        for tab, other in (self.tabs, self.tabs[::-1]):
            text = f"message {len(self.said)}"
            tab.locator("#chat input").fill(text)
            tab.get_by_role("button", name="Send").click()
            self.said.append(text)
            other.get_by_text(f"ada: {text}", exact=True).wait_for()

    def log_out(self) -> None:
        self.shop.get_by_role("button", name="Log out ada").click()
        self.shop.get_by_text("Log in").wait_for()

    def seen(self, tab: Page, kind: str) -> list[str]:
        return tab.locator(f"#{kind} li:not(.waiting)").all_inner_texts()


@contextmanager
def person(url: str) -> Iterator[Person]:
    with browser() as chromium, chromium.new_context(ignore_https_errors=True) as context:
        yield Person(context, url)


@needs_postgres
@needs_chromium
@pytest.mark.parametrize("kind", SERVICES)
def test_sv_6_a_person_notices_none_of_ten_restarts(
    kind: Callable[[Path, str], Service], postgres: Postgres, tmp_path: Path
) -> None:
    database = postgres.new_database()
    with kind(tmp_path, database) as service, person(service.url) as ada:
        ada.log_in()
        ada.upload()
        with Restarts(service.restart, RESTARTS) as restarts:
            while not restarts.are_over:
                ada.order()
                ada.chat()
        ada.order()
        ada.chat()
        for tab in ada.tabs:
            assert ada.seen(tab, "messages") == [f"ada: {text}" for text in ada.said]
            orders = ["ada: 2 x Tea"] * ada.ordered
            tab.wait_for_function(
                f"document.querySelectorAll('#orders li').length >= {ada.ordered}"
            )
            assert ada.seen(tab, "orders") == orders
        ada.log_out()
        assert ada.trouble == []
    assert postgres.query("SELECT count(*) FROM purchase", database) == str(ada.ordered)
    assert postgres.query("SELECT count(*) FROM message", database) == str(len(ada.said))
    assert postgres.query("SELECT count(*) FROM account", database) == "1"


@needs_postgres
@pytest.mark.parametrize("kind", SERVICES)
def test_sv_6_what_was_acknowledged_before_a_kill_is_in_the_database(
    kind: Callable[[Path, str], Service], postgres: Postgres, tmp_path: Path
) -> None:
    database = postgres.new_database()
    acknowledged: list[str] = []
    failed = 0
    insecure = ssl.create_default_context()
    insecure.check_hostname = False
    insecure.verify_mode = ssl.CERT_NONE
    with kind(tmp_path, database) as service, httpx.Client(verify=insecure) as client:
        form = {"name": "ada", "password": PASSWORD}
        assert client.post(f"{service.url}/login", data=form).status_code == 303
        with Restarts(service.kill, KILLS) as kills:
            key = str(uuid4())
            while not kills.are_over or len(acknowledged) < KILLS:
                order = {"key": key, "product": 1, "quantity": 1}
                try:
                    response = client.post(f"{service.url}/api/orders", json=order)
                except httpx.TransportError:
                    failed += 1  # the same key again: the order is made once
                    continue
                if response.status_code == 201:
                    acknowledged.append(key)
                    key = str(uuid4())
                else:
                    # HAProxy has nobody to send it to.
                    assert response.status_code in {502, 503}
                    failed += 1
    stored = postgres.query("SELECT key FROM purchase ORDER BY id", database).split()
    assert stored == acknowledged
    stock = postgres.query("SELECT stock FROM product WHERE id = 1", database)
    assert stock == str(1000 - len(acknowledged))
    # Or the kills were none that anybody could notice.
    assert failed > 0


@needs_postgres
def test_rq_4_plain_http_is_redirected(postgres: Postgres, tmp_path: Path) -> None:
    with Sockets(tmp_path, postgres.new_database()) as shop:
        response = httpx.get(f"{shop.plain_url}/products/1?a=b")
    assert response.status_code == 308
    assert response.headers["location"] == f"{shop.url}/products/1?a=b"
