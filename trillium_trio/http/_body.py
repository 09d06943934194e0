"""The body of a response, as a value: what to send, not how."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from operator import index
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    BinaryIO,
    ClassVar,
    Protocol,
    TypeAlias,
    final,
    runtime_checkable,
)

from .._util import as_bytes

if TYPE_CHECKING:
    import os

__all__ = [
    "Body",
    "BodyLike",
    "BodySource",
    "FileParts",
    "ReceivesSome",
    "Transform",
    "Transformed",
]

Piece: TypeAlias = bytes | bytearray | memoryview

Transform: TypeAlias = Callable[[AsyncIterable[bytes | memoryview]], AsyncGenerator[bytes, None]]
"""An async generator function that takes the pieces of a body, and yields others."""


@runtime_checkable
class ReceivesSome(Protocol):
    """A byte stream to read from, such as `trio.abc.ReceiveStream`."""

    async def receive_some(self, max_bytes: int | None = None, /) -> Piece:
        """Return the next bytes; empty at the end.

        Cancellation:
          As for the stream; a cancelled response closes it.
        """
        ...


@final
class FileParts:
    """Parts of an open file, and bytes before, between and after them.

    Attributes:
      file: The file, which has a descriptor; its position is neither used nor changed.
      parts: What to send, in order: bytes, and the positions of parts of the file.
    """

    __slots__ = ("file", "parts")

    def __init__(self, file: BinaryIO, parts: tuple[bytes | range, ...]) -> None:
        self.file: BinaryIO = file
        self.parts: tuple[bytes | range, ...] = parts

    async def aclose(self) -> None:
        """Close the file.

        Cancellation:
          None: it does not wait. Nothing was written that the disk would have to take.
        """
        self.file.close()

    def __repr__(self) -> str:
        return f"<FileParts {self.file.name!r}, {len(self.parts)} parts>"


@final
class Transformed:
    """A body whose pieces go through a function before they are sent; see `Body.through`.

    Attributes:
      body: Where the pieces come from; it is not in memory.
      transform: The function.
    """

    __slots__ = ("body", "transform")

    def __init__(self, body: Body, transform: Transform) -> None:
        self.body: Body = body
        self.transform: Transform = transform

    async def aclose(self) -> None:
        """Close the body's source: it will not be sent.

        Cancellation:
          The source is closed under the cancellation.
        """
        await self.body.aclose()

    def __repr__(self) -> str:
        return f"<Transformed {self.body!r}>"


BodySource: TypeAlias = AsyncIterable[Piece] | ReceivesSome | Path | FileParts | Transformed
"""The source of a body that is not in memory."""


@final
class Body:
    """A response body: bytes in memory, a stream, or a file.

    A body in memory can be sent any number of times; a stream once. The connection that sends a
    body opens its file, reads its source, and always closes the source, even if it was never read.

    Args:
      data: The whole body. A `str` is sent as UTF-8; a buffer as a copy of its bytes, for any item
        size.

    Raises:
      TypeError: It is none of these; the message names its type.

    Attributes:
      data: The whole body, or None if it has to be read from the source.
      length: Bytes of body, or None if unknown; that of a file is read when it is opened.
      source: An async iterable of bytes, a receive stream, a path, parts of a file, or a
        transformed body; None if `data` is set.
      is_text: Whether it was given as a `str`. Its Content-Type is then by default
        ``text/plain; charset=utf-8``.
    """

    __slots__ = ("data", "is_text", "length", "source")

    empty: ClassVar[Body]
    """The body of zero bytes."""

    data: bytes | None
    length: int | None
    source: BodySource | None
    is_text: bool

    def __init__(self, data: bytes | bytearray | memoryview | str = b"") -> None:
        if isinstance(data, str):
            # Not its own method: a subclass of `str` may override it.
            self.data = str.encode(data)
            self.is_text = True
        else:
            try:
                # Copies only if it is not a bytes object.
                self.data = bytes(as_bytes(data))
            except TypeError:
                kind = type(data).__name__
                raise TypeError(f"a body in memory is bytes or str, not {kind}") from None
            self.is_text = False
        self.length = len(self.data)
        self.source = None

    @classmethod
    def streaming(
        cls, source: AsyncIterable[Piece] | ReceivesSome, length: int | None = None
    ) -> Body:
        """Return a body that is read while it is sent.

        Args:
          source: Read until it ends. An async context manager is entered before and exited after
            that, in the connection's task, so it may hold a nursery. Its pieces are bytes or other
            buffers; their content is sent as it is when they are yielded. Empty pieces are skipped.
            A piece of any other type aborts the response.
          length: Bytes that the source will yield, if known. A source that yields fewer or more
            aborts the response, so that the client notices.

        Raises:
          TypeError: The length is not an integer.
          ValueError: It is negative.
        """
        if length is not None:
            length = index(length)
            if length < 0:
                raise ValueError(f"the length of a body cannot be {length}")
        return cls._of_source(source, length)

    @classmethod
    def from_path(cls, path: str | os.PathLike[str]) -> Body:
        """Return the content of a file, opened when the response is sent."""
        return cls._of_source(Path(path), None)

    @classmethod
    def from_file(cls, file: BinaryIO, *parts: bytes | range) -> Body:
        """Return a body of parts of an open file, which is closed when it has been sent.

        ::

            Body.from_file(file, range(500, 1000))  # 500 bytes

        Args:
          file: A regular file, open for reading, without a buffer in front of its descriptor that
            has bytes to write. If it turns out to be shorter than the parts, the response is
            aborted, so that the client notices.
          parts: What to send, in order: the positions of bytes in the file, and bytes as they are.

        Raises:
          ValueError: The positions of a part begin before the file, or do not follow each other.
        """
        for part in parts:
            if isinstance(part, range) and (part.step != 1 or part.start < 0):
                raise ValueError(f"{part!r} is not a part of a file")
        return cls._of_source(FileParts(file, tuple(filter(len, parts))), sum(map(len, parts)))

    @classmethod
    def of(cls, value: BodyLike) -> Body:
        """Return ``value`` as a body; None is the empty one.

        Raises:
          TypeError: The value cannot be sent; the message names its type.
        """
        if isinstance(value, (bytes, str, bytearray, memoryview)):
            return cls(value)
        if value is None:
            return cls.empty
        if isinstance(value, Body):
            return value
        if isinstance(value, (ReceivesSome, AsyncIterable)):
            return cls._of_source(value, None)
        raise TypeError(
            "a body is bytes, str, an async iterable of bytes, a receive stream, a Body or None, "
            f"not {type(value).__name__}"
        )

    def through(self, transform: Transform) -> Body:
        """Return a body whose pieces go through a function while they are sent.

        ::

            async def upper(pieces):
                async for piece in pieces:
                    yield bytes(piece).upper()

        This body is opened, read and closed as it would be if it were sent itself; a length that it
        declares is still checked. The length of the new one is unknown.

        Args:
          transform: An async generator function, called once with the pieces of this body, when it
            is opened. Its generator is closed before their source.

        Raises:
          ValueError: The body is in memory: change its `data`.
        """
        if self.data is not None:
            raise ValueError("a body in memory does not go through a function: change its data")
        return self._of_source(Transformed(self, transform), None)

    async def aclose(self) -> None:
        """Close the source of a body that will not be sent. Idempotent if the source's is.

        Cancellation:
          The source is closed under the cancellation.
        """
        close = getattr(self.source, "aclose", None)
        if close is not None:
            await close()

    @classmethod
    def _of_source(cls, source: BodySource, length: int | None) -> Body:
        self = cls.__new__(cls)
        self.data = None
        self.length = length
        self.source = source
        self.is_text = False
        return self

    def __repr__(self) -> str:
        length = "length unknown" if self.length is None else f"{self.length} bytes"
        match self.source:
            case None:
                kind = "text" if self.is_text else "bytes"
            case Path() as path:
                kind = f"file {str(path)!r}"
            case FileParts() as parts:
                kind = f"file {parts.file.name!r}"
            case Transformed() as source:
                kind = f"from {source.body!r}"
            case source:
                kind = f"stream {type(source).__name__}"
        return f"<Body {kind}, {length}>"


Body.empty = Body()

BodyLike: TypeAlias = Piece | str | AsyncIterable[Piece] | ReceivesSome | Body | None
"""What `Body.of` takes."""
