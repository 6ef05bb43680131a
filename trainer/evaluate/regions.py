"""VOT's regions: rotated rectangles and polygons, and the overlap of two of them inside an image.

Overlap is the exact area of the polygons' intersection over that of their union, both cut at the image's border.
The VOT toolkit rounds coordinates to whole pixels and counts pixels instead: docs/evaluation.md says what that changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.errors import DataError
from datasets.rows import first_row_columns, parse_rows, read_bytes

Point = tuple[float, float]
Polygon = Sequence[Point]
"""Corners in order, in pixels; the last is joined to the first."""

_REMEDY = "Write x,y,w,h or a polygon x1,y1,x2,y2,x3,y3,... in each row; masks are not supported"


def read_polygons(path: Path, frames: int) -> list[Polygon]:
    """Read a ground truth of rectangles or polygons, one polygon per frame.

    Args:
        path: The file.
        frames: Of the sequence; rows beyond have no image, and are left out as the dataset's reader leaves them out.

    Raises:
        DataError: If rows are neither, or a frame has no region: a tracker could not be restarted there.
    """
    data = read_bytes(path)
    columns = first_row_columns(data)
    if columns != 4 and (columns < 6 or columns % 2):
        raise DataError(path, f"{columns} values are no rectangle or polygon", _REMEDY, 1)
    rows = parse_rows(data, path, columns, remedy=_REMEDY)[:frames].astype(np.float64)
    absent = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if absent.size:
        remedy = (
            "The supervised experiment restarts trackers anywhere: use a short-term challenge's sequences"
        )
        raise DataError(path, "the target has no region", remedy, int(absent[0]) + 1)
    return [polygon(row) for row in rows]


def polygon(values: ArrayLike) -> Polygon:
    """A rectangle (x, y, w, h) or corners (x1, y1, x2, y2, ...) as a polygon."""
    v = np.asarray(values, np.float64)
    if len(v) == 4:
        x, y, w, h = v.tolist()
        return [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
    return [(x, y) for x, y in v.reshape(-1, 2).tolist()]


def corners(region: Polygon) -> NDArray[np.float64]:
    """x1, y1, x2, y2, ... of a polygon, (2 n,)."""
    return np.array(region, np.float64).ravel()


def region_overlap(a: Polygon, b: Polygon, size: tuple[float, float]) -> float:
    """Intersection over union of two polygons inside an image of `size` (width, height); 0 where both are empty.

    Raises:
        ValueError: If neither is convex.
    """
    image = polygon((0.0, 0.0, *size))
    one, other = clipped(a, image), clipped(b, image)
    if _is_convex(other):
        common = area(clipped(one, other))
    elif _is_convex(one):
        common = area(clipped(other, one))
    else:
        raise ValueError("the overlap of two polygons neither of which is convex is not supported")
    union = area(one) + area(other) - common
    return min(common / union, 1.0) if union > 0 else 0.0


def area(region: Polygon) -> float:
    """Area of a polygon that does not cross itself (the shoelace formula)."""
    return abs(_signed_area(region))


def clipped(region: Polygon, window: Polygon) -> Polygon:
    """The part of a polygon inside a convex one (Sutherland and Hodgman, Reentrant Polygon Clipping, CACM 1974).

    Parts of a polygon that is not convex may come out joined by edges that enclose nothing: the area is right.
    """
    if len(window) < 3:
        return []
    turn = 1.0 if _signed_area(window) > 0 else -1.0
    kept = list(region)
    for (x1, y1), (x2, y2) in zip(window, [*window[1:], window[0]], strict=True):
        subject, kept = kept, []
        # How far inside the window's edge each corner lies (times the edge's length).
        depths = [turn * ((x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)) for x, y in subject]
        for i, ((x, y), depth) in enumerate(zip(subject, depths, strict=True)):
            (px, py), before = subject[i - 1], depths[i - 1]
            if (depth >= 0) != (before >= 0):
                part = before / (before - depth)
                kept.append((px + part * (x - px), py + part * (y - py)))
            if depth >= 0:
                kept.append((x, y))
    return kept


def _signed_area(region: Polygon) -> float:
    return 0.5 * sum(
        x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in zip(region, [*region[1:], *region[:1]], strict=True)
    )


def _is_convex(region: Polygon) -> bool:
    turns = [
        (b[0] - a[0]) * (c[1] - b[1]) - (b[1] - a[1]) * (c[0] - b[0])
        for a, b, c in zip(region, [*region[1:], *region[:1]], [*region[2:], *region[:2]], strict=True)
    ]
    return all(t >= -1e-9 for t in turns) or all(t <= 1e-9 for t in turns)
