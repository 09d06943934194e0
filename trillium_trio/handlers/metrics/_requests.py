"""What is measured of each request, by the names that OpenTelemetry has for it."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from threading import Lock, get_ident
from typing import TYPE_CHECKING, final

from ...conn import Outcome, Params
from ...swansong import was_cancelled
from ._families import OVERFLOW
from ._figures import Family

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    from ...conn import Conn, Sent
    from ._figures import Labels

    Key: TypeAlias = tuple[str, int | None, str | None, Outcome | None, bool, str, int]

__all__ = ["Requests"]

# The methods of RFC 9110, PATCH (RFC 5789) and QUERY: a client may send any other.
_METHODS = {
    name: name
    for name in (
        *("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY"),
        "TRACE",
    )
}
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
_BYTES = (0.0, *(256.0 * 4**n for n in range(10)))  # to 64 MiB
_COMPLETE, _CUT = Outcome.COMPLETE, Outcome.CUT


# What is measured for one combination of labels are three histograms, in one list: the number of
# values in each bucket and their sum, of seconds, of bytes received, of bytes sent.
_RECEIVED = len(_SECONDS) + 2
_SENT = _RECEIVED + len(_BYTES) + 2
_END = _SENT + len(_BYTES) + 2


@final
class Requests:
    """The requests of all servers that a `Metrics` is in.

    Args:
      max_series: How many combinations of labels are told apart; the others share one.
    """

    def __init__(self, max_series: int) -> None:
        self._max_series = max_series
        self._lock = Lock()
        self._running: dict[Conn, str] = {}
        self._rows: dict[Key, list[float]] = {}
        # A row is written by one thread and so needs no lock, which would cost each request 0.4 us.
        self._labels: dict[Labels, list[list[float]]] = {}
        self._cut: Counter[str] = Counter()

    async def begin(self, conn: Conn) -> Conn:
        """Count a request as active.

        Cancellation:
          None: it does not wait.
        """
        self._running[conn] = conn.head.method
        return conn

    def end(self, conn: Conn, sent: Sent) -> None:
        """Count a request that is over, whether it has begun or a handler in front has halted."""
        outcome, head, size = sent.outcome, conn.head, sent.body_bytes
        method = self._running.pop(conn, None) or head.method
        params = conn.state(Params)
        key = (
            _METHODS.get(method, "_OTHER"),
            sent.status,
            None if params is None else params.template,
            None if outcome is _COMPLETE else outcome,
            conn.is_secure,
            head.version,
            get_ident(),
        )
        row = self._rows.get(key) or self._new_row(key)
        row[bisect_left(_SECONDS, sent.duration)] += 1
        row[_RECEIVED - 1] += sent.duration
        if received := head.content_length:
            row[_RECEIVED + bisect_left(_BYTES, received)] += 1
            row[_SENT - 1] += received
        else:
            row[_RECEIVED] += 1
        row[_SENT + bisect_left(_BYTES, size)] += 1
        row[-1] += size
        if outcome is _CUT:
            is_cancelled = was_cancelled(conn.swansong)
            with self._lock:
                self._cut["cancelled" if is_cancelled else "deadline"] += 1

    def collect(self) -> Iterator[tuple[str, Family]]:
        """Yield the metrics of now by name."""
        running = self._running.copy()
        with self._lock:
            by_labels = [(labels, list(rows)) for labels, rows in self._labels.items()]
            cut = dict(self._cut)
        sums = {labels: tuple(map(sum, zip(*rows, strict=True))) for labels, rows in by_labels}
        yield (
            "http_server_request_duration_seconds",
            Family(
                kind="histogram",
                help="From the first byte of a request to the last of its response.",
                bounds=_SECONDS,
                series={labels: row[:_RECEIVED] for labels, row in sums.items()},
            ),
        )
        active = Counter(
            (_METHODS.get(method, "_OTHER"), "https" if conn.is_secure else "http")
            for conn, method in running.items()
        )
        yield (
            "http_server_active_requests",
            Family(
                kind="gauge",
                help="Requests in progress.",
                series={
                    (("http_request_method", method), ("url_scheme", scheme)): (number,)
                    for (method, scheme), number in active.items()
                },
            ),
        )
        yield (
            "http_server_request_body_size_bytes",
            Family(
                kind="histogram",
                help="Bytes of request bodies by Content-Length; chunked ones count as empty.",
                bounds=_BYTES,
                series={labels: row[_RECEIVED:_SENT] for labels, row in sums.items()},
            ),
        )
        yield (
            "http_server_response_body_size_bytes",
            Family(
                kind="histogram",
                help="Bytes of response bodies that were taken by the socket.",
                bounds=_BYTES,
                series={labels: row[_SENT:] for labels, row in sums.items()},
            ),
        )
        yield (
            "trillium_requests_cut",
            Family(
                kind="counter",
                help="Requests that were cut by a drain's deadline or by cancel().",
                series={(("reason", reason),): (number,) for reason, number in cut.items()},
            ),
        )

    def _new_row(self, key: Key) -> list[float]:
        labels = _labels(key)
        with self._lock:
            if labels not in self._labels and len(self._labels) >= self._max_series:
                labels = OVERFLOW
                # Of these keys there may be any number: one is kept for each thread.
                key = ("_OTHER", None, None, None, False, "", key[-1])
                if key in self._rows:
                    return self._rows[key]
            row = self._rows[key] = [0] * _END
            self._labels.setdefault(labels, []).append(row)
        return row


def _labels(key: Key) -> Labels:
    method, status, route, outcome, is_secure, version, _ = key
    error = outcome.value if outcome is not None else ""
    if not error and status is not None and status >= 500:
        error = str(status)
    found = {
        "http_request_method": method,
        "http_response_status_code": "" if status is None else str(status),
        "http_route": route or "",
        "error_type": error,
        "url_scheme": "https" if is_secure else "http",
        "network_protocol_version": version,
    }
    # An empty label is none.
    return tuple((name, value) for name, value in found.items() if value)
