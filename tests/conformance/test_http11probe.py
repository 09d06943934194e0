"""Each scored case of Http11Probe, over a live socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance._http11probe import DIFFERENCES, PROBES, Probe
from tests.conformance._page import probe_table
from tests.conformance._probing import Outcome, judge
from tests.wire import Response

if TYPE_CHECKING:
    from tests.conformance._page import Page


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.id)
def test_probe(probe: Probe, outcomes: dict[str, Outcome]) -> None:
    outcome = outcomes[probe.id]
    if probe.id in DIFFERENCES:
        assert judge(probe, outcome) == "fail", f"strike {probe.id} from DIFFERENCES"
    else:
        assert judge(probe, outcome) != "fail", f"wants {probe.wants}: {outcome}"


def test_every_scored_case_is_here() -> None:
    assert len({probe.id for probe in PROBES}) == len(PROBES) == 161
    assert {probe.id for probe in PROBES} >= DIFFERENCES.keys()


def test_the_page_shows_the_score(page: Page, outcomes: dict[str, Outcome]) -> None:
    verdicts = {probe.id: judge(probe, outcomes[probe.id]) for probe in PROBES}
    page.check("http11probe", probe_table(verdicts))


@pytest.mark.parametrize(
    ("wants", "status", "is_closed", "verdict"),
    [
        ("400", 400, True, "pass"),
        ("400", 0, True, "fail"),
        ("400", 431, True, "fail"),
        ("400 close", 0, True, "pass"),
        ("400 close", 0, False, "fail"),
        ("400 silence", 0, False, "pass"),
        ("400 close | 2xx", 204, False, "warn"),
        ("400 close | 2xx", 304, False, "fail"),
        ("*+close", 500, True, "pass"),
        ("*+close", 500, False, "fail"),
        ("*+close", 0, True, "fail"),
        ("!414", 404, False, "pass"),
        ("!414", 414, True, "fail"),
        ("!414", 0, True, "fail"),
        ("405+allow | !405", 405, False, "fail"),
        ("405+allow | !405", 200, False, "warn"),
        ("204-content-length", 204, False, "pass"),
        ("400+alone", 400, True, "pass"),
    ],
)
def test_the_notation(wants: str, status: int, is_closed: bool, verdict: str) -> None:
    outcome = Outcome(response=Response(status=status), is_closed=is_closed)
    assert judge(Probe(id="", data=b"", wants=wants), outcome) == verdict


def test_what_else_fails_a_case() -> None:
    probe = Probe(id="", data=b"", wants="2xx+alone 2xx+date", body=b"hello")
    good = Response(status=200, body=b"hello")
    assert judge(probe, Outcome(response=good, is_closed=False)) == "pass"
    assert judge(probe, Outcome(response=good, is_closed=False, extra=b"HTTP/1.1 ...")) == "fail"
    good.headers["date"] = "today"
    assert judge(probe, Outcome(response=good, is_closed=False, extra=b"HTTP/1.1 ...")) == "pass"
    good.informational.append(100)
    assert judge(probe, Outcome(response=good, is_closed=False)) == "fail"
    other = Response(status=200, body=b"hell")
    assert judge(probe, Outcome(response=other, is_closed=False)) == "fail"
