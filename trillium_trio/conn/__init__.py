"""The conn, which handlers see, and the handlers.

.. code-block:: text

    request --> Conn --> handler --> handler --> ... until halted --> before_send, in reverse
                 |                                                        |
                 |  request_body   read once, pulled from the connection  v
                 |  state          one value per type                  response
                 `- link           its connection: transport, disconnect, server

    when the exchange is over: conn.after_send, then Handler.after_send with a Sent

A `Conn` is one mutable object per request. It knows its connection only as a `Link`, a protocol
that the driver implements. `Info` is the server as handlers see it before serving begins.
"""

from __future__ import annotations

from ._conn import Conn
from ._counts import ConnectionCounts
from ._handler import (
    Handler,
    HandlerLike,
    Init,
    Lifespan,
    Sequence,
    State,
    as_handler,
    check_awaitable,
    check_returned,
    handler_name,
    leaves,
    run_handler,
    walk_handlers,
)
from ._info import Info, ServerSettings, Starter
from ._json import check_json_depth
from ._link import Link
from ._location import checked_root_path, located, mounted_prefix, split_target
from ._on_conn import Client, Failure, HasState, Mounted, OnConn
from ._params import Params
from ._readiness import Readiness
from ._request_body import RequestBody, RequestSource
from ._sent import Outcome, Sent
from ._upgrade import Upgrade

__all__ = [
    "Client",
    "Conn",
    "ConnectionCounts",
    "Failure",
    "Handler",
    "HandlerLike",
    "HasState",
    "Info",
    "Init",
    "Lifespan",
    "Link",
    "Mounted",
    "OnConn",
    "Outcome",
    "Params",
    "Readiness",
    "RequestBody",
    "RequestSource",
    "Sent",
    "Sequence",
    "ServerSettings",
    "Starter",
    "State",
    "Upgrade",
    "as_handler",
    "check_awaitable",
    "check_json_depth",
    "check_returned",
    "checked_root_path",
    "handler_name",
    "leaves",
    "located",
    "mounted_prefix",
    "run_handler",
    "split_target",
    "walk_handlers",
]
