"""What a router chooses among, and what it leaves on the conn about its choice."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, final

from ...conn import Mounted, Sequence, leaves, run_handler

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from ...conn import Conn, Handler
    from ._template import Template

__all__ = ["Allowed", "Chosen", "Target", "mounted_at", "restore"]


@final
class Target:
    """A route or mount, and its handler."""

    __slots__ = (
        "handler",
        "has_hooks",
        "is_mount",
        "is_prepared",
        "methods",
        "name",
        "run",
        "sequence",
        "template",
    )

    def __init__(
        self,
        methods: tuple[str, ...] | None,
        template: Template,
        handler: Handler,
        name: str | None,
        *,
        is_mount: bool,
    ) -> None:
        self.methods = methods
        self.template = template
        self.handler = handler
        self.name = name
        self.is_mount = is_mount
        self.is_prepared = False
        self.has_hooks = False
        self.sequence = Sequence(())
        # As `Service` does; the one of a sequence checks what its handlers return.
        self.run: Callable[[Conn], Coroutine[object, object, Conn]] = (
            handler.run if isinstance(handler, Sequence) else partial(run_handler, handler)
        )

    def prepare(self) -> None:
        """Look at the handler's hooks, once no route is added any more to routers within it."""
        handlers = leaves(self.handler)
        self.sequence = Sequence(handlers)
        self.has_hooks = any(
            each.overrides(hook)
            for each in handlers
            for hook in ("before_send", "has_upgrade", "after_send")
        )
        self.is_prepared = True


class Chosen:
    """What the routers have chosen for a conn, so that their hooks do not match again."""

    __slots__ = ("targets",)

    def __init__(self) -> None:
        self.targets: dict[Handler, tuple[Target, Mounted | None]] = {}


class Allowed:
    """The methods that earlier routers would have taken."""

    __slots__ = ("methods",)

    def __init__(self, methods: frozenset[str]) -> None:
        self.methods = methods


@contextmanager
def mounted_at(conn: Conn, mounted: Mounted | None) -> Iterator[None]:
    """Have a hook find the mount that its handler ran at. None: it had none of its own."""
    outer = conn.state(Mounted)
    if mounted is not None:
        conn.insert_state(mounted)
    try:
        yield
    finally:
        if mounted is not None:
            restore(conn, outer)


def restore(conn: Conn, outer: Mounted | None) -> None:
    """Have the handlers that follow find the mount that the router stands at."""
    if outer is None:
        conn.take_state(Mounted)
    else:
        conn.insert_state(outer)
