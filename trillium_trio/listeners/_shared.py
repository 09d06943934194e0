"""The holder of listening sockets that other processes accept from; see `_grant` for these.

It keeps each socket open, so that no client is refused or reset while one worker takes over from
another. Its sockets outlive it in two ways: another holder takes them over, or the service manager
stores them under names that say what they are.
"""

from __future__ import annotations

import dataclasses
import json
import os
from typing import TYPE_CHECKING, TypeAlias, final
from urllib.parse import quote, unquote

import trio

from ..exceptions import BindError, ConfigError
from ._grant import SharedSocket, receive_grant, send_grant
from ._inherited import STORED, adopt_fd, close_for_all, inherited_fds
from ._open import DEFAULT_BACKLOG
from ._tcp import bind_tcp
from ._unix import SocketFile, bind_unix

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from ._grant import Lines, Spec

__all__ = ["SharedSockets"]

# A specification without what may change later, and which of several equal ones.
_Key: TypeAlias = "tuple[object, ...]"

# ASCII without control characters and ":" may be in a name (sd_notify(3)); "%" is for the others.
_PLAIN = " !\"#$&'()*+,/;<=>?@[\\]^`{|}"


@final
class SharedSockets:
    """The sockets of one holder, by specification. Each is bound once.

    Attributes:
      on_change: Called when one was opened, or closed because nobody uses it.
      stored: The names of those that the service manager holds too: `close` leaves their files.
    """

    def __init__(self) -> None:
        self.on_change: Callable[[], None] = lambda: None
        self.stored: frozenset[str] = frozenset()
        self._restored: set[_Key] = set()
        self._held: dict[_Key, list[SharedSocket]] = {}
        self._files: dict[_Key, SocketFile] = {}
        self._lock = trio.Lock()

    async def open(self, specs: Sequence[Spec]) -> list[SharedSocket]:
        """Return the sockets for specifications, in their order; bind those that are missing.

        Raises:
          BindError: One could not be bound. Those that were missing are closed.
          ConfigError: The environment names no inherited sockets; likewise.

        Cancellation:
          Those that were missing are closed.
        """
        grant: list[SharedSocket] = []
        missing: list[_Key] = []
        async with self._lock:
            try:
                for number, (key, spec) in enumerate(zip(_keys(specs), specs, strict=True)):
                    if key not in self._held:
                        missing.append(key)
                        await self._bind(key, spec)
                    elif key in self._files and spec[2] is not None:
                        os.chmod(self._files[key].path, _int(spec[2]))
                    grant += [
                        SharedSocket(
                            sock=each.sock, spec=number, name=each.name, is_owned=each.is_owned
                        )
                        for each in self._held[key]
                    ]
            except BaseException as error:
                for key in missing:
                    self._close(key)
                if isinstance(error, OSError) and not isinstance(error, BindError):
                    raise BindError(error.errno or 0, error.strerror or "", str(spec[1])) from error
                raise
        if missing:
            self.on_change()
        return grant

    def keep(self, in_use: Iterable[Sequence[Spec]]) -> None:
        """Close those that we bound and that are in none of these lists of specifications."""
        used = {key for specs in in_use for key in _keys(specs)}
        # What is restored waits for the first worker that asks.
        unused = [key for key in self._held.keys() - used - self._restored if self._owns(key)]
        for key in unused:
            self._close(key)
        if unused:
            self.on_change()

    def storable(self, besides: Sequence[Spec]) -> dict[str, list[socket.socket]]:
        """Return those that we bound, by names with which `restore` knows them again.

        Args:
          besides: Specifications of those that are left out.
        """
        others = set(_keys(besides))
        return {
            self._name(key): [each.sock for each in held]
            for key, held in self._held.items()
            if key not in others and self._owns(key)
        }

    def restore(self, stored: Mapping[str, Sequence[socket.socket]]) -> None:
        """Hold sockets from `storable` of an earlier process, until `drop_restored`.

        One whose socket file is not there any more is closed, and so is what has another name.
        """
        self.stored = frozenset(stored)
        for name, socks in stored.items():
            key, file = _parse_name(name)
            if key is None or not socks:
                close_for_all(socks)
                continue
            self._restored.add(key)
            self._held[key] = [SharedSocket(sock=each, spec=0) for each in socks]
            for each in socks:
                each.setblocking(False)
            if file is not None:
                self._files[key] = file

    def drop_restored(self, specs: Sequence[Spec]) -> None:
        """Close what was restored and is none of these: its address may be bound anew."""
        for key in self._restored - set(_keys(specs)):
            close_for_all([each.sock for each in self._held[key]])
            self._close(key)
        self._restored.clear()

    def release(self, *, but: Sequence[Spec] = ()) -> None:
        """Close all except these, but leave the socket files to `close`: others still accept."""
        kept = _keys(but)
        for key, held in self._held.items():
            for each in held:
                if key not in kept:
                    each.sock.close()

    def hand_over(self, sock: socket.socket) -> None:
        """Send all to another holder, for its `take_over`.

        Raises:
          OSError: It is gone.
        """
        held = list(self._held.items())
        files = [(key, dataclasses.asdict(file)) for key, file in self._files.items()]
        sock.sendall(json.dumps({"keys": [key for key, _ in held], "files": files}).encode())
        sock.sendall(b"\n")
        grant = [
            dataclasses.replace(each, spec=number)
            for number, (_, socks) in enumerate(held)
            for each in socks
        ]
        send_grant(sock, grant)

    def forget_files(self) -> None:
        """Leave the socket files to another holder, which has taken them over."""
        self._files.clear()

    def take_over(self, lines: Lines) -> None:
        """Block until all sockets of another holder have come.

        Raises:
          BindError: There are too few free descriptors.
          EOFError: The other holder is gone.
        """
        facts = json.loads(lines.read() or b"{}")
        grant = receive_grant(lines)
        for number, key in enumerate(facts["keys"]):
            self._held[tuple(key)] = [each for each in grant if each.spec == number]
        for key, file in facts["files"]:
            self._files[tuple(key)] = SocketFile(**file)

    def close(self, *, but: Sequence[Spec] = ()) -> None:
        """Close all except these, and remove the socket files. Those who have duplicates go on."""
        for key in self._held.keys() - _keys(but):
            if self._name(key) in self.stored:
                self._files.pop(key, None)
            self._close(key)

    async def _bind(self, key: _Key, spec: Spec) -> None:
        match spec:
            case ["tcp", str(host), int(port)]:
                socks = await bind_tcp(host, port, backlog=DEFAULT_BACKLOG)
                self._held[key] = [SharedSocket(sock=each, spec=0) for each in socks]
            case ["unix", str(path), mode]:
                sock, self._files[key] = bind_unix(
                    path, None if mode is None else _int(mode), backlog=DEFAULT_BACKLOG
                )
                self._held[key] = [SharedSocket(sock=sock, spec=0)]
            case ["fd", int(fd), str(name)]:
                self._held[key] = [
                    SharedSocket(sock=adopt_fd(fd), spec=0, name=name, is_owned=False)
                ]
            case ["env"]:
                self._held[key] = held = []
                for fd, name in inherited_fds():
                    held.append(SharedSocket(sock=adopt_fd(fd), spec=0, name=name, is_owned=False))
            case _:
                raise ConfigError(f"{spec!r} names no listener")
        for each in self._held[key]:
            each.sock.setblocking(False)

    def _owns(self, key: _Key) -> bool:
        return all(each.is_owned for each in self._held[key])

    def _name(self, key: _Key) -> str:
        file = self._files.get(key)
        facts = key if file is None else (*key, file.device, file.inode)
        return STORED[:-1] + quote(json.dumps(facts, separators=(",", ":")), safe=_PLAIN)

    def _close(self, key: _Key) -> None:
        # The file first, so that later clients are refused instead of queued.
        if key in self._files:
            self._files.pop(key).remove()
        for each in self._held.pop(key, ()):
            each.sock.close()


def _parse_name(name: str) -> tuple[_Key | None, SocketFile | None]:
    """Return the key in a name from `SharedSockets.storable`, if it is of use, and its file."""
    try:
        facts = json.loads(unquote(name.removeprefix(STORED[:-1])))
    except ValueError:
        return None, None
    match facts:
        case ["tcp", str(), int(), int()]:
            return tuple(facts), None
        case ["unix", str(path), int(), int(device), int(inode)]:
            file = SocketFile(path=path, device=device, inode=inode)
            return (tuple(facts[:3]), file) if file.is_ours() else (None, None)
        case _:
            return None, None


def _int(value: str | int | None) -> int:
    assert isinstance(value, int), "the bits of a mode"
    return value


def _keys(specs: Sequence[Spec]) -> list[_Key]:
    """Return a key for each: two listeners on port 0 are not the same."""
    keys: list[_Key] = []
    for spec in specs:
        # The mode of a socket file may change.
        bare = tuple(spec[:2]) if spec[0] == "unix" else tuple(spec)
        keys.append((*bare, sum(each[:-1] == bare for each in keys)))
    return keys
