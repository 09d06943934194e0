"""The handler that serves files."""

from __future__ import annotations

from contextlib import asynccontextmanager
from secrets import token_hex
from typing import TYPE_CHECKING, Self, final

from ..._util import check_count
from ...conn import Handler, Mounted
from ...exceptions import ConfigError
from ...http import (
    Body,
    Status,
    accepted_codings,
    add_vary,
    content_range,
    if_range_holds,
    judge_preconditions,
    parse_byte_ranges,
    ranges_in_parts,
    reason_phrase,
)
from ._bundle import Bundle
from ._folder import Folder
from ._found import CODINGS, DIRECTORY, Describer, Found
from ._path import names_of

if TYPE_CHECKING:
    import os
    import re
    from collections.abc import AsyncIterator, Mapping

    from ...conn import Conn, Info
    from ._found import Directory, Source

__all__ = ["Static"]

_METHODS = frozenset({"GET", "HEAD"})
_CONDITIONS = frozenset(
    {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since", "range"}
)
# RFC 9110, 15.4.5: what a 304 must have of the fields of the 200.
_IN_304 = frozenset({"cache-control", "etag", "last-modified"})


@final
class Static(Handler):
    """Serves the files of a folder to GET and HEAD; passes on what it does not find.

    Below a router, mount it: it serves `Mounted.path`. Alone, it serves the whole path.

    A file has an ETag and Last-Modified, all preconditions count (RFC 9110, 13), and so do ranges:
    one, or up to 8 that do not overlap (RFC 9110, 14). Files are opened in a worker thread and sent
    by sendfile. Those of up to 64 KiB stay in memory while `os.stat` says that they are unchanged.

    No path leads out of the folder, and none to a pipe or a device. Without `follow_symlinks`, no
    symbolic link below the folder is followed.

    Args:
      root: The folder. It is open while it is served; one that takes its place is not seen.
      index: The file that stands for its folder; a path without the slash at its end is redirected
        to the one with it. None: folders are not found. Default: ``index.html``.
      fallback: The path, below the folder, of a file that answers what is not found, if the request
        names ``text/html`` in Accept: for applications that route in the browser. Default: None.
      precompressed: Whether ``a.js.zst``, ``a.js.br`` or ``a.js.gz`` are sent as ``a.js`` to who
        accepts that coding. Not with ranges. Default: False.
      cache_control: The Cache-Control field, or one by pattern: a glob that matches the whole path
        below the folder, or a compiled expression that is searched in it. The first that matches
        counts. Default: None, no field.
      content_types: Types by suffix, besides and before those of the table.
      dotfiles: Whether names may begin with a dot. Default: False.
      follow_symlinks: Whether symbolic links are followed, out of the folder as well.
        Default: False.
      cache_bytes: How much memory small files may take. On a file system where looking at a file's
        status may take long, such as one on the network, say 0: each file is then opened in a
        worker thread each time. Default: 16 MiB. Unit: bytes.

    Raises:
      ConfigError: The folder cannot be opened, or a setting is wrong.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        *,
        index: str | None = "index.html",
        fallback: str | None = None,
        precompressed: bool = False,
        cache_control: str | Mapping[str | re.Pattern[str], str] | None = None,
        content_types: Mapping[str, str] | None = None,
        dotfiles: bool = False,
        follow_symlinks: bool = False,
        cache_bytes: int = 16 * 1024 * 1024,
    ) -> None:
        check_count("Static.cache_bytes", cache_bytes, least=0)
        describer = Describer(
            content_types=content_types, cache_control=cache_control, varies=precompressed
        )
        source = Folder(
            root,
            describer=describer,
            index=_checked_index(index),
            follow_symlinks=follow_symlinks,
            cache_bytes=cache_bytes,
        )
        self._set(source, fallback, precompressed=precompressed, dotfiles=dotfiles)

    @classmethod
    def package(
        cls,
        package: str,
        folder: str = "",
        *,
        index: str | None = "index.html",
        fallback: str | None = None,
        precompressed: bool = False,
        cache_control: str | Mapping[str | re.Pattern[str], str] | None = None,
        content_types: Mapping[str, str] | None = None,
        dotfiles: bool = False,
    ) -> Self:
        """Return a handler for the files of an installed package, in an archive or not.

        They are read into memory here. Their ETags are hashes, the same on each machine; they have
        no Last-Modified.

        Args:
          package: The name of the package.
          folder: A folder in it; the empty string is all of it, source code included.
          index: As for the class.
          fallback: As for the class.
          precompressed: As for the class.
          cache_control: As for the class.
          content_types: As for the class.
          dotfiles: As for the class.

        Raises:
          ConfigError: There is no such package or folder, it has more than 256 MiB, or a setting is
            wrong.
        """
        self = cls.__new__(cls)
        describer = Describer(
            content_types=content_types, cache_control=cache_control, varies=precompressed
        )
        source = Bundle(
            package,
            folder,
            describer=describer,
            index=_checked_index(index),
            encodings=precompressed,
        )
        self._set(source, fallback, precompressed=precompressed, dotfiles=dotfiles)
        return self

    def _set(
        self, source: Source, fallback: str | None, *, precompressed: bool, dotfiles: bool
    ) -> None:
        self._source = source
        self._precompressed = precompressed
        self._dotfiles = dotfiles
        self._fallback = None if fallback is None else f"/{fallback.removeprefix('/')}"
        if self._fallback is not None and self._names(self._fallback) is None:
            raise ConfigError(f"Static.fallback cannot be served: {fallback!r}")

    def _names(self, path: str) -> tuple[str, ...] | None:
        return names_of(path, dotfiles=self._dotfiles)

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Keep the folder open."""
        with self._source.held():
            yield

    async def run(self, conn: Conn) -> Conn:
        """Answer with the file that the path names, or pass the conn on.

        Raises:
          HttpError: 403, the process may not read the file. Answerable.
          OSError: The file system has failed. Answerable.

        Cancellation:
          A file that is being opened is closed again.
        """
        if conn.method not in _METHODS:
            return conn
        mounted = conn.state(Mounted)
        path = conn.path if mounted is None else mounted.path
        encodings = self._encodings(conn)
        # The path of a mount is a slash even if the request has none: that is a redirect.
        lacks_slash = mounted is not None and path == "/" and not conn.path.endswith("/")
        found: Found | Directory | None = None
        if not lacks_slash:
            found = self._source.hot(path, encodings)
        if found is None:
            names = self._names(path)
            if names is None:
                return conn
            found = await self._source.find(path, names, encodings)
            if found is None:
                return await self._fall_back(conn, encodings)
            if lacks_slash and isinstance(found, Found):
                found.close()
                found = DIRECTORY
        if not isinstance(found, Found):
            return _redirect(conn)
        return _send(conn, found)

    def _encodings(self, conn: Conn) -> tuple[str, ...]:
        if not self._precompressed:
            return ()
        fields = conn.request_headers
        if "range" in fields:
            return ()  # The client has counted the bytes of the file, not of another form.
        return accepted_codings(fields.get_all("accept-encoding"), CODINGS)

    async def _fall_back(self, conn: Conn, encodings: tuple[str, ...]) -> Conn:
        path = self._fallback
        if path is None:
            return conn
        accept = ",".join(conn.request_headers.get_all("accept")).lower()
        if "text/html" not in accept:
            return conn
        found: Found | Directory | None = self._source.hot(path, encodings)
        if found is None:
            names = self._names(path)
            assert names is not None, "it has been checked"
            found = await self._source.find(path, names, encodings)
        if not isinstance(found, Found):
            return conn
        add_vary(conn.response_headers, "accept")
        return _send(conn, found)

    @property
    def name(self) -> str:
        """Static, and the folder or package."""
        return f"Static({self._source.name})"


def _checked_index(index: str | None) -> str | None:
    if index is not None and (not index or "/" in index or "\0" in index):
        raise ConfigError(f"Static.index is the name of a file, not {index!r}")
    return index


def _redirect(conn: Conn) -> Conn:
    """Redirect to the path with a slash at its end, with the query."""
    if conn.path.startswith("//"):
        return conn  # A browser would read the location as another host.
    query = f"?{conn.querystring}" if conn.querystring else ""
    return conn.redirect(f"{conn.path}/{query}", Status.PERMANENT_REDIRECT)


def _send(conn: Conn, found: Found) -> Conn:
    """Make the response: the file, a part of it, or what the preconditions say."""
    is_conditional = not _CONDITIONS.isdisjoint(conn.request_headers)
    if is_conditional:
        answer = judge_preconditions(conn.method, conn.request_headers, found.current)
        if answer is not None:
            return _send_without(conn, found, answer)
    fields = conn.response_headers
    for name, value in found.fields:
        fields.set(name, value)
    if found.varies:
        add_vary(fields, "accept-encoding")
    if is_conditional and conn.method == "GET" and "content-encoding" not in fields:
        text = conn.request_headers.get("range")
        if text is not None and if_range_holds(conn.request_headers, found.current):
            ranges = parse_byte_ranges(text, found.length)
            if ranges is not None:
                return _send_ranges(conn, found, ranges)
    if found.data is not None:
        return conn.ok(found.data)
    assert found.file is not None, "it is one or the other"
    return conn.ok(Body.from_file(found.file, range(found.length)))


def _send_without(conn: Conn, found: Found, answer: Status) -> Conn:
    found.close()
    if answer == Status.NOT_MODIFIED:
        for name, value in found.fields:
            if name in _IN_304:
                conn.with_response_header(name, value)
        if found.varies:
            add_vary(conn.response_headers, "accept-encoding")
        return conn.with_status(answer).halt()
    return conn.with_status(answer).with_body(f"{reason_phrase(answer)}\n").halt()


def _send_ranges(conn: Conn, found: Found, ranges: tuple[range, ...]) -> Conn:
    if not ranges:
        found.close()
        fields = conn.response_headers
        for name in ("content-type", "etag", "last-modified", "cache-control"):
            fields.remove(name)
        fields.set("content-range", f"bytes */{found.length}")
        reason = Status.RANGE_NOT_SATISFIABLE.reason
        return conn.ok(f"{reason}\n").with_status(Status.RANGE_NOT_SATISFIABLE)
    parts: list[bytes | range]
    if len(ranges) == 1:
        parts = [*ranges]
        conn.with_response_header("content-range", content_range(ranges[0], found.length))
    else:
        # No content can be made to have it: it is new for each response.
        boundary = token_hex(16)
        parts = ranges_in_parts(
            ranges, length=found.length, content_type=found.content_type, boundary=boundary
        )
        conn.with_response_header("content-type", f"multipart/byteranges; boundary={boundary}")
    if found.data is not None:
        data = found.data
        pieces = (
            each if isinstance(each, bytes) else data[each.start : each.stop] for each in parts
        )
        conn.ok(b"".join(pieces))
    else:
        assert found.file is not None, "it is one or the other"
        conn.ok(Body.from_file(found.file, *parts))
    return conn.with_status(Status.PARTIAL_CONTENT)
