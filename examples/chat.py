"""A chat: a page and a WebSocket. At the stop everyone who is connected gets a goodbye.

Needs ``pip install 'trillium-trio[websockets]'``. Open http://localhost:8080 in two windows, and
press Ctrl-C: both say goodbye, and connect again when the server is back.
"""

import trio

import trillium_trio as tt
from trillium_trio.handlers import WebSocket, WebSocketConn

PAGE = """<!doctype html><meta charset="utf-8"><title>Chat</title>
<form><input id="input" autofocus placeholder="Say something"></form><pre id="log"></pre>
<script>
function connect() {
  socket = new WebSocket(location.href.replace(/^http/, "ws"));
  socket.onmessage = event => log.prepend(event.data + "\\n");
  socket.onclose = event => event.code === 1000 || setTimeout(connect, 1000 + 4000 * Math.random());
}
document.forms[0].onsubmit = event => {
  event.preventDefault(); socket.send(input.value); input.value = "";
};
connect();
</script>"""

present: set[WebSocketConn] = set()


async def page(conn: tt.Conn) -> tt.Conn:
    if "upgrade" in conn.request_headers:
        return conn
    return conn.with_response_header("content-type", "text/html; charset=utf-8").ok(PAGE)


async def deliver(ws: WebSocketConn, text: str) -> None:
    # A slow reader misses a message and holds up nobody; one that has left is about to be removed.
    with trio.move_on_after(1):
        try:
            await ws.send(text)
        except tt.WebSocketClosed:
            pass


async def chat(ws: WebSocketConn) -> None:
    present.add(ws)
    try:
        async for message in ws:
            async with trio.open_nursery() as nursery:
                for other in present:
                    nursery.start_soon(deliver, other, str(message))
        if ws.was_interrupted:
            await ws.send("(the server restarts, see you soon)")
    finally:
        present.discard(ws)


if __name__ == "__main__":
    tt.config().run((page, WebSocket(chat, max_message_bytes=1000)))
