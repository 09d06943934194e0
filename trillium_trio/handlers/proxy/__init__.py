"""A reverse proxy: requests are passed on to upstreams over HTTP/1.1, and their answers back.

.. code-block:: text

    _handler     Proxy: the settings, the lifespan
    _passage     one request: upstream after upstream, what is safe to send again
    _sender      its body, while the answer is waited for
    _answer      the answer as a response: whole or streamed, with its trailers
    _tunnel      another protocol, copied both ways
    _lease       an upstream at work on a request
    _upstream    which upstream, and which ones are left out; _health: checks
    _pool        connections to it: httpcore2's pool
    _wire        HTTP/1.1 over one of them: h11
    _fields      what is passed on, and what is written
    _target      where an upstream is
    _failure     what can go wrong with one
"""

from __future__ import annotations

from ._handler import Proxy

__all__ = ["Proxy"]
