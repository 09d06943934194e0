"""A few lines over time as an SVG, drawn by hand: no benchmark should need a library for that."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = ["chart"]

_WIDTH = 760
_PANEL = 110
_LEFT = 150
_TOP = 40
_GAP = 24


def chart(title: str, xs: Sequence[float], lines: Mapping[str, Sequence[float]], unit: str) -> str:
    """Draw one panel for each line, above one common axis.

    Each panel begins at zero: what grows by a hundredth should not look like a mountain.

    Args:
      title: Above all.
      xs: Ascending, at least one.
      lines: By name, one value for each of ``xs``.
      unit: Of ``xs``.
    """
    last = f"{xs[-1]:g} {escape(unit)}"
    height = _TOP + len(lines) * (_PANEL + _GAP) + 20
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}">',
            '<g font-family="sans-serif" font-size="12">',
            f'<rect width="{_WIDTH}" height="{height}" fill="white"/>',
            f'<text x="10" y="22" font-size="15">{escape(title)}</text>',
            *(
                element
                for index, (name, ys) in enumerate(lines.items())
                for element in _panel(_TOP + index * (_PANEL + _GAP), name, xs, ys)
            ),
            f'<text x="{_LEFT}" y="{height - 8}">{xs[0]:g}</text>',
            f'<text x="{_WIDTH - 10}" y="{height - 8}" text-anchor="end">{last}</text>',
            "</g></svg>\n",
        ]
    )


def _panel(top: float, name: str, xs: Sequence[float], ys: Sequence[float]) -> Iterator[str]:
    bottom = top + _PANEL
    most = max(ys) or 1.0
    width = xs[-1] - xs[0] or 1.0
    right = _WIDTH - 10
    points = " ".join(
        f"{_LEFT + (x - xs[0]) / width * (right - _LEFT):.1f},{bottom - y / most * _PANEL:.1f}"
        for x, y in zip(xs, ys, strict=True)
    )
    yield f'<path d="M{_LEFT} {top} V{bottom} H{right}" fill="none" stroke="gray"/>'
    yield f'<polyline points="{points}" fill="none" stroke="steelblue" stroke-width="1.5"/>'
    yield f'<text x="10" y="{top + _PANEL / 2}">{escape(name)}</text>'
    yield f'<text x="{_LEFT - 6}" y="{top + 10}" text-anchor="end">{most:,.0f}</text>'
    yield f'<text x="{_LEFT - 6}" y="{bottom}" text-anchor="end">0</text>'
