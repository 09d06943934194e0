"""Numbers for Prometheus: what the server does, and what the application counts.

.. code-block:: text

    _handler    Metrics    the handler: Handler.after_send -> families
                MetricsPage  the page of any figures
    _families   Counter, Gauge, Histogram: what is counted, by label
    _figures    Figures    all of it at one moment, for other processes: add, subtract, JSON
                Family     one metric of them
    _text                  Figures as text, in the two formats of Prometheus

"""

from __future__ import annotations

from ._families import Counter, Gauge, Histogram
from ._figures import Family, Figures
from ._handler import Metrics, MetricsPage

__all__ = [
    "Counter",
    "Family",
    "Figures",
    "Gauge",
    "Histogram",
    "Metrics",
    "MetricsPage",
]
