"""Byte streams and the facts about them.

A `Transport` carries a connection: receive, send, half-close, close, and facts. There are three
kinds:

.. code-block:: text

    SocketTransport   a bare non-blocking socket: TCP, unix
    StreamTransport   any `trio.abc.Stream`: what an application's own listener yields
    TlsTransport      TLS over one of the two, in practice the first

Sockets wait with trio, or, while many are ready at once, at the `Poller` of their server, which
receives for them.

Theory of operation. Timeouts and the stop must end a wait for the peer without cancelling what the
task does next. So a wait has these distinct outcomes:

.. code-block:: text

                    +- bytes, b"" ------------------- the peer sent, or sent EOF
    receive_some ---+- ClientDisconnected ----------- the peer disconnected (or we closed)
    send_some       +- Woken(reason) ---------------- wake(reason) was called; still usable
                    +- trio.Cancelled --------------- trio's own, from outside; never raised here

    wake(reason):   wake_reason = reason, then end current waits   <- watchdog, drain
    clear_wake():   wake_reason = None                             <- the connection's task

The wake is level-triggered: a wait that starts later still sees it. trio's and the system's errors
are translated only here.
"""

from __future__ import annotations

from ._closing import close_politely
from ._handshake_error import HandshakeError
from ._listener import Listener, host_and_port
from ._poller import Poller, Row
from ._stream import StreamTransport
from ._tcp import SocketTransport
from ._tls import TlsTransport
from ._transport import Transport, Woken

__all__ = [
    "HandshakeError",
    "Listener",
    "Poller",
    "Row",
    "SocketTransport",
    "StreamTransport",
    "TlsTransport",
    "Transport",
    "Woken",
    "close_politely",
    "host_and_port",
]
