"""State that handlers share with each other."""

from __future__ import annotations

from typing import Any, TypeVar, final

__all__ = ["TypeMap"]

T = TypeVar("T")


@final
class TypeMap:
    """Holds at most one value per type.

    The key is the exact type: a value is not found under its base classes. Wrap values that would
    collide, such as two strings, in separate types.
    """

    __slots__ = ("_values",)

    def __init__(self) -> None:
        self._values: dict[type, Any] = {}  # Any: of the type that is the key

    def insert(self, value: T) -> T | None:
        """Store ``value`` under its type and return the one that it replaces."""
        kind = type(value)
        old: T | None = self._values.get(kind)
        self._values[kind] = value
        return old

    def get(self, kind: type[T]) -> T | None:
        """Return the value of this type, or None."""
        return self._values.get(kind)

    def take(self, kind: type[T]) -> T | None:
        """Remove the value of this type and return it, or None."""
        value: T | None = self._values.pop(kind, None)
        return value

    def __contains__(self, kind: object) -> bool:
        return kind in self._values

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        names = ", ".join(kind.__name__ for kind in self._values)
        return f"<TypeMap {names or 'empty'}>"
