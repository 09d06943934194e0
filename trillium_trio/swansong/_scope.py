"""Cancel scopes that follow a swansong: cancelled by ``cancel()``, limited by a drain's deadline.

A scope belongs to its trio run. Every change is sent there with `TrioToken.run_sync_soon`; the
scope then looks up the deadline and cancellation in force (`Attachment.update`).
"""

from __future__ import annotations

import math
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, final

import trio

from trillium_trio.exceptions import MisuseError

from ._node import SWEEP_AT, Limit
from ._tree import run_soon

if TYPE_CHECKING:
    from ._node import Attached, Node
    from ._report import GuardEntry

__all__ = ["Cut", "cancel", "cut", "limit", "new_scope"]


@final
class Attachment:
    """One attached scope: a weak reference, the run it belongs to, and whether it counts.

    Args:
      counts: Whether cutting off this scope makes the drain unclean.
    """

    __slots__ = ("__weakref__", "_kept", "_ref", "counts", "node", "token")

    def __init__(
        self, node: Node, token: trio.lowlevel.TrioToken, scope: trio.CancelScope, *, counts: bool
    ) -> None:
        self.node = node
        self.token = token
        self.counts = counts
        self._ref = weakref.ref(scope, self._scope_died)
        self._kept: trio.CancelScope | None = None

    def _scope_died(self, _ref: weakref.ref[trio.CancelScope]) -> None:
        self.node.tree.submit(_forget, self)

    def update(self) -> None:
        """Apply the deadline and cancellation now in force. Call it in the scope's own run only."""
        scope = self._ref()
        if scope is None:
            return
        path = tuple(self.node.path())
        deadline = min(
            (node.limit.here(self.token) for node in path if node.limit is not None),
            default=math.inf,
        )
        canceller = next((node for node in path if node.is_cancelled), None)
        if self.counts and (canceller is not None or deadline < math.inf):
            # Whether it was cut off is known only after its exit, so keep it alive from now on.
            self._kept = scope
        if scope.is_relative:
            # Not entered yet, and its own timeout starts when it is.
            left = max(0.0, deadline - trio.current_time())
            scope.relative_deadline = min(scope.relative_deadline, left)
        else:
            scope.deadline = min(scope.deadline, deadline)
        if canceller is not None:
            scope.cancel(canceller.cancel_reason)

    @property
    def was_cut(self) -> bool:
        """Whether the scope was cancelled, and its body is being, or was, cut off by that."""
        scope = self._kept
        if scope is None:
            return False
        # The repr is the only public way to ask, from any thread, whether a scope is active and
        # cancelled: `cancel_called` also reads the clock, so it needs the scope's own run.
        return scope.cancelled_caught or "active, cancelled" in repr(scope)

    @property
    def is_over(self) -> bool:
        """Whether the scope was kept alive, and has been exited since."""
        return self._kept is not None and " exited" in repr(self._kept)


def new_scope(node: Node, *, counts: bool) -> trio.CancelScope:
    """Return a new scope attached to the node, with what is already in force applied.

    Raises:
      MisuseError: Not in a trio run.
    """
    try:
        token = trio.lowlevel.current_trio_token()
    except RuntimeError:
        raise MisuseError("a cancel scope can only be made inside a trio run") from None
    scope = trio.CancelScope()
    attachment = Attachment(node, token, scope, counts=counts)
    # Attach first, then look: a change in between is seen twice rather than never.
    node.tree.submit(_attach, attachment)
    for above in node.path():
        if above.limit is not None and token not in above.limit.by_run:
            _Tightening(above, token, above.limit.here(token)).submit()
    attachment.update()
    return scope


def limit(node: Node, timeout: float) -> None:
    """Give every scope of the subtree ``timeout`` seconds from now; never lengthen a deadline.

    Raises:
      ValueError: The timeout is negative or not a number.
    """
    if not timeout >= 0:
        raise ValueError(f"timeout must be a number of seconds, 0 or more, not {timeout!r}")
    token = deadline = None
    if trio.lowlevel.in_trio_run():
        # Read only the clock: a signal handler may have interrupted trio in mid-change.
        token = trio.lowlevel.current_trio_token()
        deadline = trio.current_time() + timeout
    request = _LimitRequest(
        node=node,
        timeout=timeout,
        until=time.monotonic() + timeout,
        token=token,
        deadline=deadline,
    )
    node.tree.submit(_limit, request)


