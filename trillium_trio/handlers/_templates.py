"""Pages from templates of jinja2."""

from __future__ import annotations

from contextlib import aclosing, suppress
from pathlib import Path, PurePosixPath
from time import perf_counter
from typing import TYPE_CHECKING, Any, final

from anyio.to_thread import run_sync

from ..conn import Handler, OnConn
from ..exceptions import ConfigError
from ..http import Body

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping

    import jinja2

    from ..conn import Conn, Info

__all__ = ["Renderer", "Templates"]

# Of a file's name; what is in front of them says what it is: page.html.j2.
_SUFFIXES = frozenset({".j2", ".jinja", ".jinja2"})
# Text in which a less-than sign means nothing.
_PLAIN = {
    ".csv": "text/csv; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".json": "application/json",
    ".md": "text/markdown; charset=utf-8",
    ".txt": "text/plain; charset=utf-8",
}
_MARKUP = {
    ".atom": "application/atom+xml; charset=utf-8",
    ".rss": "application/rss+xml; charset=utf-8",
    ".svg": "image/svg+xml",
    ".xhtml": "application/xhtml+xml; charset=utf-8",
    ".xml": "application/xml; charset=utf-8",
}

# Rendering that takes longer goes on in a worker thread; the hop costs a tenth of that.
_BUDGET_SECONDS = 0.001
# A stream sends pieces of about this many characters.
_PIECE_CHARACTERS = 16_384

Values = dict[str, Any]  # Any: what a template is given


@final
class _Mark(OnConn, left_by="Templates"):
    __slots__ = ("templates",)

    def __init__(self, templates: Templates) -> None:
        self.templates = templates


@final
class Templates(Handler):
    """Renders pages from templates of jinja2: ``await Templates.of(conn).render("page.html")``.

    Values are escaped, unless the name of the template says that it is plain text. A name that a
    template uses and does not get is an error. Every template is compiled before the server is
    ready, so that a mistake in one keeps it from starting. Needs the extra ``templates``.

    Args:
      source: A folder, or an environment of jinja2 that you have set up: then ``strict`` and
        ``reload`` do not apply.
      context: What every template gets, besides the values that it is rendered with: a function
        that is called with the conn.
      globals: What every template gets, and macros as well.
      strict: Whether an undefined name is an error, rather than nothing.
      reload: Whether a changed file is noticed: for development. It looks at the file each time.

    Raises:
      ImportError: The extra is missing.
      ConfigError: There is no such folder.
    """

    def __init__(
        self,
        source: str | Path | jinja2.Environment,
        *,
        context: Callable[[Conn], Mapping[str, Any]] | None = None,  # Any: as above
        globals: Mapping[str, Any] | None = None,  # Any: as above  # noqa: A002 (jinja's word)
        strict: bool = True,
        reload: bool = False,
    ) -> None:
        self._environment = _environment(source, strict=strict, reload=reload)
        self._environment.globals.update(globals or {})
        self._context = context
        self._reload = self._environment.auto_reload
        self._compiled: dict[str, jinja2.Template] = {}
        self._mark = _Mark(self)

    @staticmethod
    def of(conn: Conn) -> Renderer:
        """Return what renders for this conn.

        Raises:
          MisuseError: `Templates` is not in front of the handler that asks.
        """
        return Renderer(_Mark.of(conn).templates, conn)

    async def init(self, info: Info) -> None:
        """Compile every template, in a worker thread.

        Raises:
          jinja2.TemplateSyntaxError: One has a mistake. It names the file and the line.

        Cancellation:
          The thread is abandoned.
        """
        await run_sync(self._compile_all, abandon_on_cancel=True)

    async def run(self, conn: Conn) -> Conn:
        """Leave itself on the conn.

        Cancellation:
          None: it does not wait.
        """
        return conn.with_state(self._mark)

    # -- for the renderer ----------------------------------------------------------------------

    async def template(self, name: str) -> jinja2.Template:
        """Return a template.

        Raises:
          jinja2.TemplateNotFound: There is none of this name.

        Cancellation:
          The thread that compiles it is abandoned.
        """
        template = self._compiled.get(name)
        if template is None or self._reload:
            template = await run_sync(self._environment.get_template, name, abandon_on_cancel=True)
            self._compiled[name] = template
        return template

    def values(self, conn: Conn, given: Values) -> Values:
        """Return what a template of this conn gets."""
        return given if self._context is None else {**self._context(conn), **given}

    def _compile_all(self) -> None:
        try:
            names = self._environment.list_templates()
        except TypeError:
            return  # a loader that cannot tell
        for name in names:
            with suppress(UnicodeDecodeError):  # an image beside the templates
                self._compiled[name] = self._environment.get_template(name)


