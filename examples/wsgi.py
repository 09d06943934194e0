"""A WSGI application: a stream that ends when the server is stopped.

The application runs in a worker thread, which nothing can cancel. ``environ["trillium.swansong"]``
is the server's swansong: ``interrupt`` ends the loop at the stop, and what comes after it still
reaches the client. Try ``curl -N localhost:8080``, and press Ctrl-C here.
"""

import time
from collections.abc import Iterable, Iterator
from typing import Any
from wsgiref.types import StartResponse

import trillium_trio as tt
from trillium_trio.wsgi import Wsgi


def seconds() -> Iterator[bytes]:
    count = 0
    while True:
        yield f"{count}\n".encode()
        time.sleep(1)
        count += 1


def clock(environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield from environ["trillium.swansong"].interrupt(seconds())
    yield b"bye\n"


if __name__ == "__main__":
    tt.config().run(Wsgi(clock))
