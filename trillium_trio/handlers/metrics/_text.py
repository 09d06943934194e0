"""Figures as text: the format 0.0.4 of Prometheus, and OpenMetrics 1.0."""

from __future__ import annotations

from itertools import accumulate
from math import inf, isinf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ._figures import Family, Figures, Labels, Values

__all__ = ["OPEN_METRICS", "PLAIN", "render"]

PLAIN = "text/plain; version=0.0.4; charset=utf-8"
OPEN_METRICS = "application/openmetrics-text; version=1.0.0; charset=utf-8"

_ESCAPES = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


def render(figures: Figures, *, openmetrics: bool) -> str:
    """Return the figures as text; a metric that has no value yet is left out."""
    lines: list[str] = []
    for name, family in figures.families.items():
        if family.series:
            # In the older format the type is that of the sample, in the newer of the family.
            typed = f"{name}_total" if family.kind == "counter" and not openmetrics else name
            text = family.help.translate(_ESCAPES) if openmetrics else _plain_help(family.help)
            lines += [f"# HELP {typed} {text}", f"# TYPE {typed} {family.kind}"]
            for labels, values in family.series.items():
                lines += _samples(name, family, labels, values)
    if openmetrics:
        lines.append("# EOF")
    return "".join(f"{line}\n" for line in lines)


def _samples(name: str, family: Family, labels: Labels, values: Values) -> Iterator[str]:
    match family.kind:
        case "counter":
            yield f"{name}_total{_labels(labels)} {_number(values[0])}"
        case "gauge":
            yield f"{name}{_labels(labels)} {_number(values[0])}"
        case "histogram":
            *counts, total = values
            cumulated = list(accumulate(counts))
            for bound, count in zip((*family.bounds, inf), cumulated, strict=True):
                yield f"{name}_bucket{_labels((*labels, ('le', _bound(bound))))} {_number(count)}"
            yield f"{name}_count{_labels(labels)} {_number(cumulated[-1])}"
            yield f"{name}_sum{_labels(labels)} {_number(total)}"


def _labels(labels: Labels) -> str:
    inner = ",".join([f'{name}="{value.translate(_ESCAPES)}"' for name, value in labels])
    return f"{{{inner}}}" if inner else ""


def _plain_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")


def _number(value: float) -> str:
    if isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return "NaN" if value != value else repr(value)  # noqa: PLR0124 (true of NaN alone)


def _bound(bound: float) -> str:
    return "+Inf" if isinf(bound) else repr(float(bound))
