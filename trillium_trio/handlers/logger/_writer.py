"""Writes lines in a thread, several at a time."""

from __future__ import annotations

import os
import sys
import threading
from queue import SimpleQueue
from typing import TYPE_CHECKING, Final, Protocol, final

from ..._log import SafeLogger, text_of
from ...exceptions import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FileSink", "Sink", "StreamSink", "TextStream", "Writer"]

logger = SafeLogger("trillium_trio.handlers")

# How long lines are collected. A write, and a turn of the thread, cost as much as ten lines.
_COLLECT_SECONDS = 0.1
# Of memory, some 30 MB.
_MAX_LINES = 100_000
# At the end the event loop waits for the thread: a disk takes milliseconds, a stuck pipe for ever.
_LAST_SECONDS = 1.0


# What a pipe takes in one piece, whoever else writes to it (pipe(7), PIPE_BUF on Linux).
_PIECE: Final = 4096


class Sink(Protocol):
    """Where lines go. Used by one thread at a time."""

    def open(self) -> None:
        """Prepare to write.

        Raises:
          ConfigError: It cannot be written to.
        """

    def write(self, text: str) -> None:
        """Write whole lines, of ASCII.

        Raises:
          OSError, ValueError: It takes no more.
        """

    def close(self) -> None:
        """Write no more."""


class TextStream(Protocol):
    """The part of a text stream that is used."""

    def write(self, text: str, /) -> object:
        """Take whole lines."""

    def flush(self) -> object:
        """Pass on what was taken."""


@final
class StreamSink:
    """A text stream, by default standard output; it stays open."""

    def __init__(self, stream: TextStream | None = None) -> None:
        self._stream = stream

    def open(self) -> None:
        """See `Sink`."""

    def write(self, text: str) -> None:
        """See `Sink`."""
        # Looked up each time: programs replace it.
        stream: TextStream = self._stream or sys.stdout
        for piece in _pieces(text):
            stream.write(piece)
            stream.flush()

    def close(self) -> None:
        """See `Sink`."""

    def __repr__(self) -> str:
        return "standard output" if self._stream is None else text_of(repr, self._stream)


@final
class FileSink:
    """The end of a file, which is opened anew when another program has moved it away."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def open(self) -> None:
        """See `Sink`."""
        try:
            self._reopen()
        except OSError as error:
            raise ConfigError(f"Logger.target {self._path}: {error.strerror}") from error

    def write(self, text: str) -> None:
        """See `Sink`."""
        if self._is_moved():
            self._reopen()
        data = memoryview(text.encode("ascii"))
        while data:
            data = data[os.write(self._file, data) :]

    def close(self) -> None:
        """See `Sink`."""
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)

    def _is_moved(self) -> bool:
        if self._file < 0:
            return True
        try:
            return not os.path.samestat(os.stat(self._path), os.fstat(self._file))
        except FileNotFoundError:
            return True

    def _reopen(self) -> None:
        self.close()
        self._file = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def __repr__(self) -> str:
        return str(self._path)


@final
class Writer:
    """Collects lines for a moment, and writes them in one piece; see LG-6.

    The thread runs from the first `start` to the last `stop`, of which there is one for each
    server.

    Args:
      sink: Where lines go.
    """

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._lines: SimpleQueue[str | None] = SimpleQueue()
        # Counted by those who write lines, and what of it the thread has logged.
        self._dropped = self._reported = 0
        self._users = 0
        self._lock = threading.Lock()
        self._is_ending = threading.Event()
        self._thread: threading.Thread | None = None

    def write(self, line: str) -> None:
        """Have a line written; never waits."""
        if self._lines.qsize() < _MAX_LINES:
            self._lines.put(line)
        else:
            self._dropped += 1

    def start(self) -> None:
        """Open the sink and begin to write, for one more server.

        Raises:
          ConfigError: It cannot be written to.
        """
        with self._lock:
            if not self._users:
                self._sink.open()
                self._is_ending.clear()
                self._thread = threading.Thread(
                    target=self._run, args=(self._lines,), name="access log", daemon=True
                )
                self._thread.start()
            self._users += 1

    def stop(self) -> None:
        """Write what is left, if this was the last server; wait for it, but not for ever."""
        with self._lock:
            self._users -= 1
            if self._users:
                return
            assert self._thread is not None
            self._lines.put(None)
            self._is_ending.set()
            self._thread.join(_LAST_SECONDS)
            if self._thread.is_alive():
                logger.error(
                    "access log: %r takes nothing: %d lines and more are lost",
                    *(self._sink, self._lines.qsize()),
                )
                # Those that the thread may still write.
                self._lines = SimpleQueue()
            else:
                self._sink.close()

    def _run(self, lines: SimpleQueue[str | None]) -> None:
        while True:
            batch = [lines.get()]
            self._is_ending.wait(_COLLECT_SECONDS)
            batch += [lines.get() for _ in range(lines.qsize())]
            is_last = batch[-1] is None
            self._write([each for each in batch if each is not None])
            if is_last:
                return

    def _write(self, batch: list[str]) -> None:
        dropped = self._dropped - self._reported
        self._reported += dropped
        if dropped:
            logger.error("access log: %d lines dropped: %r is too slow", dropped, self._sink)
        try:
            if batch:
                self._sink.write("\n".join([*batch, ""]))
        except Exception as error:  # of any stream
            logger.error(
                "access log: %d lines lost: %r: %s",
                *(len(batch), self._sink, text_of(str, error)),
            )

    def __repr__(self) -> str:
        return f"<Writer to {self._sink!r}, {self._lines.qsize()} lines>"


def _pieces(text: str) -> Iterator[str]:
    """Cut at the ends of lines, so that lines of several processes do not mix in a pipe."""
    start = 0
    while start < len(text):
        end = text.rfind("\n", start, start + _PIECE) + 1
        end = end or text.find("\n", start) + 1 or len(text)
        yield text[start:end]
        start = end
