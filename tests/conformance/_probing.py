"""Sends what Http11Probe sends, and judges the answers as it does."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import trio

from tests.e2e._net import serving
from tests.wire import Response

if TYPE_CHECKING:
    from collections.abc import Iterable

    import trillium_trio as tt
    from tests.conformance._http11probe import Probe
    from tests.e2e._net import Net

Verdict: TypeAlias = Literal["pass", "warn", "fail"]

# An answer comes at once. Only cases that take silence wait for the shorter one.
_ANSWER_SECONDS = 10
_SILENCE_SECONDS = 0.3

_WANTED = re.compile(r"(\*|close|silence|!?[1-5](?:\d\d|xx))((?:[+-][a-z-]*[a-z])*)")


@dataclass(kw_only=True)
class Outcome:
    """What a case got.

    Attributes:
      response: With the status 0 if nothing came.
      is_closed: The connection ended, at once or behind the response.
      extra: What came behind the response.
    """

    response: Response
    is_closed: bool
    extra: bytes = b""

    def matches(self, wanted: str) -> bool:
        """Tell whether one of the answers in a case's notation is this one."""
        match = _WANTED.fullmatch(wanted)
        assert match is not None, wanted
        answer, conditions = match.groups()
        return self._is(answer) and all(
            self._has(name) == (sign == "+")
            for sign, name in re.findall(r"([+-])([a-z-]*[a-z])", conditions)
        )

    def _is(self, answer: str) -> bool:
        status = self.response.status
        match answer:
            case "close":
                return not status and self.is_closed
            case "silence":
                return not status and not self.is_closed
            case "*":
                return bool(status)
        expected = answer.removeprefix("!").replace("xx", "")
        is_it = bool(status) and str(status).startswith(expected)
        return bool(status) and not is_it if answer.startswith("!") else is_it

    def _has(self, condition: str) -> bool:
        match condition:
            case "close":
                return self.is_closed
            case "alone":
                return not self.extra
            case field:
                return field in self.response.headers


def judge(probe: Probe, outcome: Outcome) -> Verdict:
    """Score a case."""
    passes, _, warns = probe.wants.partition(" | ")
    response = outcome.response
    if response.informational:
        return "fail"  # none of the cases has a request that may get one
    if probe.body is not None and 200 <= response.status < 300 and response.body != probe.body:
        return "fail"
    if any(map(outcome.matches, passes.split())):
        return "pass"
    return "warn" if any(map(outcome.matches, warns.split())) else "fail"


async def application(conn: tt.Conn) -> tt.Conn:
    """What the probe wants to be there: ``/``, which echoes, and ``/echo``, which shows fields."""
    match conn.method, conn.path:
        case "GET" | "HEAD", "/":
            return conn.ok("OK")
        case "POST", "/":
            return conn.ok(await conn.request_body.read())
        case "POST", "/echo":
            await conn.request_body.read()
            fields = conn.request_headers.items()
            return conn.ok("".join(f"{name}: {value}\n" for name, value in fields))
        case "OPTIONS", "/" | "*":
            conn.with_response_header("allow", "GET, HEAD, POST, OPTIONS")
            return conn.with_status(204)
        case _, "/":
            conn.with_response_header("allow", "GET, HEAD, POST, OPTIONS")
            return conn.with_status(405)
        case _:
            return conn.with_status(405 if conn.method == "CONNECT" else 404)


async def send_all(probes: Iterable[Probe]) -> dict[str, Outcome]:
    """Send each case on a connection of its own, all at once, to one server."""
    outcomes: dict[str, Outcome] = {}
    async with serving(application) as server, trio.open_nursery() as nursery:
        for probe in probes:
            nursery.start_soon(_send, server, probe, outcomes)
    return outcomes


async def _send(server: Net, probe: Probe, outcomes: dict[str, Outcome]) -> None:
    client = server.peer()
    seconds = _SILENCE_SECONDS if "silence" in probe.wants else _ANSWER_SECONDS
    response, is_closed, extra = Response(), False, b""
    with trio.move_on_after(seconds):
        if probe.data:
            await client.send(probe.data)
        response = await client.response("HEAD" if probe.data.startswith(b"HEAD") else "GET")
        extra = client.leftover
        if response.closes or not response.status:
            extra = await client.rest()
            is_closed = True
    outcomes[probe.id] = Outcome(response=response, is_closed=is_closed, extra=extra)
    await client.stream.aclose()
