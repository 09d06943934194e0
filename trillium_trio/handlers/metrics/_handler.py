"""The handler."""

from __future__ import annotations

from contextlib import asynccontextmanager
from threading import Lock
from typing import TYPE_CHECKING, TypeVar, final

from ..._util import check_count
from ...conn import Handler
from ...exceptions import ConfigError
from ...http import add_vary, media_weight
from ._families import Counter, Gauge, Histogram, Instrument
from ._figures import Figures
from ._requests import Requests
from ._servers import Servers
from ._text import OPEN_METRICS, PLAIN, render

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable

    from ...conn import Conn, Info

__all__ = ["Metrics", "MetricsPage"]

I = TypeVar("I", bound=Instrument)  # noqa: E741

# What we measure ourselves: a metric of the application cannot have these names.
_OURS = ("http_server_", "trillium_")


@final
class Metrics(Handler):
    """Measures requests and servers for Prometheus, and counts what the application wants counted.

    Put it first, so that it sees each request and what all other handlers have made of it; one may
    be in front of several servers. `page` is the handler that shows the figures, for a port of its
    own or a route that is not public::

        metrics = Metrics()
        orders = metrics.counter("shop_orders", "Orders taken.", labels=["kind"])
        app = (metrics, Router(("GET", "/metrics", metrics.page), ...))

    Requests are told apart by method, status, version, scheme, and the template of their route:
    never by their path, of which clients can invent any number. A method that is not known is
    ``_OTHER``.

    Args:
      max_series: How many combinations of label values each metric has; all others share one that
        is labelled ``otel_metric_overflow``. Default: 1000. Prevents: memory and pages as large as
        a label has values.

    Raises:
      ConfigError: A setting is wrong.
    """

    def __init__(self, *, max_series: int = 1000) -> None:
        check_count("Metrics.max_series", max_series, least=1)
        self._max_series = max_series
        self._requests = requests = Requests(max_series)
        # Instance attributes, so that a request needs no frame besides the function's.
        self.run = requests.begin  # type: ignore[method-assign]  # it may be
        self.after_send = requests.end  # type: ignore[method-assign]  # it may be
        self._servers = Servers()
        self._own: dict[str, Instrument] = {}
        self._lock = Lock()

    def counter(self, name: str, help: str, *, labels: Iterable[str] = ()) -> Counter:  # noqa: A002
        """Return a new counter of the application. On the page its name ends in ``_total``.

        Args:
          name: Of the metric, such as ``shop_orders``.
          help: One line for people.
          labels: The names of its labels.

        Raises:
          ConfigError: The name is taken, or it or a label's is none.
        """
        return self._add(Counter(name, help, labels, self._max_series))

    def gauge(
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        labels: Iterable[str] = (),
        ask: Callable[[], float] | None = None,
    ) -> Gauge:
        """Return a new gauge of the application.

        Args:
          name: As for `counter`.
          help: As for `counter`.
          labels: As for `counter`.
          ask: Returns the value. It is called whenever the figures are asked for, in any thread,
            and should take microseconds. Default: the gauge is what it was set to.

        Raises:
          ConfigError: As for `counter`; or there are both labels and a function.
        """
        names = tuple(labels)
        if names and ask is not None:
            raise ConfigError(f"{name}: a gauge that asks a function has no labels")
        return self._add(Gauge(name, help, names, self._max_series, ask))

    def histogram(
        self,
        name: str,
        help: str,  # noqa: A002
        *,
        bounds: Iterable[float],
        labels: Iterable[str] = (),
    ) -> Histogram:
        """Return a new histogram of the application.

        Args:
          name: As for `counter`.
          help: As for `counter`.
          labels: As for `counter`.
          bounds: The upper bounds of its buckets, rising, without infinity.

        Raises:
          ConfigError: As for `counter`; or the bounds do not rise.
        """
        return self._add(Histogram(name, help, labels, self._max_series, bounds))

    def figures(self) -> Figures:
        """Return all figures of now. Callable from any thread."""
        families = dict(self._requests.collect())
        families.update(self._servers.collect())
        with self._lock:
            own = list(self._own.values())
        families.update((each.name, each.collect()) for each in own)
        return Figures(families)

    def text(self, *, openmetrics: bool = False) -> str:
        """Return the figures as text: Prometheus' format 0.0.4, or OpenMetrics 1.0."""
        return render(self.figures(), openmetrics=openmetrics)

    @property
    def page(self) -> Handler:
        """A handler that answers with the figures, in the format that the client prefers."""

        async def figures() -> Figures:
            return self.figures()

        return MetricsPage(figures)

    async def init(self, info: Info) -> None:
        """Start to measure the event loop. From now on it is shared state of the server.

        Cancellation:
          None: it does not wait.
        """
        info.insert_shared_state(self)
        info.start_service(self._servers.measure_lag)

    @asynccontextmanager
    async def lifespan(self, info: Info) -> AsyncIterator[None]:
        """Measure a server while it serves; afterwards keep its totals."""
        self._servers.add(info)
        try:
            yield
        finally:
            self._servers.remove(info)

    def _add(self, instrument: I) -> I:
        name = instrument.name
        with self._lock:
            if name in self._own or name.startswith(_OURS):
                raise ConfigError(f"the name {name} is taken")
            self._own[name] = instrument
        return instrument


@final
class MetricsPage(Handler):
    """Answers with figures, in the format that the client prefers.

    Args:
      figures: Returns those of now. A parent of several processes asks them.
    """

    def __init__(self, figures: Callable[[], Awaitable[Figures]]) -> None:
        self._figures = figures

    async def run(self, conn: Conn) -> Conn:
        """Answer.

        Cancellation:
          That of the function.
        """
        fields = conn.request_headers.get_all("accept")
        # Only whoever asks for it by name prefers it.
        weights = [media_weight(fields, each.partition(";")[0]) for each in (OPEN_METRICS, PLAIN)]
        is_open = weights[0] > weights[1]
        add_vary(conn.response_headers, "Accept")
        conn.with_response_header("content-type", OPEN_METRICS if is_open else PLAIN)
        conn.with_response_header("cache-control", "no-store")
        text = render(await self._figures(), openmetrics=is_open)
        # Values of labels are any text.
        return conn.ok(text.encode(errors="replace"))

    @property
    def name(self) -> str:
        return "Metrics.page"
