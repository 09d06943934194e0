"""CN-27 of docs/spec/connection.md: objects of the application, every method of which may do harm.

A table of places, in which the application hands us an object, times a strategy of what the methods
of that object do. Each example serves in memory, and ends with a drain.
"""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Any

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

import trillium_trio as tt
from tests.broken import PLACES, Broken, Odd
from tests.wire import request, serving, settled

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.wire import Response

# What a log may hold: printable characters, and the line breaks of tracebacks.
FORGED = re.compile(r"^forged|[^\n -~]", re.MULTILINE)
DIRT = "dirt\r\nforged\x1b[2J\u202e"


class Dirty(str):
    """A string that is another one whenever it is asked."""

    __slots__ = ()

    def __str__(self) -> str:
        return DIRT

    def __format__(self, spec: str) -> str:
        return DIRT

    def strip(self, chars: str | None = None) -> str:
        return DIRT

    def isprintable(self) -> bool:
        return True

    def encode(self, *args: object, **kwargs: object) -> bytes:
        return DIRT.encode()

    def __hash__(self) -> int:
        raise RuntimeError("hash")

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("eq")


def raising(make: Callable[[], BaseException]) -> Callable[..., Any]:
    def method(*args: object, **kwargs: object) -> Any:
        raise make()

    return method


def raising_itself(*args: object, **kwargs: object) -> Any:
    if args and isinstance(type(args[0]), type) and issubclass(type(args[0]), BaseException):
        raise args[0]  # type: ignore[misc]  # as was just seen
    raise Odd


ACTS: dict[str, Callable[..., Any]] = {
    "raises": raising(lambda: RuntimeError(DIRT)),
    "raises odd": raising(Odd),
    "raises itself": raising_itself,
    "interrupts": raising(KeyboardInterrupt),
    "exits": raising(lambda: SystemExit(3)),
    "none": lambda *args, **kwargs: None,
    "number": lambda *args, **kwargs: 5,
    "dirt": lambda *args, **kwargs: DIRT,
    "dirty": lambda *args, **kwargs: Dirty(DIRT),
}

METHODS = ["__str__", "__repr__", "__eq__", "__hash__", "__bool__", "__len__", "__format__"]
METHODS += ["__iter__", "add_note", "with_traceback", "split", "subgroup", "derive", "encode"]
METHODS += ["strip", "__index__", "__lt__", "__le__", "__ge__", "__contains__", "__getattr__"]
PROPERTIES = ["__class__", "args", "__notes__", "__cause__", "__context__", "__traceback__"]
PROPERTIES += ["__suppress_context__", "exceptions", "message", "status", "name", "__qualname__"]
PROPERTIES += ["__name__", "errno", "strerror", "headers"]

hostilities = st.dictionaries(st.sampled_from(METHODS + PROPERTIES), st.sampled_from(list(ACTS)))


def hostile(base: type, acts: dict[str, str]) -> Any:
    """Return a subclass with these methods and properties."""
    members: dict[str, Any] = {
        # To set one is in vain.
        name: property(ACTS[act], lambda self, value: None) if name in PROPERTIES else ACTS[act]
        for name, act in acts.items()
    }
    # A class cannot be made with any other than its own; its objects may have it all the same.
    qualname = members.pop("__qualname__", None)
    made: Any = type("Hostile", (base,), members)
    if qualname is not None:

        def get(self: object, name: str) -> object:
            if name == "__qualname__":
                return qualname.fget(self)
            return base.__getattribute__(self, name)  # type: ignore[call-arg, arg-type]  # of any object

        made.__getattribute__ = get
    return made


def an_error(kind: str, acts: dict[str, str]) -> Any:
    match kind:
        case "exception":
            return hostile(Exception, acts)(DIRT)
        case "os error":
            return hostile(OSError, acts)(5, DIRT)
        case "http error":
            return hostile(tt.HttpError, {"status": "dirt", **acts})(418, DIRT)
        case "http error with fields":
            return hostile(tt.HttpError, {"headers": "dirt", **acts})(418, DIRT)
        case "no exception":
            return hostile(Odd, acts)(DIRT)
        case "group":
            leaf = hostile(ValueError, acts)(DIRT)
            return hostile(ExceptionGroup, acts)(DIRT, [leaf, KeyError(DIRT)])
        case "caused":
            error = ValueError(DIRT)
            error.__cause__ = hostile(KeyError, acts)(DIRT)
            error.add_note(DIRT)
            return error
    raise AssertionError(kind)


ERRORS = ["exception", "os error", "http error", "http error with fields"]
ERRORS += ["no exception", "group", "caused"]


