"""Listening sockets in two holders, one after the other."""

from __future__ import annotations

import os
import socket
from contextlib import closing

from trillium_trio.listeners import Lines, SharedSockets


async def test_a_duplicate_does_not_make_it_block() -> None:
    """O_NONBLOCK belongs to all copies: an accept that blocks would stop a whole process."""
    old, new = SharedSockets(), SharedSockets()
    (opened,) = await old.open([["tcp", "127.0.0.1", 0]])
    ours, theirs = socket.socketpair()
    with closing(ours), closing(theirs):
        old.hand_over(ours)
        new.take_over(Lines(theirs))
    try:
        (taken,) = await new.open([["tcp", "127.0.0.1", 0]])
        taken.duplicate().sock.close()
        assert [os.get_blocking(each.sock.fileno()) for each in (opened, taken)] == [False, False]
    finally:
        new.close()
        old.close()
