"""The admin page in Chromium, while a server drains: what it shows is what the report says."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
import trio
from playwright.sync_api import Page, expect, sync_playwright

import trillium_trio as tt
from trillium_trio.handlers import Admin

if TYPE_CHECKING:
    from collections.abc import Callable

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "chrome"))), None)
ARGUMENTS = [
    *("--no-sandbox", "--disable-gpu", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]
# Nothing here waits longer than it has to.
PATIENCE = 60_000
REQUESTS = 50
# What a client asks for is shown, and must be no more than text.
PATH = "/<img/src=x/onerror=alert(1)>"


def fact(page: Page, name: str) -> str:
    """Read one figure of the drain."""
    row = page.locator("#figures .facts div", has=page.locator(f"dt:text-is('{name}')"))
    return row.locator("dd").inner_text()


def browse(url: str, act: Callable[[], None], finish: Callable[[int], None]) -> list[str]:
    """Look at the page through a drain; return what the browser complained of."""
    complaints: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page()
        page.set_default_timeout(PATIENCE)
        expect.set_options(timeout=PATIENCE)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("dialog", lambda dialog: complaints.append(dialog.message))
        page.goto(url)
        expect(page.locator("#state")).to_have_text("running")
        expect(page.locator(".guard")).to_contain_text(f"{REQUESTS} \u00d7")
        expect(page.locator(".guard")).to_contain_text(f"GET {PATH}")
        assert page.locator("#draining").is_hidden()
        page.check("#wanted")
        expect(page.locator(".guard")).to_contain_text("in wait_for_its_turn")
        act()
        expect(page.locator("#state")).to_have_text("shutting down")
        assert (fact(page, "finished"), fact(page, "left")) == ("0", str(REQUESTS))
        assert "s" in fact(page, "until the cut")
        finish(20)
        expect(page.locator(".guard")).to_contain_text(f"{REQUESTS - 20} \u00d7")
        assert (fact(page, "finished"), fact(page, "left")) == ("20", str(REQUESTS - 20))
        bar = page.locator("#bar")
        assert bar.evaluate("bar => [bar.value, bar.max]") == [20, REQUESTS]
        finish(REQUESTS - 20)
        expect(page.locator("#state")).to_have_text("complete")
        assert (fact(page, "finished"), fact(page, "left")) == (str(REQUESTS), "0")
        for width in (400, 1200):
            page.set_viewport_size({"width": width, "height": 800})
            wide = page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width
        browser.close()
    return complaints


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
async def test_ad_7_the_page_shows_what_a_drain_waits_for() -> None:
    turns = trio.Semaphore(0)

    async def wait_for_its_turn(conn: tt.Conn) -> tt.Conn:
        await turns.acquire()
        return conn.ok("done")

    async def ask(port: int) -> None:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(f"GET {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        while await stream.receive_some():
            pass
        await stream.aclose()

    def stop() -> None:
        server.shut_down()

    def finish(count: int) -> None:
        for _ in range(count):
            turns.release()

    config = tt.Config(drain_timeout=50).bind_tcp("127.0.0.1:0").without_signals()
    beside = tt.Config().bind_tcp("127.0.0.1:0").without_signals()
    async with config.serving(wait_for_its_turn) as server:
        admin = Admin(server.swansong, servers=[server], stacks=True)
        async with beside.serving(admin) as shown, trio.open_nursery() as nursery:
            for _ in range(REQUESTS):
                nursery.start_soon(ask, server.port)
            complaints = await trio.to_thread.run_sync(
                browse,
                shown.url,
                lambda: trio.from_thread.run_sync(stop),
                lambda count: trio.from_thread.run_sync(finish, count),
            )
        report = await server
    assert (report.is_clean, report.finished) == (True, REQUESTS)
    assert complaints == []
