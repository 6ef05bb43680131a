"""Boxes as outlines in colours and strokes of their own, for people who tell colours apart and for those who do not.

The colours are Okabe and Ito's; teachers differ in how their lines are broken as well, and the ground truth
is white and unbroken.
"""

from __future__ import annotations

from collections.abc import Iterator

from PIL import ImageDraw

Colour = tuple[int, int, int]
"""RGB."""

TRUTH: Colour = (255, 255, 255)
COLOURS: tuple[Colour, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
)
STROKES = ((12, 4), (7, 7), (3, 4))
"""Pixels of line and of gap. With the colours, 21 teachers look different."""

RIM: Colour = (0, 0, 0)

Place = tuple[float, float, float, float]
"""(x, y, w, h) in pixels of a picture."""


def outline(draw: ImageDraw.ImageDraw, *boxes: tuple[int | None, Place]) -> None:
    """Draw rectangles of two pixels' line with a dark rim, so that they are seen on any ground.

    No rim covers a line, and broken lines show what lies beneath, so that of boxes that coincide all are seen.

    Args:
        draw: Where.
        boxes: Number of the teacher, None for the ground truth, and its box; the lines' middles lie on its edges.
            Later boxes lie over earlier ones.
    """
    edges = [(k, (round(x), round(y), round(x + w), round(y + h))) for k, (x, y, w, h) in boxes]
    for _, (left, top, right, bottom) in edges:
        draw.rectangle((left - 2, top - 2, right + 1, bottom + 1), outline=RIM, width=4)
    for k, (left, top, right, bottom) in edges:
        colour = TRUTH if k is None else COLOURS[k % len(COLOURS)]
        for a, b in _pieces(left - 1, right, k):
            draw.rectangle((a, top - 1, b, top), fill=colour)
            draw.rectangle((a, bottom - 1, b, bottom), fill=colour)
        for a, b in _pieces(top - 1, bottom, k):
            draw.rectangle((left - 1, a, left, b), fill=colour)
            draw.rectangle((right - 1, a, right, b), fill=colour)


def _pieces(first: int, last: int, teacher: int | None) -> Iterator[tuple[int, int]]:
    """First and last pixel of each piece of a line."""
    if teacher is None:
        yield first, last
        return
    line, gap = STROKES[teacher % len(STROKES)]
    for start in range(first, last + 1, line + gap):
        yield start, min(start + line - 1, last)
