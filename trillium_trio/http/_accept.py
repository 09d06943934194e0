"""What a client accepts: weights in Accept and Accept-Encoding (RFC 9110, 12.4.2 and 12.5)."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["accepted_codings", "media_weight"]

_WEIGHT = re.compile(r"[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)")


def media_weight(fields: Iterable[str], media_type: str) -> float:
    """Return how much a client wants a media type, from 0 (not at all) to 1.

    The most specific range that covers the type counts. Without Accept all types are equal.

    Args:
      fields: The values of the Accept fields.
      media_type: In lower case, without parameters.
    """
    weights = _weights(",".join(fields))
    if not weights:
        return 1.0
    for name in (media_type, f"{media_type.partition('/')[0]}/*", "*/*"):
        if name in weights:
            return weights[name]
    return 0.0


def accepted_codings(fields: Iterable[str], codings: tuple[str, ...]) -> tuple[str, ...]:
    """Return the content codings that a client accepts, the best first.

    Args:
      fields: The values of the Accept-Encoding fields.
      codings: Those that there are, in lower case, the preferred one first: the order among those
        of the same weight.
    """
    return _codings(",".join(fields), codings)


# Browsers send a handful of values.
@lru_cache(maxsize=128)
def _codings(field: str, codings: tuple[str, ...]) -> tuple[str, ...]:
    weights = _weights(field)
    other = weights.get("*", 0.0)
    weighed = [(weights.get(name, other), name) for name in codings]
    # Sorting keeps the order among those of the same weight.
    best = sorted(weighed, key=lambda each: -each[0])
    return tuple(name for weight, name in best if weight > 0)


def _weights(field: str) -> dict[str, float]:
    """Return the weight of each member; one whose weight is malformed counts as missing."""
    weights: dict[str, float] = {}
    for member in field.split(","):
        name, *parameters = (part.strip(" \t") for part in member.split(";"))
        weight = 1.0
        for parameter in parameters:
            if parameter[:2] in {"q=", "Q="}:
                found = _WEIGHT.fullmatch(parameter)
                weight = float(found[1]) if found else -1.0
        if name and weight >= 0:
            weights[name.lower()] = weight
    return weights
