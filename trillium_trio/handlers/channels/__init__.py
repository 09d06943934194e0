"""Channels: topics over WebSocket, with the protocol of Phoenix's clients.

.. code-block:: text

    _handler   Channels     a request becomes a client; broadcasts from anywhere
    _client                 one client: what it has joined, what it asks, what it is sent
    _hub                    who has joined which topic, in this process and beyond
    _redis     RedisBroker
    _broker    Broker       carries broadcasts between processes
    _channel   Channel      one client in one topic; what an application subclasses
    _outbox                 what waits for one client, bounded in bytes
    _message                the wire format, two versions of it; no I/O

A file imports only from files below it. The tasks:

.. code-block:: text

    services        Hub.run      what the broker brings, to the clients of this process
    connections     serve        one client: receives, calls its channels, one after the other
                      _send      sends what is in its outbox
"""

from __future__ import annotations

from ._broker import Broker
from ._channel import Channel, ChannelError
from ._handler import Channels
from ._redis import RedisBroker

__all__ = ["Broker", "Channel", "ChannelError", "Channels", "RedisBroker"]
