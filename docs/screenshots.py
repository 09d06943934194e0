"""Takes the pictures of the shop for the tutorial, from the running shop.

Run as ``python -m docs.screenshots`` from the root, with DATABASE_URL naming an empty database.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import FilePayload

from tests.e2e._browser import browser

ROOT = Path(__file__).parents[1]
IMAGES = Path(__file__).parent / "tutorial" / "images"

CUP = """<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 200 150" width="200" height="150">
<rect width="200" height="150" fill="#eee"/>
<path fill="#275" d="M50 50h90q0 70-30 70H80q-30 0-30-70z"/>
<path fill="none" stroke="#275" stroke-width="9" d="M138 60q30 0 25 20t-35 22"/>
<path fill="none" stroke="#999" stroke-width="4" d="M80 40q-8-10 0-18t0-16M105 40q-8-10 0-18t0-16"/>
</svg>"""


def main() -> None:
    """Start the shop, walk through it, and write the pictures."""
    command = [sys.executable, "-m", "trillium_trio", "shop.app:app", "--bind", "127.0.0.1:0"]
    path = f"{ROOT / 'examples'}{os.pathsep}{ROOT}"
    with subprocess.Popen(  # noqa: S603 (our own command)
        command, env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.PIPE, text=True
    ) as shop:
        try:
            assert shop.stderr is not None
            line = next(each for each in shop.stderr if "listening on" in each)
            [url] = re.findall(r"http://\S+", line)
            take(url)
        finally:
            shop.terminate()


def take(url: str) -> None:
    """Walk through the shop at a URL."""
    IMAGES.mkdir(exist_ok=True)
    with browser() as chromium:
        page = chromium.new_page(viewport={"width": 760, "height": 420})

        def picture(name: str) -> None:
            page.screenshot(path=IMAGES / f"shop-{name}.png")

        page.set_content(CUP)
        cup = page.locator("svg").screenshot()
        page.goto(f"{url}/login")
        picture("login")
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill("secret")
        page.get_by_role("button", name="Log in").click()
        page.get_by_text("Cup").click()
        file = FilePayload(name="cup.png", mimeType="image/png", buffer=cup)
        page.get_by_label("Picture").set_input_files(file)
        page.get_by_role("button", name="Upload").click()
        page.get_by_alt_text("Cup").wait_for()
        picture("product")
        page.get_by_label("Quantity").fill("2")
        page.get_by_role("button", name="Order").click()
        page.goto(url)
        picture("front")
        page.goto(f"{url}/live")
        page.get_by_text("ada: 2 x Cup").wait_for()
        for text in ("Is there green tea as well?", "Next week."):
            page.locator("#chat input").fill(text)
            page.get_by_role("button", name="Send").click()
            page.get_by_text(f"ada: {text}").wait_for()
        picture("live")


if __name__ == "__main__":
    main()
