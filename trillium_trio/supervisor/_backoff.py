"""How long to wait before a worker is started again."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Backoff"]

_FIRST_SECONDS: Final = 0.1
_MAX_SECONDS: Final = 10.0
_JITTER: Final = 0.2
# A worker that has served for this long has crashed for another reason than the last one.
_SETTLED_SECONDS: Final = 5.0


@final
class Backoff:
    """The pause after each crash in a row: none, then 0.1 s, doubled up to 10 s, with jitter.

    Args:
      chance: Returns a number from 0 to 1.

    Attributes:
      crashes: How many there were in a row.
    """

    def __init__(self, chance: Callable[[], float] = random.random) -> None:
        self.crashes = 0
        self._chance = chance

    def after(self, served: float | None) -> float:
        """Return the seconds to wait after a crash.

        Args:
          served: For how many seconds the worker was ready. None: it never was.
        """
        if served is not None and served >= _SETTLED_SECONDS:
            self.crashes = 0
        self.crashes += 1
        if self.crashes == 1 and served is not None:
            return 0.0
        pause = min(_FIRST_SECONDS * 2.0 ** min(self.crashes - 1, 32), _MAX_SECONDS)
        return pause * (1 + _JITTER * (2 * self._chance() - 1))
