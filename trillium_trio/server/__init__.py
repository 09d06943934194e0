"""Assembly: settings, the server, its drain, its signals, and the ways to run it.

.. code-block:: text

    Config --server(handler)--> Server --serve()--> ready --> stop --> drain --> clean-up --> over
                                   |                  |        ^
                                   |            ServerHandle --'  shut_down(), cancel(), a signal
                                   `- run, spawn, serving: serve() under trio.run, in a thread,
                                      or while a block runs

``_drain.py`` lists the phases of a drain, ``_signals.py`` the ladder of signals, and `Server` its
nurseries.
"""

from __future__ import annotations

from ._collector import relaxed_collector
from ._config import Config, config
from ._drain import DrainProgress
from ._environment import notify_socket, store_room, watchdog_seconds
from ._handle import ServerHandle
from ._notify import Notifier
from ._run import serving
from ._server import Server
from ._settings import Settings
from ._signals import SignalLadder, leave_terminal_signals, terminal_signals_blocked

__all__ = [
    "Config",
    "DrainProgress",
    "Notifier",
    "Server",
    "ServerHandle",
    "Settings",
    "SignalLadder",
    "config",
    "leave_terminal_signals",
    "notify_socket",
    "relaxed_collector",
    "serving",
    "store_room",
    "terminal_signals_blocked",
    "watchdog_seconds",
]
