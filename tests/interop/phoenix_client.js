// Phoenix's own client against `Channels`. Lines of its standard output are checked by test_phoenix.py.
//
// Run as `node phoenix_client.js URL`, in a folder with the packages `phoenix` and `ws`.
const path = require("path");
const load = (name) => require(path.join(process.cwd(), "node_modules", name));
const { Socket } = load("phoenix");
const WebSocket = load("ws");

const say = (...words) => console.log(JSON.stringify(words));
const settled = (push) =>
  new Promise((resolve) => {
    for (const status of ["ok", "error", "timeout"]) {
      push.receive(status, (response) => resolve([status, response]));
    }
  });

async function main() {
  const socket = new Socket(process.argv[2], {
    transport: WebSocket,
    authToken: "secret",
    params: { user: "ann" },
    heartbeatIntervalMs: 200,
    reconnectAfterMs: () => 100,
    rejoinAfterMs: () => 100,
  });
  socket.onMessage(({ topic, event, payload }) => {
    if (topic === "phoenix") say("heartbeat", event, payload.status);
  });
  socket.onClose((event) => say("socket closed", event.code));
  socket.connect();

  const room = socket.channel("room:1", { name: "ann" });
  room.on("said", (payload) => say("said", payload));
  room.on("raw", (payload) => say("raw", [...new Uint8Array(payload)]));
  room.onClose(() => say("room closed"));
  room.onError((reason) => say("room error", reason));
  const join = room.join();
  let onJoin = () => {};
  join.receive("ok", (response) => {
    say("joined", response);
    onJoin();
  });
  await settled(join);
  say("echo", ...(await settled(room.push("echo", { text: "grüß dich" }))));
  say("unknown", ...(await settled(room.push("dance", {}))));
  await settled(room.push("say", { text: "hello" }));
  const [status, bytes] = await settled(room.push("echo", new Uint8Array([0, 255, 10]).buffer));
  say("bytes", status, [...new Uint8Array(bytes)]);
  await settled(room.push("say-bytes", new Uint8Array([1, 2, 3]).buffer));
  say("refused", ...(await settled(socket.channel("room:1:private", {}).join())));
  say("unmatched", ...(await settled(socket.channel("nowhere", {}).join())));
  socket.channels.filter((each) => each !== room).forEach((each) => each.rejoinTimer.reset());

  // The channel fails, and the client joins again by itself.
  const again = new Promise((resolve) => (onJoin = resolve));
  room.push("fail", {});
  await again;
  say("echo again", ...(await settled(room.push("echo", {}))));

  const other = socket.channel("room:2", {});
  await settled(other.join());
  other.onClose(() => say("other closed"));
  say("left", ...(await settled(other.leave())));
  say("ready");
}

main();
process.stdin.on("end", () => process.exit(0)).resume();
