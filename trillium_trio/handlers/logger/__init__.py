"""The access log: a line for each request when it is over.

.. code-block:: text

    _logger    Logger    the handler: Handler.after_send -> line -> writer
    _formats             dev, json; common and combined are templates
    _fields    Fields    %(h)s and all others, by name
    _text                what no client can forge; times of day
    _writer    Writer    a thread that writes what was collected

"""

from __future__ import annotations

from ._logger import Logger

__all__ = ["Logger"]
