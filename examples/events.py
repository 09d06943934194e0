"""Server-sent events: a clock in the browser, with a last event before the server stops.

Run it, open http://localhost:8080, and press Ctrl-C: the page shows the goodbye. Start it again,
and the page reconnects by itself.
"""

from collections.abc import AsyncGenerator, AsyncIterator
from datetime import datetime

import trio

import trillium_trio as tt
from trillium_trio.handlers import Event, EventStream

PAGE = """<!doctype html>
<title>Clock</title>
<h1 id="now">connecting</h1>
<script>
  const show = (text) => { document.getElementById("now").textContent = text; };
  const source = new EventSource("/time");
  source.onmessage = (event) => show(event.data);
  source.addEventListener("goodbye", (event) => show(event.data));
</script>
"""


async def clock() -> AsyncIterator[str]:
    while True:
        yield f"{datetime.now():%H:%M:%S}"
        await trio.sleep(1)


async def times(conn: tt.Conn) -> AsyncGenerator[Event | str, None]:
    async for time in conn.swansong.interrupt(clock()):
        yield time
    yield Event(event="goodbye", data="restarting")


async def page(conn: tt.Conn) -> tt.Conn:
    if conn.path != "/":
        return conn
    return conn.ok(PAGE).with_response_header("content-type", "text/html; charset=utf-8")


app = (page, EventStream(times))

if __name__ == "__main__":
    tt.config().run(app)
