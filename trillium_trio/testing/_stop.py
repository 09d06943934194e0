"""The assertion that a handler ends soon after the stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio
from trio.testing import wait_all_tasks_blocked

from ..server import Config
from ..swansong import no_guards
from ._response import TestResponse
from ._server import TestServer

if TYPE_CHECKING:
    from typing import Unpack

    from ..conn import Conn, HandlerLike
    from ._request import Options

__all__ = ["assert_ends_after_stop"]


async def assert_ends_after_stop(
    handler: HandlerLike,
    request: str = "GET /",
    *,
    within: float = 1.0,
    config: Config | None = None,
    **options: Unpack[Options],
) -> TestResponse:
    """Assert that a handler ends soon after the stop: a stream, a long poll, background work.

    Sends the request, and signals the stop once its handler waits for something. Then the complete
    response must arrive and all guarded work must end in time, without being cancelled.

    Args:
      handler: What to serve; see `as_handler`.
      request: The method and the target of the request.
      within: Seconds from the stop, on trio's clock.
      config: The settings; its drain timeout is ignored. Default: ``Config()``.
      options: As for `Client.request`.

    Returns:
      The response.

    Raises:
      AssertionError: It did not end in time; the message shows where it was. Or it had ended
        before the stop, so that nothing was tested; or its response was incomplete.

    Cancellation:
      Abrupt, as for `Server.serve`.
    """
    __tracebackhide__ = True
    method, _, path = request.partition(" ")
    has_begun, has_ended = trio.Event(), trio.Event()
    # A list, because the type checker does not see what another task assigns.
    outcome: list[TestResponse | Exception] = []

    async def begin(conn: Conn) -> Conn:
        has_begun.set()
        return conn

    async def ask(app: TestServer) -> None:
        try:
            outcome.append(await app.request(method, path or "/", **options))
        except Exception as error:  # handled below
            outcome.append(error)
        has_begun.set()
        has_ended.set()

    config = (config or Config()).with_drain_timeout(None)
    failure: str | None = None
    async with TestServer((begin, handler), config) as app, trio.open_nursery() as nursery:
        nursery.start_soon(ask, app)
        await has_begun.wait()
        await wait_all_tasks_blocked()
        if outcome and not app.swansong.guard_count:
            failure = f"was over before the stop, so nothing was tested: {_shown(outcome[0])}"
        else:
            app.shut_down()
            with trio.move_on_after(within) as limit:
                await no_guards(app.swansong)
                await has_ended.wait()
            if limit.cancelled_caught:
                report = app.swansong.guard_report(stacks=True)
                failure = f"did not end within {within:g} s of the stop: {report}"
                app.handle.cancel("the assertion has failed")
        nursery.cancel_scope.cancel()
    match outcome:
        case [TestResponse() as response] if failure is None:
            return response
        case [ConnectionError() as error] if failure is None:
            failure = f"ended, but its response was incomplete: {error}"
        case [Exception() as error] if not isinstance(error, ConnectionError):
            raise error
    raise AssertionError(f"{request} {failure}")


def _shown(outcome: TestResponse | Exception) -> str:
    return f"\n{outcome}" if isinstance(outcome, TestResponse) else repr(outcome)
