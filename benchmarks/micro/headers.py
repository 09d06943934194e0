"""What header fields cost: nanoseconds per operation, beside one look into a dict.

Run it with ``python benchmarks/micro/headers.py``. Request fields arrive as one validated block and
are split when somebody asks for the first of them, so that is the row to look at; response fields
are validated when they are set.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # as a script as well as with -m

from benchmarks.micro.timing import print_rows
from trillium_trio.http import Headers

if TYPE_CHECKING:
    from collections.abc import Callable

ONE = b"Host: 127.0.0.1:8080\r\n"
ELEVEN = (
    b"Host: example.com\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101\r\n"
    b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8\r\n"
    b"Accept-Language: en-US,en;q=0.5\r\nAccept-Encoding: gzip, deflate, br\r\n"
    b"Connection: keep-alive\r\nCookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n"
    b"Upgrade-Insecure-Requests: 1\r\nSec-Fetch-Dest: document\r\nSec-Fetch-Mode: navigate\r\n"
    b"Cache-Control: max-age=0\r\n"
)
RESPONSE = {
    "content-type": "application/json",
    "cache-control": "no-store",
    "etag": '"0123456789abcdef"',
    "vary": "accept-encoding",
}


def request_rows(name: str, block: bytes) -> dict[str, Callable[[], object]]:
    """Return what a handler does with the fields of a request."""
    split = Headers.from_block(block)
    split.items()
    return {
        f"{name}: from_block": lambda: Headers.from_block(block),
        f"{name}: from_block, first get": lambda: Headers.from_block(block).get("host"),
        f"{name}: from_block, render": lambda: Headers.from_block(block).render(),
        f"{name}: get the first": lambda: split.get("host"),
        f"{name}: get one that is missing": lambda: split.get("origin"),
        f"{name}: get_all": lambda: split.get_all("cookie"),
        f"{name}: items": split.items,
    }


def response_rows() -> dict[str, Callable[[], object]]:
    """Return what a response does with its fields."""
    one, four = Headers(list(RESPONSE.items())[:1]), Headers(RESPONSE)

    def set_one() -> None:
        Headers().set("content-type", "application/json")

    def set_four() -> None:
        headers = Headers()
        for name, value in RESPONSE.items():
            headers.set(name, value)

    def append_four() -> None:
        headers = Headers()
        for name, value in RESPONSE.items():
            headers.append(name, value)

    return {
        "response: none": Headers,
        "response: set 1": set_one,
        "response: set 4": set_four,
        "response: append 4": append_four,
        "response: replace 1 of 4": lambda: four.set("vary", "accept-encoding"),
        "response: render 1": one.render,
        "response: render 4": four.render,
        "response: copy 4": four.copy,
    }


def main() -> None:
    plain = {"host": "127.0.0.1:8080"}
    print_rows(
        {"a look into a dict": lambda: plain.get("host")}
        | request_rows("1 field", ONE)
        | request_rows("11 fields", ELEVEN)
        | response_rows()
    )


if __name__ == "__main__":
    main()
