"""The command line: serves what a module or file defines; the exit status reports the drain.

.. code-block:: text

    argv, TRILLIUM_*          MODULE:ATTR
        |  settings               |  load_target
        v                         v
      Config ---- server() --- handler, factory     or a Server with its own settings
                     |
                  trio.run ---- stuck? _forced_exit.py: work that cannot be cut is not waited for
                     |
                  status    0  everything in progress was finished
                            1  something was cut off, or the server failed
                            2  the command line is invalid
                            3  the server could not start

An option wins over its variable, ``TRILLIUM_DRAIN_TIMEOUT`` for ``--drain-timeout``, and both win
over those of the library: ``LISTEN_FDS``, ``HOST`` and ``PORT``. The options are the fields of
`Config` and `HttpConfig`, with the types, defaults and help of those two classes.
"""

from __future__ import annotations

from ._main import main

__all__ = ["main"]
