"""Load: one program per family of servers, all with the same routes, and what drives them.

.. code-block:: text

    GET  /            13 bytes of text
    POST /echo        the request's body
    POST /upload      the length of the request's body, which is read piece by piece
    GET  /download    64 MiB in pieces of 64 KiB
    GET  /mebibyte    1 MiB in one piece (trillium_server and asgi_app)
    GET  /slow        13 bytes after 50 ms
    GET  /block       13 bytes after the event loop was blocked for 500 ms
    GET  /users/ID    JSON, by a router and handlers (trillium_server and starlette_app)

`asgi_app` is what uvicorn, hypercorn and granian serve; `floor` parses nothing and is what any
server in Python costs at least. `wrk` makes the load; `generator` does where wrk is missing, and
for transfers, whose 8 KiB reads in wrk would be the bottleneck, and for TLS handshakes.
"""
