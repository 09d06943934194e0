"""What the regular lane takes and what it leaves to the other one."""

from __future__ import annotations

import pytest

from trillium_trio.codec import _head
from trillium_trio.codec._irregular import read_irregular
from trillium_trio.codec._lane import read_regular
from trillium_trio.http import RequestHead


def facts(head: RequestHead) -> list[object]:
    return [getattr(head, name.lstrip("_")) for name in RequestHead.__slots__]


BROWSER = (
    b"GET /a/b?c=d HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: Mozilla/5.0 (X11)\r\n"
    b"Accept: text/html,*/*;q=0.8\r\nAccept-Encoding: gzip, br\r\nConnection: keep-alive\r\n"
    b"Cookie: a=b; c=d\r\nUpgrade-Insecure-Requests: 1\r\nTE: trailers\r\n\r\n"
)

TAKEN = [
    BROWSER,
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"GET / HTTP/1.1\r\nhost:\r\n\r\n",
    b"GET / HTTP/1.0\r\nHOST: a_b.c\r\nConnection: Keep-Alive\r\n\r\n",
    b"POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 12\r\nconnection: CLOSE\r\n\r\n",
    b"DELETE /x HTTP/1.1\r\nContent-Length:0\r\nHost:\th\t\r\nContent-Lengthy: x\r\n\r\n",
]

LEFT = {
    "a token of small letters": b"get / HTTP/1.1\r\nHost: h\r\n\r\n",
    "absolute-form": b"GET http://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
    "CONNECT": b"CONNECT / HTTP/1.1\r\nHost: h\r\n\r\n",
    "a fragment": b"GET /#a HTTP/1.1\r\nHost: h\r\n\r\n",
    "a backslash": b"GET /\\ HTTP/1.1\r\nHost: h\r\n\r\n",
    "no fields": b"GET / HTTP/1.0\r\n\r\n",
    "no Host": b"GET / HTTP/1.1\r\nA: b\r\n\r\n",
    "two Hosts": b"GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
    "two empty Hosts": b"GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n",
    "an odd Host": b"GET / HTTP/1.1\r\nHost: [::1]\r\n\r\n",
    "Transfer-Encoding": b"GET / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    "Expect": b"GET / HTTP/1.1\r\nHost: h\r\nexpect: 100-continue\r\n\r\n",
    "two lengths": b"GET / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\nHost: h\r\n\r\n",
    "an odd length": b"GET / HTTP/1.1\r\nContent-Length: 1, 1\r\nHost: h\r\n\r\n",
    "a long length": b"GET / HTTP/1.1\r\nContent-Length: 0000000000000000001\r\nHost: h\r\n\r\n",
    "an upgrade": b"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\r\n",
    "two options": b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nConnection: close\r\n\r\n",
    "obs-text": b"GET / HTTP/1.1\r\nHost: h\r\nA: \xe9\r\n\r\n",
    "a folded field": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n",
    "a bare LF": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\nC: d\r\n\r\n",
    "a bare CR": b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rC: d\r\n\r\n",
}


@pytest.mark.parametrize("data", TAKEN)
def test_what_it_takes_the_other_lane_reads_alike(data: bytes) -> None:
    head = read_regular(data, 0, len(data), 8192, 100)
    assert head is not None
    assert facts(head) == facts(read_irregular(data))


@pytest.mark.parametrize("case", LEFT)
def test_what_it_leaves(case: str) -> None:
    assert read_regular(LEFT[case], 0, len(LEFT[case]), 8192, 100) is None


def test_limits_are_exact() -> None:
    data = b"GET /123 HTTP/1.1\r\nHost: h\r\nA: b\r\n\r\n"
    assert read_regular(data, 0, len(data), 4, 2) is not None
    assert read_regular(data, 0, len(data), 3, 2) is None
    assert read_regular(data, 0, len(data), 4, 1) is None


@pytest.mark.takes_lane
def test_a_regular_head_never_reaches_the_other_lane(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(_head, "read_irregular")
    assert _head.read_head(BROWSER, _head.HeadLimits()) is not None


def test_a_long_line_costs_no_backtracking() -> None:
    # Quadratic would be 10**12 steps here.
    data = b"GET / HTTP/1.1\r\nHost: h\r\n" + b"A: b\r\n" * 200_000 + b"A: " + b" " * 10**6
    assert read_regular(data, 0, len(data), 8192, 10**9) is None
