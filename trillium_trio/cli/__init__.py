"""The command line: serves what a module or file defines; the exit status reports the drain.

.. code-block:: text

    argv, TRILLIUM_*, --env-file      --config, Server: settings in code
              `-- _options.py: options win --'
                         |  settings          MODULE:ATTR
                         v                        v  _load.py
                      Server <---_target.py--- handler, Server, factory
                         |
                 _serve.py: trio.run ---- the log and the live line: _logging.py, _live.py
                         |           `--- work that cannot be cut is not waited for: _forced_exit.py
                         v
                      status  0  everything in progress was finished
                              1  something was cut off, or the server failed
                              2  the command line is invalid
                              3  the server could not start

With ``--reload`` this process serves nothing: ``_reload.py`` runs the same command line in workers,
one for each change that ``_watch.py`` sees, and ``_control.py`` is their end of the control socket.

``_table.py`` has the options, by section. Those for the fields of `Config` and `HttpConfig` take
their types, defaults and texts from these two classes.
"""

from __future__ import annotations

from ._main import main

__all__ = ["main"]
