"""Numbers for Prometheus: what the server does, and what the application counts.

.. code-block:: text

    _handler    Metrics    the handler: Handler.after_send -> families
    _families   Counter, Gauge, Histogram: what is counted, by label
    _figures    Figures    all of it at one moment, for other processes: add, subtract, JSON
    _text                  Figures as text, in the two formats of Prometheus

"""

from __future__ import annotations

from ._families import Counter, Gauge, Histogram
from ._figures import Figures
from ._handler import Metrics

__all__ = ["Counter", "Figures", "Gauge", "Histogram", "Metrics"]
