"use strict";

const add = (list, text, className = "") => {
  const item = document.createElement("li");
  item.textContent = text;
  item.className = className;
  document.getElementById(list).append(item);
  return item;
};

// The browser reconnects by itself, and says which event was its last.
const orders = new EventSource("/live/orders");
orders.onmessage = (event) => add("orders", event.data);

// What is sent and not known to be stored. It is sent again on the next connection, with the same
// key, so that it is stored once.
const waiting = new Map();
let last = 0;
let socket;

const connect = () => {
  const url = new URL(`/live/chat?${last}`, location.href);
  url.protocol = url.protocol.replace("http", "ws");
  socket = new WebSocket(url);
  socket.onopen = () => waiting.forEach(({ text }, key) => send(key, text));
  socket.onmessage = (event) => {
    const { stored, id, author, text } = JSON.parse(event.data);
    if (stored) {
      waiting.get(stored)?.item.remove();
      waiting.delete(stored);
    } else {
      last = id;
      add("messages", `${author}: ${text}`);
    }
  };
  // Not all at once, and not the same time for all.
  socket.onclose = () => setTimeout(connect, 100 + 400 * Math.random());
};

const send = (key, text) => {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify([key, text]));
};

document.getElementById("chat").onsubmit = (event) => {
  event.preventDefault();
  const text = event.target.text.value;
  const key = crypto.randomUUID();
  waiting.set(key, { text, item: add("messages", text, "waiting") });
  send(key, text);
  event.target.reset();
};

connect();
