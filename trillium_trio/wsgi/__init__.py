"""WSGI (PEP 3333): an application of another framework as a handler, in worker threads.

.. code-block:: text

    _handler     Wsgi             an application as a handler
      _environ                      what a request is about
      _call        Call             one request: the call, the iteration, close(); in its thread
        _input       RequestStream    wsgi.input
        _file        FileWrapper      wsgi.file_wrapper
        _head        Head             what start_response was given
        _bridge      Bridge           what the thread asks of the connection, done in the loop
    _errors      ConnectionLost   what the application gets if that is not possible
    _detect      is_wsgi          an application, or a handler?

A request is in one thread from the call to ``close()``. The thread never touches the conn: what it
reads and sends goes over the bridge, and the driver's own code reads and sends. So framing, limits,
guards, the stop and the error table are those of all handlers, and a thread that is abandoned at
the deadline of a drain finds the bridge closed.
"""

from __future__ import annotations

from ._detect import is_wsgi
from ._errors import ConnectionLost
from ._file import FileWrapper
from ._handler import Wsgi

__all__ = ["ConnectionLost", "FileWrapper", "Wsgi", "is_wsgi"]
