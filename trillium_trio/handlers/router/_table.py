"""The table of routes: a trie of segments.

.. code-block:: text

    /            a node for each place; its children, in the order in which they are tried:
    |- users       literals   by their text, in a dict
    |  `- {id}
    |- {n}.gif     dynamic    text with parameters, and parameters with a converter
    |- {page}      plain      one str parameter
    |- {x:path}    rest       all that follows
    `- (mount)     mount      all that follows, and the place itself

A match visits each node at most once. So it takes at most as long as trying each route.
"""

from __future__ import annotations

from bisect import insort
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar, final

from ...exceptions import ConfigError
from ._template import decode_segments

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ._template import Segment, Template, Values

__all__ = ["Found", "Missed", "Table"]

T = TypeVar("T")


Found: TypeAlias = "tuple[T, Values, int | None]"
"""A route that matches: its target, the values of its parameters in their order, and how many
segments a mount has matched, which is None for a route."""

Missed: TypeAlias = frozenset[str]
"""No route matches: the methods of the routes that match the path."""

_NOTHING: Missed = frozenset()


@final
class _Node(Generic[T]):
    __slots__ = (
        "by_method",
        "dynamic",
        "explicit",
        "has_choice",
        "literals",
        "mount",
        "other",
        "plain",
        "rest",
    )

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.dynamic: list[_Dynamic[T]] = []
        self.plain: _Node[T] | None = None
        self.rest: _Node[T] | None = None
        self.mount: T | None = None
        # Whether it has children other than literals.
        self.has_choice: bool = False
        # Of the routes that end here. `other` takes all methods that have none of their own.
        self.by_method: dict[str, T] = {}
        self.explicit: dict[str, str] = {}
        self.other: T | None = None


@final
class _Dynamic(Generic[T]):
    __slots__ = ("child", "convert", "segment")

    def __init__(self, segment: Segment, child: _Node[T]) -> None:
        self.segment = segment
        self.child = child
        # Of a parameter alone, which needs no splitting. Any: as for `Values`.
        self.convert: Callable[[str], Any] | None = (
            segment.params[0].converter.parse if segment.is_whole else None
        )


@final
class Table(Generic[T]):
    """Routes, and the search for the most specific one.

    Args:
      head: Whether a route for GET takes HEAD, unless the same path has one for HEAD.
    """

    def __init__(self, *, head: bool) -> None:
        self._head = head
        self._root: _Node[T] = _Node()
        # The nodes of routes without parameters, by their path.
        self._static: dict[str, _Node[T]] = {}
        self.methods: set[str] = set()

    def add(self, methods: Iterable[str] | None, template: Template, target: T) -> None:
        """Add a route; ``methods`` None takes all that the same path has no other route for.

        Raises:
          ConfigError: There is such a route already, or one that it cannot be ordered with.
        """
        node = self._node(template.segments, template)
        text = template.text
        taken = node.explicit
        for method in ["*"] if methods is None else methods:
            if method in taken:
                raise ConfigError(f"{method} {text} is the same route as {method} {taken[method]}")
            taken[method] = text
            if method == "*":
                node.other = target
                continue
            self.methods.add(method)
            node.by_method[method] = target
            if method == "GET" and self._head:
                self.methods.add("HEAD")
                node.by_method.setdefault("HEAD", target)
        # A literal "%" is "%25" in a path.
        if not template.names and "%" not in text:
            self._static[text] = node

    def mount(self, template: Template, target: T) -> None:
        """Add a target for a path and all paths below it.

        Raises:
          ConfigError: There is one already, or the prefix cannot be ordered.
        """
        segments = template.segments
        node = self._node(segments[:-1] if segments[-1].text == "" else segments, template)
        if node.mount is not None:
            raise ConfigError(f"{template.text} is mounted twice")
        node.mount = target
        node.has_choice = True

    def find(self, method: str, path: str) -> Found[T] | Missed:
        """Return the most specific route for a method and a path that is not decoded yet."""
        whole = self._static.get(path)
        if whole is not None:
            target = whole.by_method.get(method) or whole.other
            if target is not None:
                return target, [], None
        segments = decode_segments(path)
        if segments is None:
            return _NOTHING
        values: Values = []
        seen: list[_Node[T]] = []
        found = _find(self._root, segments, 0, method, values, seen)
        if found is not None:
            target, depth = found
            return target, values, depth
        if not seen:
            return _NOTHING
        return frozenset(each for node in seen for each in node.by_method)

    def _node(self, segments: tuple[Segment, ...], template: Template) -> _Node[T]:
        node = self._root
        for segment in segments:
            node = _child(node, segment, template)
        return node


