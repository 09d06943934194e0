"""The handler, and what it lets others read a form with."""

from __future__ import annotations

from typing import TYPE_CHECKING, final
from urllib.parse import parse_qsl

from ..._util import check_count
from ...conn import Handler, OnConn
from ...exceptions import BadRequest, ContentTooLarge, HttpError, MisuseError
from ._form import Form, Upload
from ._parts import Limits, PartReader, load_parser, shown

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from ...conn import Conn

__all__ = ["FormReader", "Forms"]

_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"
_KIB = 1024
_MIB = 1024 * 1024


@final
class _Mark(OnConn, left_by="Forms"):
    __slots__ = ("limits",)

    def __init__(self, limits: Limits) -> None:
        self.limits = limits


@final
class _Begun(OnConn, left_by="Forms"):
    __slots__ = ()


@final
class Forms(Handler):
    """Reads forms and uploads: ``await Forms.of(conn).read()`` returns a `Form`.

    Nothing is read before a handler asks. Put it in front of the handlers that do. Multipart forms
    need the extra ``multipart``.

    Args:
      max_bytes: Of the whole body. Default: `HttpConfig.max_body_bytes`, 10 MiB.
      max_fields: The number of fields of text. Default: 1,000.
      max_text_bytes: All of them together, with their names. Default: 1 MiB.
      max_files: The number of files. Default: 100.
      max_file_bytes: Of one file. Default: only ``max_bytes`` counts.
      spool_bytes: A larger file is on disk rather than in memory. Default: 256 KiB.

    Raises:
      ConfigError: A limit is not a whole number.
    """

    def __init__(
        self,
        *,
        max_bytes: int | None = None,
        max_fields: int = 1_000,
        max_text_bytes: int = _MIB,
        max_files: int = 100,
        max_file_bytes: int | None = None,
        spool_bytes: int = 256 * _KIB,
    ) -> None:
        limits = Limits(
            max_bytes=max_bytes,
            max_fields=max_fields,
            max_text_bytes=max_text_bytes,
            max_files=max_files,
            max_file_bytes=max_file_bytes,
            spool_bytes=spool_bytes,
        )
        for name in limits.__slots__:
            value = getattr(limits, name)
            if value is not None:
                check_count(name, value, least=0)
        self._mark = _Mark(limits)

    @staticmethod
    def of(conn: Conn) -> FormReader:
        """Return what reads the form of this conn.

        Raises:
          MisuseError: `Forms` is not in front of the handler that asks.
        """
        return FormReader(conn, _Mark.of(conn).limits)

    async def run(self, conn: Conn) -> Conn:
        """Leave the limits on the conn.

        Cancellation:
          None: it does not wait.
        """
        return conn.with_state(self._mark)


