"""How an application tests its shutdown: in memory, and in virtual time.

The request takes an hour, the test a moment: ``MockClock`` jumps ahead when no task has anything
else to do. The server is the real one; only its sockets are replaced. Run this file, or use pytest.
"""

import trio
from trio.testing import MockClock, wait_all_tasks_blocked

import trillium_trio as tt
from trillium_trio.testing import MemoryListener

HOUR = 3600


async def slow(conn: tt.Conn) -> tt.Conn:
    await trio.sleep(HOUR)
    return conn.ok("done")


async def drain_with_one_request(drain_timeout: float) -> tuple[bytes, tt.DrainReport]:
    listener = MemoryListener()
    config = tt.config().bind_listener(listener).with_report_interval(HOUR)
    server = config.with_drain_timeout(drain_timeout).server(slow)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        client = listener.connect()
        await client.send_all(b"GET / HTTP/1.1\r\nHost: test\r\n\r\n")
        await wait_all_tasks_blocked()  # The handler is asleep.
        report = await server.shut_down()
    return b"".join([chunk async for chunk in client]), report


def run(drain_timeout: float) -> tuple[bytes, tt.DrainReport]:
    return trio.run(drain_with_one_request, drain_timeout, clock=MockClock(autojump_threshold=0))


def test_a_request_in_flight_is_finished() -> None:
    answer, report = run(drain_timeout=2 * HOUR)
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert answer.endswith(b"done")
    assert report.is_clean
    assert report.finished == 1


def test_a_request_that_takes_too_long_is_answered_503() -> None:
    answer, report = run(drain_timeout=HOUR / 2)
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert not report.is_clean
    assert report.cancelled.guard_count == 1


if __name__ == "__main__":
    test_a_request_in_flight_is_finished()
    test_a_request_that_takes_too_long_is_answered_503()
