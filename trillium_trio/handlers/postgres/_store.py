"""Sessions in a table."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, final

from ...exceptions import ConfigError

if TYPE_CHECKING:
    from ._driver import PgConnection
    from ._handler import Postgres

__all__ = ["PostgresStore"]

# Of a table, with or without its schema; the index needs some of the 63 bytes that a name can have.
_TABLE = re.compile(r"(?:[A-Za-z_][A-Za-z_0-9]{0,62}\.)?([A-Za-z_][A-Za-z_0-9]{0,57})")

# Each new session removes so many that are over: more than come, and few enough to cost nothing.
_REMOVED = 5


@final
class PostgresStore:
    """A `SessionStore` in a database: ``Sessions(store=PostgresStore(db))``, behind ``db``.

    It makes its table when the database is prepared. The database's clock decides when a session is
    over. Those that are over are removed by and by, a few with each new one.

    Args:
      db: Where.
      table: The name of the table, or ``schema.table``. Default: ``"trillium_sessions"``.

    Raises:
      ConfigError: The name is none that PostgreSQL takes as it is.
      MisuseError: The database is open already.
    """

    def __init__(self, db: Postgres, *, table: str = "trillium_sessions") -> None:
        found = _TABLE.fullmatch(table)
        if found is None:
            raise ConfigError(
                "PostgresStore.table must be a name of up to 58 letters, digits and _, or two "
                f"with a dot between them, not {table!r}"
            )
        self._db = db
        self._table = table
        # Quoted, or a name like "order" is none. No other character than the above is in them.
        name = ".".join(f'"{each}"' for each in table.split("."))
        self._statements = [
            f"""CREATE TABLE IF NOT EXISTS {name}
                (ident text PRIMARY KEY, record text NOT NULL, ends timestamptz NOT NULL)""",
            f'CREATE INDEX IF NOT EXISTS "{found[1]}_ends" ON {name} (ends)',
        ]
        self._select = f"SELECT record FROM {name} WHERE ident = %s AND ends > now()"  # noqa: S608
        self._insert = f"""
            WITH removed AS (
              DELETE FROM {name} WHERE ident IN (
                SELECT ident FROM {name} WHERE ends <= now() AND ident <> %(ident)s
                ORDER BY ends LIMIT {_REMOVED} FOR UPDATE SKIP LOCKED))
            INSERT INTO {name} AS old VALUES
              (%(ident)s, %(record)s, now() + make_interval(secs => %(max_age)s))
            ON CONFLICT (ident) DO UPDATE SET record = excluded.record, ends = excluded.ends
              WHERE old.ends <= now()"""  # noqa: S608
        self._update = f"""
            UPDATE {name} SET record = %(record)s, ends = now() + make_interval(secs => %(max_age)s)
            WHERE ident = %(ident)s AND ends > now()"""  # noqa: S608
        self._delete = f"DELETE FROM {name} WHERE ident = %s"  # noqa: S608
        db.prepare(self._prepare)

    def _prepare(self, connection: PgConnection) -> None:
        for statement in self._statements:
            connection.execute(statement)

    async def load(self, ident: str) -> str | None:
        """See `SessionStore`.

        Raises:
          ServiceUnavailable: See `Postgres.transact`, here and below.

        Cancellation:
          Changes nothing.
        """

        def load_session(connection: PgConnection) -> str | None:
            row = connection.execute(self._select, [ident]).fetchone()
            return None if row is None else row[0]

        return await self._db.transact(load_session)

    async def save(self, ident: str, record: str, max_age: int, *, is_new: bool) -> bool:
        """See `SessionStore`.

        Cancellation:
          It may be saved or not.
        """
        statement = self._insert if is_new else self._update
        values = {"ident": ident, "record": record, "max_age": max_age}

        def save_session(connection: PgConnection) -> bool:
            return connection.execute(statement, values).rowcount == 1

        return await self._db.transact(save_session)

    async def delete(self, ident: str) -> None:
        """See `SessionStore`.

        Cancellation:
          It may be deleted or not.
        """

        def delete_session(connection: PgConnection) -> None:
            connection.execute(self._delete, [ident])

        await self._db.transact(delete_session)

    def __repr__(self) -> str:
        return f"<PostgresStore {self._table} in {self._db!r}>"
