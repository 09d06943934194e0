"""Just enough SVG: boxes, text and arrows, in colours that fit a light and a dark page.

Standing alone, as on a page that shows the repository, a picture follows the reader's system.
Inside a page of the documentation it takes the colours of the page, which `docs/_static/custom.css`
assigns.
"""

from __future__ import annotations

import math
from html import escape
from typing import Literal

Kind = Literal["plain", "good", "warn", "stop", "off"]
"""What a shape says by its colour."""

Anchor = Literal["start", "middle", "end"]

LIGHT = {
    "good": "#d2f0dc",
    "warn": "#fdeec2",
    "stop": "#fbdcd9",
    "stop-ink": "#b3261e",
    "ink": "#1f2328",
    "quiet": "#59636e",
    "line": "#818b98",
    "box": "#f6f8fa",
    "paper": "#ffffff",
}
DARK = {
    "good": "#1d4030",
    "warn": "#4a3c12",
    "stop": "#55231f",
    "stop-ink": "#ff8f86",
    "ink": "#e6edf3",
    "quiet": "#9aa4af",
    "line": "#6e7681",
    "box": "#1f252c",
    "paper": "#131416",
}


def _variables(colours: dict[str, str]) -> str:
    return " ".join(f"--{name}: {colour};" for name, colour in colours.items())


_STYLE = f"""
.diagram {{ {_variables(LIGHT)} }}
@media (prefers-color-scheme: dark) {{ .diagram {{ {_variables(DARK)} }} }}
.diagram {{ font: 13px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; }}
.diagram text {{ fill: var(--ink); }}
.diagram .quiet {{ fill: var(--quiet); font-size: 12px; }}
.diagram .notice {{ fill: var(--stop-ink); font-size: 12px; }}
.diagram .code {{ font-family: ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: 12px; }}
.diagram .strong {{ font-weight: 600; }}
.diagram rect, .diagram polygon.shape {{ stroke: var(--line); fill: var(--box); }}
.diagram .good {{ fill: var(--good); }} .diagram .warn {{ fill: var(--warn); }}
.diagram .stop {{ fill: var(--stop); }}
.diagram .off {{ fill: var(--paper); stroke-dasharray: 4 3; }}
.diagram .arrow {{ fill: none; stroke: var(--line); stroke-width: 1.5; }}
.diagram .head {{ fill: var(--line); }}
.diagram .arrow.signal {{ stroke: var(--stop-ink); }}
.diagram .head.signal {{ fill: var(--stop-ink); }}
.diagram .rule {{ stroke: var(--stop-ink); stroke-dasharray: 2 3; }}
"""

Point = tuple[float, float]


class Drawing:
    """Collects shapes, and renders them in the order in which they were added.

    Args:
      size: Width and height, in the units of all coordinates: pixels at full size.
      title: What the picture shows, for readers who hear it instead.
      description: The same in some sentences.
    """

    def __init__(self, size: tuple[int, int], *, title: str, description: str) -> None:
        self._size = size
        self._title = title
        self._description = description
        self._shapes: list[str] = []

    def text(self, at: Point, content: str, style: str = "", *, anchor: Anchor = "start") -> None:
        """Add a line of text; ``style`` names classes: quiet, notice, code, strong."""
        x, y = at
        self._shapes.append(
            f'<text x="{x:g}" y="{y:g}" class="{style}" text-anchor="{anchor}">'
            f"{escape(content, quote=False)}</text>"
        )

    def rect(self, at: Point, size: Point, kind: Kind = "plain") -> None:
        """Add a rectangle; ``at`` is its upper left corner."""
        (x, y), (width, height) = at, size
        self._shapes.append(
            f'<rect x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="5" '
            f'class="{kind}"/>'
        )

    def box(
        self,
        at: Point,
        size: Point,
        lines: tuple[str, ...],
        kind: Kind = "plain",
        *,
        style: str = "strong",
    ) -> None:
        """Add a rectangle with centred text: the first line in ``style``, the others quiet."""
        self.rect(at, size, kind)
        (x, y), (width, height) = at, size
        top = y + height / 2 + 4.5 - (len(lines) - 1) * 8
        for number, line in enumerate(lines):
            self.text(
                (x + width / 2, top + 16 * number),
                line,
                "quiet" if number else style,
                anchor="middle",
            )

    def polygon(self, *points: Point) -> None:
        """Add a closed shape in the colour of a box."""
        corners = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._shapes.append(f'<polygon class="shape" points="{corners}"/>')

    def rule(self, start: Point, end: Point) -> None:
        """Add a dotted line that marks a moment."""
        (x1, y1), (x2, y2) = start, end
        self._shapes.append(f'<line class="rule" x1="{x1:g}" y1="{y1:g}" x2="{x2:g}" y2="{y2:g}"/>')

    def arrow(self, *points: Point, style: str = "", both: bool = False) -> None:
        """Add a line through the points with a head at its end, or at both ends."""
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        self._shapes.append(f'<polyline class="arrow {style}" points="{path}"/>')
        self._head(points[-2], points[-1], style)
        if both:
            self._head(points[1], points[0], style)

    def _head(self, start: Point, end: Point, style: str) -> None:
        angle = math.atan2(end[1] - start[1], end[0] - start[0])
        corners = [end] + [
            (end[0] - 8 * math.cos(angle + turn), end[1] - 8 * math.sin(angle + turn))
            for turn in (-0.4, 0.4)
        ]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
        self._shapes.append(f'<polygon class="head {style}" points="{points}"/>')

    def render(self) -> str:
        """Return the picture as the text of an SVG file."""
        width, height = self._size
        shapes = "\n".join(self._shapes)
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" class="diagram" role="img" '
            f'viewBox="0 0 {width} {height}" width="{width}" height="{height}">\n'
            f"<title>{escape(self._title)}</title>\n<desc>{escape(self._description)}</desc>\n"
            f"<style>{_STYLE}</style>\n{shapes}\n</svg>\n"
        )
