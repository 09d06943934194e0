"""The settings of a supervisor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from math import inf
from typing import final

from .._util import check_count, check_number
from ..exceptions import ConfigError

__all__ = ["SupervisorConfig", "parse_roll"]


@final
@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorConfig:
    """How many workers there are, and when one is replaced.

    Attributes:
      workers: How many.
      roll: How many are replaced at a time: a number of workers, or a share such as 25%.
        Default: 1. Prevents: a service without its capacity, or without memory, during a roll.
      start_timeout: How long a worker may take until it is ready. Default: 30. Unit: seconds.
        Prevents: a roll that waits for ever.
      worker_timeout: How long a worker may be silent before it is ended; 0: for ever. Default: 30.
        Unit: seconds. Prevents: requests that wait for a worker that hangs.
      max_requests: After how many requests, and up to a tenth more, a worker is replaced; 0: never.
        Default: 0. Prevents: memory that grows.
      max_rss: From how much resident memory on a worker is replaced; 0: never. Default: 0.
        Unit: MiB. Prevents: the end by the kernel when memory runs out.
      max_worker_age: After how long, and up to a tenth more, a worker is replaced; 0: never.
        Default: 0. Unit: seconds.
      max_crashes: After how many crashes of one worker in a row the supervisor ends; 0: it goes on.
        Default: 0. Prevents: a service that looks alive and is not.

    Raises:
      ConfigError: A value is out of range; the message names the field.
    """

    workers: int = 1
    roll: str = "1"
    start_timeout: float = 30.0
    worker_timeout: float = 30.0
    max_requests: int = 0
    max_rss: int = 0
    max_worker_age: float = 0.0
    max_crashes: int = 0

    def __post_init__(self) -> None:
        check_count("SupervisorConfig.workers", self.workers, least=1)
        parse_roll(self.roll, self.workers)
        check_number("SupervisorConfig.start_timeout", self.start_timeout, least=0.1)
        check_number("SupervisorConfig.worker_timeout", self.worker_timeout, least=0.0)
        check_count("SupervisorConfig.max_requests", self.max_requests, least=0)
        check_count("SupervisorConfig.max_rss", self.max_rss, least=0)
        check_number("SupervisorConfig.max_worker_age", self.max_worker_age, least=0.0)
        check_count("SupervisorConfig.max_crashes", self.max_crashes, least=0)

    @property
    def has_limits(self) -> bool:
        """Whether workers wear out."""
        return bool(self.max_requests or self.max_rss or self.max_worker_age)

    @property
    def silence(self) -> float:
        """The `worker_timeout`; ``inf`` where there is none."""
        return self.worker_timeout or inf


def parse_roll(text: str, workers: int) -> int:
    """Return how many workers are replaced at a time, at least one.

    Raises:
      ConfigError: It is neither a number nor a percentage.
    """
    number = text.removesuffix("%")
    if not (number.isascii() and number.isdigit() and 0 < len(number) <= 4 and int(number)):
        raise ConfigError(f"SupervisorConfig.roll must be a number or a percentage, not {text!r}")
    if number == text:
        return min(int(number), workers)
    return max(1, min(math.floor(workers * int(number) / 100), workers))
