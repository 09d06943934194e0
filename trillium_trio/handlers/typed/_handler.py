"""A function with typed arguments as a handler."""

from __future__ import annotations

import inspect
from operator import index
from typing import TYPE_CHECKING, Any, final, get_type_hints, overload

from ..._log import callable_name
from ...conn import Conn, Handler
from ...exceptions import ConfigError, HttpError
from ._bodies import body_reader_of
from ._codec import require_msgspec
from ._negotiation import check_accept
from ._outcomes import outcomes_of
from ._parameters import Wrong, parameters_of, reader_of
from ._problem import invalid, problem_from
from ._results import responder_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ._outcomes import Outcomes
    from ._parameters import Parameter
    from ._problem import Fault

__all__ = ["Api", "api"]

_NO_QUERY: Mapping[str, list[str]] = {}


@overload
def api(fn: Callable[..., object], /) -> Api: ...
@overload
def api(
    *,
    status: int | None = None,
    responses: Mapping[int, object] | None = None,
    tags: Sequence[str] = (),
    interrupt: bool = True,
) -> Callable[[Callable[..., object]], Api]: ...
def api(
    fn: Callable[..., object] | None = None,
    /,
    *,
    status: int | None = None,
    responses: Mapping[int, object] | None = None,
    tags: Sequence[str] = (),
    interrupt: bool = True,
) -> Api | Callable[[Callable[..., object]], Api]:
    """Make a handler of an async function with typed arguments and a typed result.

    .. code-block:: python

        @router.post("/shops/{shop}/items")
        @api(status=201)
        async def add(shop: int, body: Item, notify: bool = False) -> Item: ...

    It needs the extra ``json``. An argument is, by its parameter:

    * the conn, if it is annotated `Conn` or called ``conn``
    * what a handler has left on the conn, if its class is one of those: ``session: Session``
    * from the state of the conn or else of the server: ``db: Annotated[Db, State]``
    * the body: ``body``, or any object: a `msgspec.Struct`, a model of pydantic, a dataclass, a
      `TypedDict`, a dict or a list of these. It is JSON, unless marked with `FromForm`, or
      ``bytes``, which are not decoded
    * a header field or a cookie, if it is marked with `FromHeader` or `FromCookie`
    * from the path, if the route's template has a parameter of that name
    * from the query otherwise

    The result is the response: an object, dict or list as JSON; ``(status, value)``; None as 204;
    str and bytes as they are; an async iterator as a stream of JSON lines; the conn as it is.

    A request that does not fit is answered with a problem document, see `Problem`, and so is an
    `HttpError` that the function raises.

    Args:
      fn: The function. A plain one is refused: a worker thread is its own decision.
      status: Of the response, unless the function returns one. Default: 200, or 204 for None.
      responses: Other responses, for the description only: by status, their type or a text.
      tags: Groups that the description lists it in.
      interrupt: Whether a stream ends at the stop, after a whole line. False: it continues until
        the drain's deadline. Default: True.

    Raises:
      ConfigError: A parameter cannot be had from a request, or an option is wrong. The message
        names function and parameter.
      ImportError: The library msgspec is missing.
    """

    def make(fn: Callable[..., object]) -> Api:
        return Api(fn, status=status, responses=responses or {}, tags=tags, interrupt=interrupt)

    return make if fn is None else make(fn)


@final
class Api(Handler):
    """What `api` returns.

    Attributes:
      fn: The function.
      parameters: Where each of its arguments comes from.
      outcomes: What it answers with, for the description.
      tags: Groups that the description lists it in.
    """

    def __init__(
        self,
        fn: Callable[..., object],
        *,
        status: int | None,
        responses: Mapping[int, object],
        tags: Sequence[str],
        interrupt: bool,
    ) -> None:
        require_msgspec()
        self.fn = fn
        name = callable_name(fn)
        # A decorator may wrap it in a plain function.
        inner = inspect.unwrap(fn)
        self._is_generator = inspect.isasyncgenfunction(inner)
        if not (self._is_generator or inspect.iscoroutinefunction(inner)):
            raise ConfigError(
                f"{name} is a plain function; write 'async def', and call what blocks with "
                "trio.to_thread.run_sync"
            )
        for each in (status, *responses):
            if each is not None and not 200 <= index(each) <= 599:
                raise ConfigError(f"api({name}): {each!r} is not the status of a response")
        try:
            hints = get_type_hints(fn, include_extras=True)
        except Exception as error:
            raise ConfigError(f"an annotation of {name} cannot be read: {error}") from error
        self.tags: tuple[str, ...] = tuple(tags)
        self.parameters: tuple[Parameter, ...] = tuple(parameters_of(fn, hints))
        self.outcomes: Outcomes = outcomes_of(fn, hints, status=status, responses=responses)
        bodies = [each for each in self.parameters if each.source in {"body", "form"}]
        self._bodies = [(each.name, body_reader_of(each)) for each in bodies]
        self._readers = [
            (each.name, reader_of(each)) for each in self.parameters if each not in bodies
        ]
        self._has_query = any(each.source in {"argument", "query"} for each in self.parameters)
        self._media_type = self.outcomes.media_type
        self._accepted = frozenset({None, "*/*", self._media_type})
        self._respond = responder_of(status, stops=interrupt)

    async def run(self, conn: Conn) -> Conn:
        """Call the function with its arguments, and answer with its result.

        Cancellation:
          The function's.
        """
        try:
            # Compared here first, because nearly every client sends one of these.
            if self._media_type and conn.request_headers.get("accept") not in self._accepted:
                check_accept(conn, self._media_type)
            arguments = self._read(conn) if self._readers else {}
            for name, read in self._bodies:
                arguments[name] = await read(conn)
            result: Any = self.fn(**arguments)  # Any: whatever it returns
            if not self._is_generator:
                result = await result
        except HttpError as error:
            problem = problem_from(error)
            if problem is error:
                raise
            raise problem from error
        return self._respond(conn, result)

    def _read(self, conn: Conn) -> dict[str, Any]:  # Any: as annotated
        query = conn.query if self._has_query and conn.querystring else _NO_QUERY
        arguments: dict[str, Any] = {}  # Any: as annotated
        faults: list[Fault] = []
        for name, read in self._readers:
            try:
                arguments[name] = read(conn, query)
            except Wrong as wrong:
                faults.append(wrong.fault)
        if faults:
            # A path that cannot be read is that of nothing.
            in_path = any(each.place == "path" for each in faults)
            raise invalid(404 if in_path else 422, faults)
        return arguments

    @property
    def name(self) -> str:
        """Api and the function's name."""
        return f"api({callable_name(self.fn)})"