@final
class FormReader:
    """Reads the form of one request: whole, or part by part."""

    __slots__ = ("_conn", "_limits")

    def __init__(self, conn: Conn, limits: Limits) -> None:
        self._conn = conn
        self._limits = limits

    async def read(self) -> Form:
        """Read the form; a second call returns it again.

        Its files are removed when the request is over, however it ends.

        Raises:
          HttpError: The body is not a form. Answerable (415).
          ContentTooLarge: A limit was passed. Answerable (413).
          BadRequest: The form is malformed. Answerable (400).
          ClientDisconnected: The peer closed first. Not answerable.
          MisuseError: Only a part of it is left: `parts` was called, or a call has failed.

        Cancellation:
          The form cannot be read any more; its files are removed.
        """
        form = self._conn.state(Form)
        if form is not None:
            return form
        media_type, boundary = self._media_type()
        self._begin()
        form = Form()
        # Before anything is read: it has to be closed if reading fails.
        self._conn.after_send(form.aclose)
        if media_type == _MULTIPART:
            await self._read_parts(form, PartReader(self._body(), boundary, self._limits))
        else:
            await self._read_urlencoded(form)
        self._conn.insert_state(form)
        return form

    def parts(self) -> PartReader:
        """Return the parts of a multipart form, as they arrive: for files that are passed on.

        Raises:
          HttpError: The body is not a multipart form. Answerable (415).
          ContentTooLarge: It declares more than ``max_bytes``. Answerable (413).
          BadRequest: There is no boundary, or no valid one. Answerable (400).
          MisuseError: The form has been read, or a part of it.
        """
        media_type, boundary = self._media_type()
        if media_type != _MULTIPART:
            raise HttpError(415, f"a form in parts is {_MULTIPART}", {"accept": _MULTIPART})
        self._begin()
        return PartReader(self._body(), boundary, self._limits)

    def _begin(self) -> None:
        """Note that bytes of the body are taken: who came afterwards would get half a form.

        Raises:
          MisuseError: Somebody has been here before.
        """
        if self._conn.insert_state(_Begun()) is not None:
            raise MisuseError("the form has been read, or a part of it: it can be read once")

    def _media_type(self) -> tuple[str, str]:
        """Return the media type of the body, and the boundary of multipart.

        Raises:
          HttpError: It is not that of a form.
          BadRequest: There is no boundary.
        """
        field = self._conn.request_headers.get("content-type") or ""
        media_type = field.partition(";")[0].strip().lower()
        if media_type == _MULTIPART:
            _, options = load_parser().parse_options_header(field)
            boundary = options.get("boundary", "")
            if not boundary:
                raise BadRequest("the multipart body has no boundary")
            return media_type, boundary
        is_empty = not media_type and self._conn.request_body.length == 0
        if media_type != _URLENCODED and not is_empty:
            accept = {"accept": f"{_URLENCODED}, {_MULTIPART}"}
            raise HttpError(415, f"the body is {media_type or 'of no type'}, not a form", accept)
        return _URLENCODED, ""

    def _body(self) -> AsyncIterator[bytes]:
        body = self._conn.request_body
        max_bytes = self._limits.max_bytes
        return aiter(body if max_bytes is None else body.with_max_bytes(max_bytes))

    async def _read_urlencoded(self, form: Form) -> None:
        limits = self._limits
        # The length is refused before the first read, which would send 100 Continue.
        if (self._conn.request_body.length or 0) > limits.max_text_bytes:
            raise _too_much_text(limits)
        data = bytearray()
        async for piece in self._body():
            data += piece
            if len(data) > limits.max_text_bytes:
                raise _too_much_text(limits)
        try:
            pairs = parse_qsl(
                data.decode(),
                keep_blank_values=True,
                errors="strict",
                max_num_fields=limits.max_fields,
            )
        except UnicodeDecodeError:
            raise BadRequest("the form is not UTF-8") from None
        except ValueError:
            raise ContentTooLarge(f"the form has more than {limits.max_fields} fields") from None
        for name, value in pairs:
            form.add(name, value)

    async def _read_parts(self, form: Form, parts: PartReader) -> None:
        left = self._limits.max_text_bytes
        async for part in parts:
            if part.filename is None:
                left -= len(part.name.encode())
                if left < 0:
                    raise _too_much_text(self._limits)
                value = await part.read(left)
                left -= len(value)
                try:
                    form.add(part.name, value.decode())
                except UnicodeDecodeError:
                    raise BadRequest(f"the field {shown(part.name)} is not UTF-8") from None
                continue
            upload = Upload(
                part.name,
                part.filename,
                part.content_type,
                spool_bytes=self._limits.spool_bytes,
            )
            try:
                async for piece in part:
                    await upload.write(piece)
                upload.file.seek(0)
            except BaseException:
                upload.file.close()
                raise
            # What a browser sends for a file that was not chosen.
            if upload.filename or upload.size:
                form.add_file(upload)


def _too_much_text(limits: Limits) -> ContentTooLarge:
    return ContentTooLarge(f"the form has more than {limits.max_text_bytes} bytes of text")
