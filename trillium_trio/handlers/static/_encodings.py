"""Which precompressed form of a file a client takes."""

from __future__ import annotations

import re
from functools import lru_cache

__all__ = ["SUFFIXES", "accepted_encodings"]

SUFFIXES = {"zstd": ".zst", "br": ".br", "gzip": ".gz"}
"""The content codings that files may have beside them, the preferred one first."""

# RFC 9110, 12.5.3 and 12.4.2.
_MEMBER = re.compile(r"\s*([^\s;,]+)\s*(?:;\s*[qQ]=(0(?:\.\d{0,3})?|1(?:\.0{0,3})?)\s*)?")


# Browsers send a handful of values.
@lru_cache(maxsize=128)
def accepted_encodings(text: str) -> tuple[str, ...]:
    """Return the codings of `SUFFIXES` that an Accept-Encoding field allows, the best first.

    A member that is malformed counts as missing, and a coding with ``q=0`` is not allowed.
    """
    weights: dict[str, float] = {}
    for member in text.lower().split(","):
        found = _MEMBER.fullmatch(member)
        if found is not None:
            weights[found[1]] = float(found[2] or 1)
    other = weights.get("*", 0.0)
    weighed = [(weights.get(name, other), name) for name in SUFFIXES]
    # Sorting keeps our order among those of the same weight.
    best = sorted(weighed, key=lambda each: -each[0])
    return tuple(name for weight, name in best if weight > 0)
