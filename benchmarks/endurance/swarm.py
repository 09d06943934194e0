"""Slow peers by the thousand: each sends one byte of a request head per second.

Run as ``python -m benchmarks.endurance.swarm PORT PEERS SECONDS``; prints one JSON object when the
time is over, see `Result`. A peer that the server ends comes back at once, as an attacker's does.

A plain epoll loop, and a wheel of as many slots as a second has turns: each turn, the peers of one
slot send their byte.
"""

from __future__ import annotations

import json
import select
import socket
import sys
import time
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import final

__all__ = ["HEAD", "Result", "attack"]

# As slowloris: regular so far, and never at its end.
HEAD = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"X-a: b\r\n" * 40

_TURNS_PER_SECOND = 50
# Each has some 28,000 ports of its own to connect from.
_SOURCES = tuple(f"127.0.0.{number}" for number in range(2, 10))
# 2,000 a second: all are there before the first times out. Faster would be a flood of connections,
# which is another attack.
_CONNECTS_PER_TURN = 40


@final
@dataclass(slots=True)
class Result:
    """What became of the peers.

    Attributes:
      ended: By status of the answer that ended them: ``408``, ``503``; ``nothing`` where there was
        none, ``refused`` where there was no connection.
      open_at_most: Peers that had sent a byte and were open, at one time.
      sent_bytes: By all of them.
      shortest_seconds, longest_seconds: From the first byte of a peer to its 408; 0 if none got it.
    """

    ended: dict[str, int] = field(default_factory=dict)
    open_at_most: int = 0
    sent_bytes: int = 0
    shortest_seconds: float = 0.0
    longest_seconds: float = 0.0


@final
class _Peer:
    __slots__ = ("begun_at", "sent", "slot", "sock")

    def __init__(self, sock: socket.socket, slot: int) -> None:
        self.sock = sock
        self.slot = slot
        self.sent = 0
        self.begun_at = 0.0


def attack(port: int, peers: int, seconds: float) -> Result:
    """Keep ``peers`` slow peers at a server for so many seconds."""
    result = Result()
    poll = select.epoll()
    active: dict[int, _Peer] = {}
    slots: list[dict[int, _Peer]] = [{} for _ in range(_TURNS_PER_SECOND)]
    waiting = deque(range(peers))  # the numbers of those that are not connected

    def connect(number: int) -> None:
        sock = socket.socket()
        sock.setblocking(False)
        # The port is chosen by the connection, which many connections may then share.
        sock.setsockopt(socket.IPPROTO_IP, getattr(socket, "IP_BIND_ADDRESS_NO_PORT", 24), 1)
        sock.bind((_SOURCES[number % len(_SOURCES)], 0))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.connect_ex(("127.0.0.1", port))
        peer = _Peer(sock, number)
        active[sock.fileno()] = peer
        slots[number % _TURNS_PER_SECOND][sock.fileno()] = peer
        poll.register(sock, select.EPOLLIN)

    def end(peer: _Peer, now: float) -> None:
        try:
            answer = peer.sock.recv(4_096)
        except ConnectionRefusedError:
            outcome = "refused"
        except OSError:
            outcome = "nothing"
        else:
            outcome = answer[9:12].decode("ascii", "replace") or "nothing"
        result.ended[outcome] = result.ended.get(outcome, 0) + 1
        if outcome == "408":
            lasted = now - peer.begun_at
            result.shortest_seconds = min(result.shortest_seconds or lasted, lasted)
            result.longest_seconds = max(result.longest_seconds, lasted)
        fd = peer.sock.fileno()
        del active[fd], slots[peer.slot % _TURNS_PER_SECOND][fd]
        peer.sock.close()
        waiting.append(peer.slot)

    def send_byte(peer: _Peer, now: float) -> None:
        try:
            peer.sock.send(HEAD[peer.sent : peer.sent + 1])
        except OSError:
            return  # not connected yet, or ended: then epoll says so
        if not peer.sent:
            peer.begun_at = now
        peer.sent += 1
        result.sent_bytes += 1

    begin = time.monotonic()
    turn = 0
    while (now := time.monotonic()) < begin + seconds:
        for _ in range(min(len(waiting), _CONNECTS_PER_TURN)):
            connect(waiting.popleft())
        slot = slots[turn % _TURNS_PER_SECOND]
        for peer in slot.values():
            send_byte(peer, now)
        turn += 1
        # What was late is made up for.
        due = begin + turn / _TURNS_PER_SECOND
        while True:
            for fd, _ in poll.poll(max(0.0, due - time.monotonic()), 1_000):
                if fd in active:
                    end(active[fd], time.monotonic())
            if time.monotonic() >= due:
                break
        if turn % _TURNS_PER_SECOND == 0:
            begun = sum(peer.sent > 0 for peer in active.values())
            result.open_at_most = max(result.open_at_most, begun)
    for peer in active.values():
        peer.sock.close()
    return result


if __name__ == "__main__":
    print(json.dumps(asdict(attack(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3])))))