class Records(logging.Handler):
    """Keeps what a formatter makes of each record."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture(scope="module")
def records() -> Iterator[Records]:
    handler, logger = Records(), logging.getLogger("trillium_trio")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)


def play(handler: tt.Handler, records: Records) -> tuple[Response, list[str]]:
    """Ask a handler for ``/hostile`` and, twice, for ``/sound``; return the first, and the log."""
    records.lines.clear()

    async def main() -> Response:
        async with serving(handler) as app:
            client = app.connect()
            await client.send(request("/hostile", "Connection: upgrade", "Upgrade: hostile"))
            response = await client.response()
            await client.stream.aclose()
            await settled()
            assert app.guards == 0
            for _ in range(2):
                assert (await app.connect().get("/sound")).body == b"sound"
            report = await app.handle.shut_down()
            assert report.is_clean
            str(report)
        return response

    response = trio.run(main, clock=MockClock(autojump_threshold=0))
    lines = [line for line in records.lines if "listening" not in line and "drained" not in line]
    for line in lines:
        assert FORGED.search(line) is None, line
    return response, lines


@given(st.sampled_from(PLACES), st.sampled_from(ERRORS), hostilities)
def test_cn_27_an_exception_does_no_harm(
    records: Records, where: str, kind: str, acts: dict[str, str]
) -> None:
    response, lines = play(Broken(where, an_error(kind, acts)), records)
    if kind == "no exception":
        assert response.status in (0, 101, 200)
    elif where in ("run", "before_send", "has_upgrade"):
        assert (response.status, response.is_whole) == (500, True)
    elif where == "upgrade":
        assert response.status == 101
    else:
        assert response.status == 200
        assert response.is_whole == (where in ("aclose", "after_send"))
    assert len(lines) == 1
    assert ": GET /hostile: " in lines[0]


class Gives(tt.Handler):
    """Hands an object over in one place."""

    def __init__(self, where: str, make: Callable[[type], Any]) -> None:
        self._where, self._make = where, make

    @property
    def name(self) -> Any:
        return self._make(object) if self._where == "name" else "gives"

    async def run(self, conn: tt.Conn) -> tt.Conn:
        if conn.path == "/sound":
            return conn.ok("sound")
        make = self._make
        conn.ok("given")
        match self._where:
            case "result" | "name":
                result: tt.Conn = make(object)
                return result
            case "header name":
                conn.with_response_header(make(str), "x")
            case "header value":
                conn.with_response_header("x", make(str))
            case "header object":
                conn.with_response_header("x", make(object))
            case "status":
                conn.with_status(make(int))
            case "status object":
                conn.with_status(make(object))
            case "text":
                conn.with_body(make(str))
            case "surrogate":
                conn.ok("\udc80")
            case "body":
                conn.with_body(make(object))
            case "length":
                conn.with_body(tt.Body.streaming(self._pieces(), make(int)))
            case "piece":
                conn.with_body(self._pieces())
            case "state":
                conn.insert_state(make(object))
                conn.take_state(make(object))
            case "after_send":
                conn.after_send(make(object))
            case "background":
                conn.start_soon(self._background(make(object)))
            case "label":
                with conn.swansong.guard(make(object)):
                    str(conn.swansong.guard_report(stacks=True))
            case "reason":
                conn.swansong.child().cancel(make(object))
        return conn

    async def _pieces(self) -> Any:
        yield self._make(object)

    def _background(self, name: object) -> Any:
        class Work:
            __qualname__ = property(lambda _: name)

            async def __call__(self) -> None:
                raise ValueError(DIRT)

        return Work()


GIVEN = ["result", "name", "header name", "header value", "header object", "status", "text"]
GIVEN += ["status object", "surrogate", "body", "length", "piece", "state", "after_send"]
GIVEN += ["background", "label", "reason"]
VALUES = {str: DIRT, int: 200}


@given(st.sampled_from(GIVEN), hostilities)
def test_cn_27_an_object_does_no_harm(records: Records, where: str, acts: dict[str, str]) -> None:
    def make(base: type) -> Any:
        args = () if base is object else (VALUES[base],)
        return hostile(base, acts)(*args)

    # What is raised when the handler itself asks for it is the handler's own: that may exit.
    acts = {
        name: "raises odd" if act in ("interrupts", "exits") and where != "label" else act
        for name, act in acts.items()
    }
    response, lines = play(Gives(where, make), records)
    assert response.status in (0, 200, 500)
    assert "forged" not in response.headers
    if response.status == 500 or not response.is_whole or where == "background":
        assert len(lines) == 1


async def test_cn_27_a_cancellation_from_elsewhere_cancels_nothing(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        with pytest.raises(trio.Cancelled) as caught:
            await trio.lowlevel.checkpoint()

    async def background() -> None:
        raise caught.value

    async def handler(conn: tt.Conn) -> tt.Conn:
        match conn.path:
            case "/background":
                conn.start_soon(background)
            case "/kept":
                raise caught.value
        return conn.ok("sound")

    async with serving(handler) as app:
        bystander = app.connect()
        for path in ("/kept", "/background"):
            client = app.connect()
            await client.send(request(path))
            assert (await client.response()).status == (0 if path == "/kept" else 200)
            await client.stream.aclose()
            await settled()
            assert (await bystander.get()).body == b"sound"
        assert app.guards == 0
    failures = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(failures) == 2
