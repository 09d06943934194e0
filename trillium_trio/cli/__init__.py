"""The command line: serves what a module or file defines, and says how it went.

.. code-block:: text

    argv, TRILLIUM_*          MODULE:ATTR
        |  settings               |  load_target
        v                         v
      Config ---- server() --- handler, factory     or a Server with settings of its own
                     |
                  trio.run ---- held? _leave.py: what cannot be cut does not keep the process
                     |
                  status    0  everything in progress was finished
                            1  something was cut off, or the server failed
                            2  the command line makes no sense
                            3  the server could not start

An option wins over its variable, ``TRILLIUM_DRAIN_TIMEOUT`` for ``--drain-timeout``, and both win
over what the library itself looks for: ``LISTEN_FDS``, ``HOST`` and ``PORT``. The options are the
fields of `Config` and `HttpConfig`: their types, defaults and help are read off those two classes.
"""

from __future__ import annotations

from ._main import main

__all__ = ["main"]
