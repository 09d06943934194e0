"""Chat rooms over channels: http://localhost:8080#tea and #coffee are two rooms.

Needs ``pip install 'trillium-trio[websockets,redis]'``. Processes that are given a Redis share the
rooms: ``PORT=8081 python channels.py redis://localhost``. The page speaks the protocol by hand; the
npm package ``phoenix`` does the same and more.
"""

import sys
from typing import Any

import trillium_trio as tt
from trillium_trio.handlers import Channel, ChannelError, Channels, RedisBroker

PAGE = """<!doctype html><meta charset="utf-8"><title>Rooms</title>
<form><input id="input" autofocus placeholder="Say something"></form><pre id="log"></pre><script>
const topic = "room:" + (location.hash.slice(1) || "tea");
let ref = 0, socket;
const push = (event, payload, to = topic) =>
  socket.send(JSON.stringify(["1", String(++ref), to, event, payload]));
function connect() {
  socket = new WebSocket(location.origin.replace(/^http/, "ws") + "/socket/websocket?vsn=2.0.0");
  const heartbeat = setInterval(() => push("heartbeat", {}, "phoenix"), 30000);
  socket.onopen = () => { ref = 0; push("phx_join", {}); };
  socket.onmessage = message => {
    const [, , , event, payload] = JSON.parse(message.data);
    if (event === "said") log.prepend(payload.text + "\\n");
    if (payload.status === "error") log.prepend("! " + payload.response.reason + "\\n");
  };
  socket.onclose = () => {
    clearInterval(heartbeat); setTimeout(connect, 1000 + 4000 * Math.random());
  };
}
document.forms[0].onsubmit = event => {
  event.preventDefault(); push("say", {text: input.value}); input.value = "";
};
connect();
</script>"""


async def page(conn: tt.Conn) -> tt.Conn:
    if conn.path.startswith("/socket"):
        return conn
    return conn.with_response_header("content-type", "text/html; charset=utf-8").ok(PAGE)


class Room(Channel):
    """A room: what one says, all get."""

    async def receive(self, event: str, payload: Any) -> object:
        """Take what is said."""
        match event, payload:
            case "say", {"text": str(text)} if text.strip():
                await self.broadcast("said", {"text": text})
                return None
        raise ChannelError("say something")


if __name__ == "__main__":
    broker = RedisBroker(sys.argv[1]) if sys.argv[1:] else None
    tt.config().run((page, Channels({"room:*": Room}, broker=broker)))
