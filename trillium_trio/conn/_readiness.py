"""Whether a server wants to be sent requests, for who asks before the stop."""

from __future__ import annotations

from typing import final

__all__ = ["Readiness"]


@final
class Readiness:
    """Withdraws a running server from its load balancer, and brings it back.

    Each server has one, as ``conn.shared_state(Readiness)`` and `ServerHandle.readiness`;
    servers whose ``Config.shared_state`` has the same one share it. `trillium_trio.handlers.Health`
    answers its readiness check accordingly. Nothing else changes: requests that come are served,
    and the stop fails the check for good. Thread-safe.

    Attributes:
      withdrawn: Why the server wants no requests; None: it does.
    """

    __slots__ = ("withdrawn",)

    def __init__(self) -> None:
        self.withdrawn: str | None = None

    def withdraw(self, reason: str = "withdrawn") -> None:
        """Have the readiness check fail, with this reason in its answer."""
        self.withdrawn = reason

    def restore(self) -> None:
        """Have the readiness check succeed again."""
        self.withdrawn = None

    def __repr__(self) -> str:
        state = "ready" if self.withdrawn is None else f"withdrawn: {self.withdrawn}"
        return f"<Readiness {state}>"
