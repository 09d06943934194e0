"""Responses in a content coding that the client accepts (RFC 9110, 8.4 and 12.5.3)."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, final

from anyio.to_thread import run_sync

from ..._util import check_count
from ...conn import Handler
from ...exceptions import ConfigError
from ...http import Status, accepted_codings, add_vary
from ._codings import LEVELS, load_coding
from ._types import skips

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Iterable

    from ...conn import Conn
    from ...http import Headers
    from ._codings import Coding

__all__ = ["Compression"]

# As much as gzip codes in one to three milliseconds; a hop to a worker thread takes a tenth of one.
_INLINE_BYTES = 64 * 1024
# They stand for a 200, and have its fields, whatever their own length is.
_FOR_200 = frozenset({Status.PARTIAL_CONTENT, Status.NOT_MODIFIED})
# Of the bytes as they were (RFC 9530; RFC 1864 and RFC 3230 are what came before).
_DIGESTS = ("content-digest", "repr-digest", "digest", "content-md5")


@final
class Compression(Handler):
    """Compresses responses for the clients that accept it, with zstd, br or gzip.

    Put it in front of what it compresses: also of handlers that give the response its ETag, or
    errors their pages. A body in memory is compressed whole, and sent so if it has become smaller.
    A stream is compressed piece by piece, without delay.

    A response that must not be compressed says ``Cache-Control: no-transform``: one, say, with a
    secret beside text that somebody else can choose, because its length tells about the secret
    over TLS as well (BREACH).

    Args:
      codings: The preferred one first. None: ``zstd`` (the extra ``zstd``; part of Python from 3.14
        on), ``br`` (the extra ``brotli``) and ``gzip``, as far as their libraries are installed.
      min_bytes: Leave bodies with fewer bytes. Default: 500; shorter ones fit into a packet anyway.
      zstd_level: 1 to 19. Default: 3.
      brotli_level: 0 to 11. Default: 4; 11 takes a hundred times as long.
      gzip_level: 1 to 9. Default: 6.
      skip_types: Media types to leave, such as ``"model/*"``, beside those that are compressed by
        their own format.

    Raises:
      ConfigError: A setting is wrong.
      ImportError: The library of a coding that ``codings`` names is missing.
    """

    def __init__(
        self,
        *,
        codings: Iterable[str] | None = None,
        min_bytes: int = 500,
        zstd_level: int = 3,
        brotli_level: int = 4,
        gzip_level: int = 6,
        skip_types: Iterable[str] = (),
    ) -> None:
        check_count("Compression.min_bytes", min_bytes, least=0)
        levels = {"zstd": zstd_level, "br": brotli_level, "gzip": gzip_level}
        for name, level in levels.items():
            _check_level(name, level)
        self._codings = _load(codings, levels)
        # Identity is last: of equals, the client gets what is smaller.
        self._offered = (*self._codings, "identity")
        self._min_bytes = min_bytes
        self._is_skipped = skips(skip_types)

    async def before_send(self, conn: Conn) -> Conn:
        """Compress the response, if that is possible and the client accepts it.

        Cancellation:
          The body is as it was. A worker thread may continue for a while; what it returns is
          dropped.
        """
        body = conn.response_body
        # The length first: it decides about most responses.
        is_short = body.length is not None and body.length < self._min_bytes
        if (is_short and conn.status not in _FOR_200) or self._is_left(conn):
            return conn
        fields = conn.response_headers
        add_vary(fields, "Accept-Encoding")
        coding = self._choose(conn)
        if coding is None:
            return conn
        if conn.status == Status.NOT_MODIFIED:
            _weaken(fields)
            return conn
        if conn.status == Status.PARTIAL_CONTENT or "content-range" in fields:
            # Its positions are those of the content as it is.
            return conn
        if body.data is not None:
            coded = await _compressed(coding, body.data)
            if len(coded) >= len(body.data):
                return conn
            if body.is_text and "content-type" not in fields:
                fields.set("content-type", "text/plain; charset=utf-8")
            conn.with_body(coded)
        else:
            if isinstance(body.source, Path) and await _is_short(body.source, self._min_bytes):
                return conn
            conn.with_body(body.through(partial(_encoded, coding, conn.response_trailers)))
        fields.set("content-encoding", coding.name)
        fields.remove("content-length")
        fields.remove("accept-ranges")
        _weaken(fields)
        _remove_digests(fields)
        return conn

    def _is_left(self, conn: Conn) -> bool:
        """Return whether status, fields and type say that the response is not to be changed."""
        status, fields = conn.status, conn.raw_headers
        has_content = conn.raw_body is not None and status != Status.NO_CONTENT
        if conn.is_upgrade or not (has_content or status == Status.NOT_MODIFIED):
            return True
        if fields is None:
            return False
        if "content-encoding" in fields:
            return True
        directives = ",".join(fields.get_all("cache-control")).lower().split(",")
        if any(each.strip(" \t") == "no-transform" for each in directives):
            return True
        content_type = fields.get("content-type")
        return content_type is not None and self._is_skipped(content_type)

    def _choose(self, conn: Conn) -> Coding | None:
        accepted = conn.request_headers.get_all("accept-encoding")
        if not accepted:
            return None
        best = accepted_codings(accepted, self._offered)
        # Identity, or nothing that there is.
        return self._codings.get(best[0]) if best else None


def _load(names: Iterable[str] | None, levels: dict[str, int]) -> dict[str, Coding]:
    """Return the codings by name, in order.

    Raises:
      ConfigError: A name is unknown or repeated, or there is none.
      ImportError: The library of one that was asked for is missing.
    """
    codings: dict[str, Coding] = {}
    if names is None:
        for name, level in levels.items():
            try:
                codings[name] = load_coding(name, level)
            except ImportError:
                pass  # it was not asked for
        return codings
    names = [names] if isinstance(names, str) else list(names)
    for name in names:
        if name not in levels:
            raise ConfigError(f"Compression: {name!r} is no coding; there are {', '.join(levels)}")
        codings[name] = load_coding(name, levels[name])
    if not 0 < len(codings) == len(names):
        raise ConfigError(f"Compression: codings must be different ones, not {names!r}")
    return codings


def _check_level(name: str, level: object) -> None:
    levels = LEVELS[name]
    if not isinstance(level, int) or isinstance(level, bool) or level not in levels:
        raise ConfigError(
            f"Compression: the level of {name} must be a whole number from {levels[0]} to "
            f"{levels[-1]}, not {level!r}"
        )


async def _is_short(path: Path, least: int) -> bool:
    """Return whether a file has fewer bytes, or cannot be opened anyway.

    Cancellation:
      Changes nothing; the look at the file is awaited.
    """
    try:
        return (await run_sync(path.stat)).st_size < least
    except OSError:
        return True  # who opens it will say why not


async def _compressed(coding: Coding, data: bytes) -> bytes:
    if len(data) <= _INLINE_BYTES:
        return coding.compress(data)
    return await run_sync(coding.compress, data, abandon_on_cancel=True)


async def _encoded(
    coding: Coding, trailers: Headers, pieces: AsyncIterable[bytes | memoryview]
) -> AsyncGenerator[bytes, None]:
    """Code a stream so that what the client has can be decoded.

    Args:
      coding: The coding.
      trailers: Those of the response, which the source of the pieces may set.
      pieces: None of them is empty.
    """
    encode, finish = coding.encoder()
    inline = 0
    async for piece in pieces:
        inline += len(piece)
        if inline <= _INLINE_BYTES:
            yield encode(piece)
        else:
            # Others have their turn meanwhile, also if the source never waits.
            inline = 0
            yield await run_sync(encode, piece, abandon_on_cancel=True)
    _remove_digests(trailers)
    yield finish()


def _weaken(fields: Headers) -> None:
    """Make a strong ETag weak: the bytes of another coding are others (RFC 9110, 8.8.3.3)."""
    etag = fields.get("etag")
    if etag is not None and not etag.startswith("W/"):
        fields.set("etag", f"W/{etag}")


def _remove_digests(fields: Headers) -> None:
    for name in _DIGESTS:
        fields.remove(name)