@final
class Renderer:
    """Renders templates for one conn."""

    __slots__ = ("_conn", "_templates")

    def __init__(self, templates: Templates, conn: Conn) -> None:
        self._templates = templates
        self._conn = conn

    async def render(self, name: str, /, **values: Any) -> Conn:  # Any: what a template is given
        """Answer with a page, with status 200 unless there is one, and halt.

        The media type is that of the name, unless the response has one. What takes long is rendered
        in a worker thread.

        Raises:
          jinja2.TemplateError: There is no such template, or it has failed.
          Exception: What a value has raised.

        Cancellation:
          The response is as it was. A thread is abandoned.
        """
        text = await self.text(name, **values)
        return self._answer(name, text.encode())

    async def text(self, name: str, /, **values: Any) -> str:  # Any: what a template is given
        """Return what a template becomes, for a mail or a part of a page.

        Raises:
          jinja2.TemplateError: There is no such template, or it has failed.
          Exception: What a value has raised.

        Cancellation:
          A thread is abandoned.
        """
        template = await self._templates.template(name)
        values = self._templates.values(self._conn, values)
        if template.environment.is_async:
            return await template.render_async(values)
        pieces: list[str] = []
        rendering = template.generate(values)
        if not _render_for(_BUDGET_SECONDS, rendering, pieces):
            # It goes on where it was.
            await run_sync(pieces.extend, rendering, abandon_on_cancel=True)
        return "".join(pieces)

    async def stream(self, name: str, /, **values: Any) -> Conn:  # Any: what a template is given
        """Answer with a page that is sent while it is rendered, piece by piece, and halt.

        For long pages: nothing of it is kept. If it fails, the response is cut off. An environment
        with ``enable_async`` can wait for what it shows; any other is rendered in a worker thread.

        Raises:
          jinja2.TemplateError: There is no such template.

        Cancellation:
          The response is as it was.
        """
        template = await self._templates.template(name)
        values = self._templates.values(self._conn, values)
        if template.environment.is_async:
            pieces = _joined(template.generate_async(values))
        else:
            pieces = _from_thread(template.generate(values))
        return self._answer(name, Body.streaming(pieces))

    def _answer(self, name: str, body: bytes | Body) -> Conn:
        conn = self._conn.with_body(body).halt()
        if conn.status is None:
            conn.with_status(200)
        if "content-type" not in conn.response_headers:
            conn.response_headers.set("content-type", _media_type(name))
        return conn


def _render_for(seconds: float, rendering: Iterator[str], into: list[str]) -> bool:
    """Render for so long; return whether it is done."""
    ends = perf_counter() + seconds
    for piece in rendering:
        into.append(piece)
        if perf_counter() > ends:
            return False
    return True


async def _joined(rendering: AsyncIterator[str]) -> AsyncIterator[bytes]:
    """Yield larger pieces."""
    pieces: list[str] = []
    size = 0
    async with aclosing(rendering):  # type: ignore[type-var]  # jinja's is a generator
        async for piece in rendering:
            pieces.append(piece)
            size += len(piece)
            if size >= _PIECE_CHARACTERS:
                yield "".join(pieces).encode()
                pieces.clear()
                size = 0
    yield "".join(pieces).encode()


async def _from_thread(rendering: Iterator[str]) -> AsyncIterator[bytes]:
    """Yield larger pieces, each rendered in a worker thread."""
    while piece := await run_sync(_next_piece, rendering, abandon_on_cancel=True):
        yield piece.encode()


def _next_piece(rendering: Iterator[str]) -> str:
    pieces: list[str] = []
    size = 0
    for piece in rendering:
        pieces.append(piece)
        size += len(piece)
        if size >= _PIECE_CHARACTERS:
            break
    return "".join(pieces)


def _environment(
    source: str | Path | jinja2.Environment, *, strict: bool, reload: bool
) -> jinja2.Environment:
    try:
        import jinja2  # noqa: PLC0415 (an optional dependency)
    except ImportError as error:
        raise ImportError(
            "Templates needs the extra 'templates': pip install 'trillium-trio[templates]'"
        ) from error
    if isinstance(source, jinja2.Environment):
        return source
    if not Path(source).is_dir():
        raise ConfigError(f"Templates: there is no folder {str(source)!r}")
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(source),
        autoescape=_escapes,  # noqa: S701 (all but plain text)
        undefined=jinja2.StrictUndefined if strict else jinja2.Undefined,
        auto_reload=reload,
        # Compiled before the server is ready; none is dropped.
        cache_size=-1,
    )


def _escapes(name: str | None) -> bool:
    """Whether the values in a template are escaped: all but plain text."""
    return name is None or _kind(name) not in _PLAIN


def _kind(name: str) -> str:
    path = PurePosixPath(name)
    return path.with_suffix("").suffix if path.suffix in _SUFFIXES else path.suffix


def _media_type(name: str) -> str:
    """Return the media type of what a template becomes; of any other name that of HTML."""
    return {**_PLAIN, **_MARKUP}.get(_kind(name), "text/html; charset=utf-8")