def _child(node: _Node[T], segment: Segment, template: Template) -> _Node[T]:
    text = segment.text
    if text is not None:
        return node.literals.setdefault(text, _Node())
    node.has_choice = True
    if segment.is_rest:
        node.rest = node.rest or _Node()
        return node.rest
    if segment.is_plain:
        node.plain = node.plain or _Node()
        return node.plain
    order = segment.order
    for each in node.dynamic:
        other = each.segment
        ours, theirs = segment.params, other.params
        if other.order == order and all(
            a.converter is b.converter for a, b in zip(ours, theirs, strict=True)
        ):
            return each.child
        is_tie = segment.is_whole and other.is_whole
        if is_tie and ours[0].converter.rank == theirs[0].converter.rank:
            raise ConfigError(
                f"{template.text}: both {segment} and {other} may match there; give one of their "
                "converters another rank"
            )
    child: _Node[T] = _Node()
    insort(node.dynamic, _Dynamic(segment, child), key=lambda each: each.segment.order)
    return child


# Flat, because each call costs a match 0.1 us; and by position, for the same reason.
def _find(  # noqa: C901, PLR0912, PLR0917
    node: _Node[T],
    segments: list[str],
    at: int,
    method: str,
    values: Values,
    seen: list[_Node[T]],
) -> tuple[T, int | None] | None:
    """Search below a node from the segment ``at``; note nodes that lack only the method."""
    count = len(segments)
    while at < count:
        segment = segments[at]
        literal = node.literals.get(segment)
        if not node.has_choice:
            if literal is None:
                return None
            node = literal
            at += 1
            continue
        kept = len(values)
        if literal is not None:
            found = _find(literal, segments, at + 1, method, values, seen)
            if found is not None:
                return found
            del values[kept:]
        for each in node.dynamic:
            if each.convert is None:
                parsed = each.segment.parse(segment)
                if parsed is None:
                    continue
                values += parsed
            else:
                if not segment:
                    continue
                try:
                    values.append(each.convert(segment))
                except ValueError:
                    continue
            found = _find(each.child, segments, at + 1, method, values, seen)
            if found is not None:
                return found
            del values[kept:]
        plain = node.plain
        if plain is not None and segment:
            values.append(segment)
            if node.rest is None and node.mount is None:
                # The last choice: no other has to be tried if it fails.
                node = plain
                at += 1
                continue
            found = _find(plain, segments, at + 1, method, values, seen)
            if found is not None:
                return found
            del values[kept:]
        if node.rest is not None:
            rest = "/".join(segments[at:])
            # An encoded slash would be a separator now.
            if rest.count("/") == count - at - 1:
                target = _ends_at(node.rest, method, seen)
                if target is not None:
                    values.append(rest)
                    return target, None
        return None if node.mount is None else (node.mount, at)
    target = _ends_at(node, method, seen)
    if target is not None:
        return target, None
    return None if node.mount is None else (node.mount, at)


def _ends_at(node: _Node[T], method: str, seen: list[_Node[T]]) -> T | None:
    target = node.by_method.get(method) or node.other
    if target is None and node.by_method:
        seen.append(node)
    return target
