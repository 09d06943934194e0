"""The states of one HTTP/1 connection."""

from __future__ import annotations

from .svg import Drawing

WIDTH, HEIGHT, GAP, TOP = 116, 52, 28, 120

# Name, what bounds it, what becomes of it at the stop (CN-1 to CN-8).
STATES = [
    ("IDLE", "idle_timeout", "grace, or closed"),
    ("HEAD", "head_timeout", "may finish"),
    ("HANDLER", "body_timeout", "runs on"),
    ("SENDING", "write_timeout", "runs to its end"),
    ("SENT", "after_send", "awaited"),
]


def left(column: int) -> float:
    """Return where a column begins."""
    return column * (WIDTH + GAP) + 2


def draw() -> Drawing:
    """Draw a cycle from left to right, the ways out of it downwards."""
    bottom = TOP + HEIGHT
    drawing = Drawing(
        (720, 430),
        title="The states of a connection",
        description=(
            "A connection is IDLE, reads a HEAD, is in the HANDLER, is SENDING and has SENT, and "
            "then is IDLE again or closes politely. A guard is held from HEAD to SENT, and in an "
            "upgrade. At the stop an idle connection closes after its grace; any other finishes."
        ),
    )
    drawing.rect((left(1) - 12, TOP - 36), (left(5) - left(1) - GAP + 24, 216), "good")
    drawing.text((left(1), TOP - 18), "a guard is held: one request in flight", "quiet")
    drawing.box((left(0), 4), (WIDTH + 16, HEIGHT), ("HANDSHAKE", "handshake_timeout"))
    drawing.text((left(0) + WIDTH + 26, 34), "with TLS", "quiet")
    for column, (name, limit, at_stop) in enumerate(STATES):
        drawing.box((left(column), TOP), (WIDTH, HEIGHT), (name, limit))
        drawing.text((left(column) + WIDTH / 2, bottom + 17), at_stop, "notice", anchor="middle")
        if column:
            y = TOP + HEIGHT / 2
            drawing.arrow((left(column) - GAP + 1, y), (left(column) - 1, y))
    middle = [left(column) + WIDTH / 2 for column in range(len(STATES))]
    drawing.arrow((middle[0], 57), (middle[0], TOP - 1))
    drawing.arrow(
        (middle[4] + 30, TOP), (middle[4] + 30, 68), (middle[0] + 30, 68), (middle[0] + 30, TOP - 1)
    )
    drawing.text((left(3), 60), "keep-alive: the next request", "quiet", anchor="middle")

    upgraded, ending = 226.0, 330.0
    drawing.box((left(2), upgraded), (WIDTH, 38), ("UPGRADED",))
    drawing.arrow((middle[2], bottom + 23), (middle[2], upgraded - 1))
    drawing.text((middle[2] + 8, bottom + 40), "101", "quiet")
    drawing.box(
        (left(1), ending),
        (left(5) - left(1) - GAP, HEIGHT),
        ("ENDING", "half-close, and read until the peer closes: linger_timeout"),
    )
    for column, start, text in (
        (1, bottom + 23, "408, 4xx"),
        (2, upgraded + 38, "done"),
        (3, bottom + 23, "failure, cut"),
        (4, bottom + 23, "close"),
    ):
        drawing.arrow((middle[column], start), (middle[column], ending - 1))
        drawing.text((middle[column] + 8, ending - 12), text, "quiet")
    drawing.box((left(0), ending), (WIDTH, HEIGHT), ("closed",), "off", style="quiet")
    drawing.arrow((middle[0], bottom + 23), (middle[0], ending - 1))
    drawing.text((middle[0] + 8, ending - 42), "timeout,", "quiet")
    drawing.text((middle[0] + 8, ending - 27), "peer, stop", "quiet")
    drawing.arrow((left(1) - 1, ending + HEIGHT / 2), (left(0) + WIDTH + 1, ending + HEIGHT / 2))
    drawing.text((left(0), 420), "In red: what happens to it at the stop.", "notice")
    return drawing
