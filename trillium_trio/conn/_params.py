"""What a router leaves on the conn: the route and its parameters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, final

from ._on_conn import OnConn

__all__ = ["Params"]


@final
class Params(OnConn, Mapping[str, Any], left_by="Router"):  # Any: a converter decides the type
    """The parameters of the route that a router has chosen, by name: ``Params.of(conn)["id"]``.

    They are decoded and converted. Those of the prefixes that the router is mounted at are among
    them. A handler in front of the router, such as a log, sees them in its ``before_send``, with
    ``conn.state(Params)``, which is None if no route was chosen.

    Attributes:
      template: The route's template, with those of the prefixes: a label for logs and metrics
        that has few values, unlike the path.
      name: The route's name, or None.
    """

    __slots__ = ("_values", "name", "template")

    def __init__(self, values: dict[str, Any], template: str, name: str | None) -> None:
        self._values = values
        self.template: str = template
        self.name: str | None = name

    def __getitem__(self, name: str) -> Any:  # Any: as above
        try:
            return self._values[name]
        except KeyError:
            there_are = ", ".join(self._values) or "none"
            raise KeyError(
                f"{self.template} has no parameter {name!r}; there are: {there_are}"
            ) from None

    def __contains__(self, name: object) -> bool:
        # That of `Mapping` would create the message above for each name that is missing.
        return name in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Params {self.template} {self._values!r}>"
