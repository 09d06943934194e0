"""What a service is doing, for those who run it: pages and JSON on a port or socket of their own.

.. code-block:: text

    _handler   Admin    the handler: paths, actions, the stream of events
    _access    Access   who may ask: listeners, Host, token, origin
    _source    Source   what is shown; ProcessSource: that of one process
    _page               the page: HTML, its style and its script

"""

from __future__ import annotations

from ._handler import Admin
from ._source import ProcessSource, Source

__all__ = ["Admin", "ProcessSource", "Source"]
