"""The tasks of a server: nurseries inside one another, and what runs in them."""

from __future__ import annotations

from .svg import Drawing

WIDTH = 740

# From outside in: the nursery, when it ends, and the tasks that run in it.
NURSERIES: list[tuple[str, str, list[tuple[str, str]]]] = [
    ("Server.serve", "returns when all below has ended", []),
    ("attendants nursery", "ends last", [("drain reports", "a line every report_interval")]),
    ("lifespans", "left in reverse order, within cleanup_timeout", []),
    (
        "services nursery",
        "cancelled when nobody is connected",
        [
            ("watchdog", "all timeouts of all connections"),
            ("poller", "receives for many at once"),
            ("services", "info.start_service"),
        ],
    ),
    (
        "connections nursery",
        "never cancelled as a whole",
        [
            ("connection", "one task for each: its exchanges, upgrade, close"),
            ("background work", "start_soon, guarded"),
        ],
    ),
    (
        "accept nursery",
        "cancelled when the listeners close",
        [("accept loop", "one for each listener")],
    ),
]


def draw() -> Drawing:
    """Draw each nursery as a frame around what it waits for."""
    heights = [34 + (52 if tasks else 0) for _, _, tasks in NURSERIES]
    height = sum(heights) + 10 * (len(NURSERIES) - 1)
    drawing = Drawing(
        (WIDTH, height + 2),
        title="The task tree of a server",
        description=(
            "Nurseries from outside in: attendants, services, connections, accept. Each is closed "
            "before the one around it: first nobody accepts, then nobody is connected, then "
            "services end, then lifespans are left."
        ),
    )
    top = 1.0
    for depth, ((name, ends, tasks), taken) in enumerate(zip(NURSERIES, heights, strict=True)):
        inset = 12 * depth + 1
        width = WIDTH - 2 * inset
        drawing.rect((inset, top), (width, height - 10 * depth - (top - 1)))
        drawing.text((inset + 12, top + 22), name, "strong")
        drawing.text((WIDTH - inset - 12, top + 22), ends, "quiet", anchor="end")
        each = (width - 24 - 12 * (len(tasks) - 1)) / max(len(tasks), 1)
        for number, (task, what) in enumerate(tasks):
            drawing.box(
                (inset + 12 + number * (each + 12), top + 32),
                (each, 44),
                (task, what),
                "good",
                style="",
            )
        top += taken
    return drawing
