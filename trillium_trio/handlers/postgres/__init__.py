"""PostgreSQL: a pool of connections, functions in transactions, notifications.

.. code-block:: text

    Postgres.transact -> Pool, Call: one function in a worker thread, on a connection of the pool
    Postgres.listen   -> a connection of its own, which trio waits for
    Driver            psycopg: connects both
    PostgresStore     sessions in a table
"""

from __future__ import annotations

from ._handler import Postgres
from ._store import PostgresStore

__all__ = ["Postgres", "PostgresStore"]
