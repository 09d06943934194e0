"""Where transports come from.

.. code-block:: text

    "127.0.0.1:8080", 8080, "unix:/run/x", "fd:3"
        | parse_bind
    TcpBind  UnixBind  FdBind  EnvBind  PreboundBind; ProxyBind and TlsBind around one
        | open_listeners: all, or none and a BindError
    BoundListener          BoundSocket: a socket          -> SocketTransport, TlsTransport
        |                  BoundStream: any trio listener -> StreamTransport, TlsTransport
        | accept_loop: one task per listener
    start(transport)

The states of a bound listener:

.. code-block:: text

    open --- drain_and_close() --> closing   the drain: accept the kernel's queue, then close
         `-- close(), aclose() --> closing   abrupt: the kernel resets queued connections

Closing a listening socket resets the connections in its queue, although their clients are already
connected. So the drain empties the queue and closes in one synchronous step: between two steps new
connections would arrive. On TCP, a client that connects between the last two system calls of that
step is still reset; a unix socket file is removed first, so no client can.
"""

from __future__ import annotations

from ._accept import accept_loop
from ._balance import LoadPage, Share
from ._bind import (
    AddressBind,
    Bind,
    EnvBind,
    FdBind,
    PreboundBind,
    ProxyBind,
    TcpBind,
    TlsBind,
    UnixBind,
    parse_bind,
)
from ._bound import BoundListener
from ._grant import (
    Lines,
    SharedSocket,
    bound_to_grant,
    receive_grant,
    send_grant,
    send_refusal,
    shared_specs,
)
from ._inherited import drop_stored, inherited_fds, take_stored
from ._open import open_listeners
from ._prebound import BoundStream
from ._shared import SharedSockets
from ._socket import BoundSocket

__all__ = [
    "AddressBind",
    "Bind",
    "BoundListener",
    "BoundSocket",
    "BoundStream",
    "EnvBind",
    "FdBind",
    "Lines",
    "LoadPage",
    "PreboundBind",
    "ProxyBind",
    "Share",
    "SharedSocket",
    "SharedSockets",
    "TcpBind",
    "TlsBind",
    "UnixBind",
    "accept_loop",
    "bound_to_grant",
    "drop_stored",
    "inherited_fds",
    "open_listeners",
    "parse_bind",
    "receive_grant",
    "send_grant",
    "send_refusal",
    "shared_specs",
    "take_stored",
]
