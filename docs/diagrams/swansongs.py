"""A tree of swansongs: the stop flows down, the counts of guards add up."""

from __future__ import annotations

from .svg import Drawing, Kind

# Left edge, width, name, number of guards; the parent is drawn above.
SERVERS = [(70, 280, "the server on :8080", 2), (390, 280, "the server on :8443", 1)]
GUARDS: list[tuple[int, str, Kind]] = [
    (70, "GET /export", "good"),
    (214, "send_mail", "good"),
    (462, "POST /order", "good"),
]


def draw() -> Drawing:
    """Draw the parent on top, its children below, and at the bottom the guards."""
    drawing = Drawing(
        (740, 330),
        title="A tree of swansongs",
        description=(
            "A swansong shared by two servers. shut_down() on it flows down to both. Each guard "
            "counts at its own server and above: 2 and 1 make 3."
        ),
    )
    drawing.box((230, 50), (280, 56), ("Swansong()", "guard_count 3"), style="code strong")
    drawing.arrow((370, 18), (370, 48), style="signal")
    drawing.text((380, 26), "shut_down()", "notice")
    for x, width, name, count in SERVERS:
        middle = x + width / 2
        drawing.box((x, 162), (width, 56), (name, f"guard_count {count}"))
        foot = 370 + (middle - 370) * 0.5
        drawing.arrow((foot - 14, 107), (middle - 14, 160), style="signal")
        drawing.arrow((middle + 14, 161), (foot + 14, 108))
    for x, name, kind in GUARDS:
        drawing.box((x, 266), (136, 34), (name,), kind, style="code")
        drawing.arrow((x + 68, 265), (x + 68, 220))
    drawing.text((0, 136), "the stop", "notice")
    drawing.text((0, 152), "flows down", "notice")
    drawing.text((740, 136), "counts", "quiet", anchor="end")
    drawing.text((740, 152), "add up", "quiet", anchor="end")
    drawing.text((0, 288), "guards")
    drawing.text((370, 322), "complete: stopped, and the count is 0", "quiet", anchor="middle")
    return drawing
