"""A swansong and those below it that something is outstanding in, as a tree for people."""

from __future__ import annotations

from dataclasses import dataclass
from math import isinf
from time import monotonic
from typing import TYPE_CHECKING, final

from ._observe import observe
from ._swansong import node_of

if TYPE_CHECKING:
    from ._node import Node, Outstanding
    from ._report import GuardReport
    from ._swansong import Swansong

__all__ = ["Branch", "branch_of"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """One swansong in the tree.

    Attributes:
      name: Its name; None: it has none.
      stopped_for: Seconds since it or one above it was stopped; None: it is running.
      is_complete: Whether it is stopped and nothing is outstanding in it.
      guards: The guards that were taken at it, and not below it.
      below: Those below it with a guard, or with a server that is not over. No list is kept of any
        others, and they delay nothing.
    """

    name: str | None
    stopped_for: float | None
    is_complete: bool
    guards: GuardReport
    below: tuple[Branch, ...]


def branch_of(swansong: Swansong, *, stacks: bool = False) -> Branch:
    """Return the tree below a swansong, as it is now. Never waits.

    Args:
      swansong: The root.
      stacks: As for `Swansong.guard_report`.
    """
    root = node_of(swansong)
    guards: dict[Node, list[Outstanding]] = {}
    # Each node with those directly below it, in the order in which they are found.
    below: dict[Node, dict[Node, None]] = {root: {}}
    for claim in root.claims():
        if not claim.is_hold:
            guards.setdefault(claim.node, []).append(claim)
        node = claim.node
        while node not in below:
            below[node] = {}
            assert node.parent is not None, "claims are below the root"
            node = node.parent
        node = claim.node
        while node is not root and node.parent is not None:
            below[node.parent][node] = None
            node = node.parent

    def branch(node: Node) -> Branch:
        since = node.drains_since
        return Branch(
            name=node.name,
            stopped_for=None if isinf(since) else monotonic() - since,
            is_complete=node.is_complete,
            guards=observe(guards.get(node, ()), stacks=stacks),
            below=tuple(branch(each) for each in below[node]),
        )

    return branch(root)
