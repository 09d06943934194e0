"""trillium_trio: an HTTP server framework for trio, with graceful shutdown at its heart.

The tasks of a program, and who owns them:

.. code-block:: text

    trio.run
    `- Server.serve                             one per server
       `- attendants nursery                    drain reports; forwards a cancel() during the start
          `- services nursery                   inside all lifespans, left when none is connected
             |- watchdog                        one task: every timeout of every connection
             |- services                        info.start_service
             `- connections nursery             never cancelled as a whole: stragglers one by one
                |- background work              conn.start_soon, info.start_soon: guarded, drained
                |- connection task              one per transport, which it owns and closes
                |     http1: exchanges run one after another in this task; no child per request
                |     after an upgrade: its handler, in the same task, still guarded
                `- accept nursery               cancelled when the listeners close
                   `- accept loop               one per listener; no transient error ends it
"""

from __future__ import annotations

from ._version import VERSION as _VERSION
from .conn import (
    Conn,
    ConnectionCounts,
    Handler,
    Info,
    Init,
    Lifespan,
    Outcome,
    Readiness,
    RequestBody,
    Sent,
    State,
    Upgrade,
)
from .exceptions import (
    BadRequest,
    BindError,
    ClientDisconnected,
    ConfigError,
    ContentTooLarge,
    HttpError,
    MethodNotAllowed,
    MisuseError,
    RequestTimeout,
    ServiceUnavailable,
    ShuttingDownError,
    TooManyRequests,
    TrilliumError,
    Unauthorized,
    UpgradeRequired,
    WebSocketClosed,
)
from .handlers import sync_handler
from .http import Body, Headers, HttpConfig, Status
from .server import Config, Server, ServerHandle, config
from .swansong import (
    DrainReport,
    Guard,
    GuardReport,
    ShutdownCompletion,
    ShutdownState,
    ShuttingDown,
    Swansong,
)
from .transport import Listener, Transport

__all__ = [
    "BadRequest",
    "BindError",
    "Body",
    "ClientDisconnected",
    "Config",
    "ConfigError",
    "Conn",
    "ConnectionCounts",
    "ContentTooLarge",
    "DrainReport",
    "Guard",
    "GuardReport",
    "Handler",
    "Headers",
    "HttpConfig",
    "HttpError",
    "Info",
    "Init",
    "Lifespan",
    "Listener",
    "MethodNotAllowed",
    "MisuseError",
    "Outcome",
    "Readiness",
    "RequestBody",
    "RequestTimeout",
    "Sent",
    "Server",
    "ServerHandle",
    "ServiceUnavailable",
    "ShutdownCompletion",
    "ShutdownState",
    "ShuttingDown",
    "ShuttingDownError",
    "State",
    "Status",
    "Swansong",
    "TooManyRequests",
    "Transport",
    "TrilliumError",
    "Unauthorized",
    "Upgrade",
    "UpgradeRequired",
    "WebSocketClosed",
    "__version__",
    "config",
    "sync_handler",
]

__version__ = _VERSION
