"""State: one value per type, for one request or for the whole server.

``Lifespan`` is for values that have to be closed again, ``Init`` for those that do not, and
``State`` gives every conn the same value.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import trillium_trio as tt


@dataclass
class Visitors:
    """Shared by all requests; stands for a database, which is opened and closed."""

    names: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class User:
    """Of one request."""

    name: str


@asynccontextmanager
async def visitors(info: tt.Info) -> AsyncIterator[None]:
    opened = Visitors()
    info.insert_shared_state(opened)
    yield  # The server is ready, serves, and drains.
    opened.names.clear()


async def greeting(info: tt.Info) -> None:
    info.insert_shared_state("hello")


async def authenticate(conn: tt.Conn) -> tt.Conn:
    names = conn.query.get("name")
    return conn.with_state(User(names[0])) if names else conn.with_status(403).halt()


async def greet(conn: tt.Conn) -> tt.Conn:
    match conn.state(User), conn.state(int), conn.shared_state(Visitors):
        case User() as user, int() as limit, Visitors() as shared:
            shared.names = [*shared.names, user.name][-limit:]
            lately = ", ".join(shared.names)
            return conn.ok(f"{conn.shared_state(str)}, {user.name}; lately here: {lately}\n")
    raise LookupError("the handlers before this one insert them")


app = (tt.Init(greeting), tt.Lifespan(visitors), tt.State(3), authenticate, greet)

if __name__ == "__main__":
    tt.config().run(app)