def cancel(node: Node, reason: str | None, cuts: tuple[Cut, ...]) -> None:
    """Cancel every scope of the subtree, present and future. Only the first call has an effect."""
    node.tree.submit(_cancel, (node, reason, cuts))


def cut(what: Cut) -> None:
    """Record what was cut off, at its node and at every stopped ancestor."""
    what.node.tree.submit(_cut, what)


@final
class Cut(NamedTuple):
    """What was cut off, the lowest node that records it, and why."""

    node: Node
    entries: tuple[GuardEntry, ...]
    reason: str | None


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class _LimitRequest:
    """A ``shut_down(timeout)``: its timeout, and its deadline in the calling trio run, if any."""

    node: Node
    timeout: float
    until: float
    token: trio.lowlevel.TrioToken | None
    deadline: float | None

    def apply(self, token: trio.lowlevel.TrioToken, scopes: tuple[Attached, ...]) -> None:
        """Fix the deadline in this run, and apply it."""
        # In the calling run it is already fixed, and earlier than this.
        _Tightening(self.node, token, trio.current_time() + self.timeout).submit()
        _update_all(scopes)


@final
class _Tightening(NamedTuple):
    """A deadline that has become known in one run. It can only shorten the present one."""

    node: Node
    token: trio.lowlevel.TrioToken
    deadline: float

    def submit(self) -> None:
        self.node.tree.submit(_tighten, self)


def _update_all(scopes: tuple[Attached, ...]) -> None:
    for scope in scopes:
        scope.update()


def _by_run(node: Node) -> dict[trio.lowlevel.TrioToken, tuple[Attached, ...]]:
    runs: dict[trio.lowlevel.TrioToken, list[Attached]] = {}
    for attachment in node.scopes:
        runs.setdefault(attachment.token, []).append(attachment)
    return {token: tuple(scopes) for token, scopes in runs.items()}


# Operations, as in `_tree`.


def _attach(attachment: Attachment) -> None:
    *_, root = path = tuple(attachment.node.path())
    for node in path:
        node.scopes[attachment] = None
    # Sweep scopes that are over whenever their number has doubled: a server that runs for months
    # may cancel children every day.
    if len(root.scopes) >= root.sweep_at:
        for old in [old for old in root.scopes if old.is_over]:
            _forget(old)
        root.sweep_at = max(SWEEP_AT, 2 * len(root.scopes))


def _forget(attachment: Attached) -> None:
    was_cut = attachment.was_cut
    for node in attachment.node.path():
        node.scopes.pop(attachment, None)
        node.is_cut = node.is_cut or (was_cut and node.is_stopped)


def _limit(request: _LimitRequest) -> None:
    node = request.node
    if node.limit is None:
        node.limit = Limit()
    node.limit.until = min(node.limit.until, request.until)
    if request.token is not None and request.deadline is not None:
        _tighten(_Tightening(node, request.token, request.deadline))
    for token, scopes in _by_run(node).items():
        node.tree.later(run_soon, token, request.apply, token, scopes)


def _tighten(new: _Tightening) -> None:
    assert new.node.limit is not None
    by_run = new.node.limit.by_run
    by_run[new.token] = min(by_run.get(new.token, math.inf), new.deadline)


def _cancel(what: tuple[Node, str | None, tuple[Cut, ...]]) -> None:
    node, reason, cuts = what
    if node.is_cancelled:
        return
    node.cancel_reason = reason
    node.cancelled_at = time.monotonic()
    for one in cuts:
        _cut(one)
    for token, scopes in _by_run(node).items():
        node.tree.later(run_soon, token, _update_all, scopes)


def _cut(what: Cut) -> None:
    for node in what.node.path():
        if not node.is_stopped:
            # Its drain has not begun. A parent that runs for months would collect the cuts of all
            # its past children.
            return
        node.is_cut = True
        node.cut += what.entries
        node.cut_reason = node.cut_reason or what.reason
