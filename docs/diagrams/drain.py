"""The phases of a drain over time, and what each of them means for whom."""

from __future__ import annotations

from .svg import Drawing, Kind

# Where the phases begin and end, from left to right.
START, STOP, CLOSE, DEADLINE, CUT, CLEAN, END = 138, 226, 334, 506, 580, 668, 740

ROWS: list[tuple[str, list[tuple[int, int, str, Kind]]]] = [
    (
        "/readyz",
        [(START, STOP, "200", "good"), (STOP, CLOSE, "503", "warn"), (CLOSE, END, "", "off")],
    ),
    (
        "new connections",
        [
            (START, STOP, "accepted", "good"),
            (STOP, CLOSE, "accepted", "good"),
            (CLOSE, END, "refused, unless another process listens", "off"),
        ],
    ),
    (
        "idle connections",
        [
            (START, STOP, "kept", "good"),
            (STOP, CLOSE, "kept", "good"),
            (CLOSE, CLOSE + 104, "grace, closed", "warn"),
        ],
    ),
    (
        "responses say",
        [(START, STOP, "keep-alive", "good"), (STOP, CUT, "Connection: close", "warn")],
    ),
    (
        "requests and\nbackground work",
        [
            (START, STOP, "run", "good"),
            (STOP, DEADLINE, "run to their end", "good"),
            (DEADLINE, CUT, "503, cut", "stop"),
        ],
    ),
    (
        "services",
        [(START, CUT, "run until nobody is connected", "good"), (CUT, CLEAN, "cancelled", "stop")],
    ),
    (
        "lifespans",
        [(START, CUT, "open", "good"), (CUT, CLEAN, "cleaned up", "warn")],
    ),
]

MOMENTS = [(STOP, "the stop"), (CLOSE, "listeners close"), (DEADLINE, "deadline"), (CLEAN, "end")]
PHASES = [
    (START, STOP, "running"),
    (STOP, CLOSE, "drain_delay"),
    (CLOSE, DEADLINE, "draining"),
    (DEADLINE, CUT, "cut"),
    (CUT, CLEAN, "clean-up"),
]
LIMITS = [
    (STOP, CLOSE, "drain_delay"),
    (CLOSE, DEADLINE, "drain_timeout"),
    (CUT, CLEAN, "cleanup_timeout"),
]


def draw() -> Drawing:
    """Draw time from left to right, and one row for each thing that is affected."""
    drawing = Drawing(
        (760, 424),
        title="The ladder of a drain",
        description=(
            "From the stop on, readiness fails and responses say Connection: close. After "
            "drain_delay the listeners close; idle connections get a short grace and are closed; "
            "requests run to their end. Only at the deadline is what is left cut and answered 503. "
            "Then services are cancelled and lifespans left, and the server ends."
        ),
    )
    for x, name in MOMENTS:
        drawing.rule((x, 22), (x, 352))
        drawing.text((x, 14), name, "notice", anchor="middle")
    for begin, end, name in PHASES:
        drawing.text(((begin + end) / 2, 44), name, "strong", anchor="middle")
    for row, (label, bars) in enumerate(ROWS):
        top = 60 + 40 * row
        lines = label.split("\n")
        for number, line in enumerate(lines):
            y = top + 27.5 - 7.5 * len(lines) + 15 * number
            drawing.text((0, y), line, "code" if line.startswith("/") else "")
        for begin, end, text, kind in bars:
            drawing.rect((begin + 2, top), (end - begin - 4, 30), kind)
            drawing.text(
                ((begin + end) / 2, top + 19.5),
                text,
                "quiet" if kind == "off" else "",
                anchor="middle",
            )
    for begin, end, name in LIMITS:
        drawing.arrow((begin + 2, 366), (end - 2, 366), both=True)
        drawing.text(((begin + end) / 2, 384), name, "code", anchor="middle")
    drawing.text((0, 370), "at most", "quiet")
    drawing.text(
        (START, 414), "When everything has ended before the deadline, nothing is cut.", "quiet"
    )
    return drawing
