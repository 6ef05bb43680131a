"""Bounding boxes: one implementation of overlap, centres and conversions for everybody.

A box is (x, y, w, h): the top-left corner and the size, in pixels, 0-based, where pixel i covers [i, i + 1).
Arrays of boxes have shape (..., 4); stored boxes are float32, arithmetic on them is float64.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float32]
"""Boxes as they are kept, shape (..., 4)."""

Overlaps = NDArray[np.float64]
"""Intersection over union, shape (...), in [0, 1]."""


def as_boxes(values: ArrayLike) -> Boxes:
    """Return boxes as float32 of shape (..., 4).

    Raises:
        ValueError: If the last dimension is not 4.
    """
    boxes = np.asarray(values, dtype=np.float32)
    if boxes.ndim == 0 or boxes.shape[-1] != 4:
        raise ValueError(f"boxes have shape (..., 4), not {boxes.shape}")
    return boxes


def is_valid(boxes: ArrayLike) -> NDArray[np.bool_]:
    """Tell which boxes are finite and have a positive width and height, shape (...)."""
    b = np.asarray(boxes, dtype=np.float64)
    valid: NDArray[np.bool_] = np.isfinite(b).all(axis=-1) & (b[..., 2] > 0) & (b[..., 3] > 0)
    return valid


def overlap(a: ArrayLike, b: ArrayLike) -> Overlaps:
    """Intersection over union of two arrays of boxes, broadcast against each other (paper, Eq. 1).

    There is no "+1 pixel" and no clipping to the image, as in the authors' own code. Where either box is
    not valid (NaN, or without area: an absent target is written as (-1, -1, -1, -1) or zeros) it is 0.

    Returns:
        float64 of the broadcast shape without the last dimension.
    """
    p = np.asarray(a, dtype=np.float64)
    q = np.asarray(b, dtype=np.float64)
    if p.shape == q.shape == (4,):
        single: Overlaps = np.minimum(_overlap_of_two(*p.tolist(), *q.tolist()), 1.0)
        return single
    left = np.maximum(p[..., 0], q[..., 0])
    top = np.maximum(p[..., 1], q[..., 1])
    right = np.minimum(p[..., 0] + p[..., 2], q[..., 0] + q[..., 2])
    bottom = np.minimum(p[..., 1] + p[..., 3], q[..., 1] + q[..., 3])
    intersection = np.maximum(right - left, 0.0) * np.maximum(bottom - top, 0.0)
    union = p[..., 2] * p[..., 3] + q[..., 2] * q[..., 3] - intersection
    both = is_valid(p) & is_valid(q)
    result: Overlaps = np.where(both, intersection / np.where(both, union, 1.0), 0.0)
    # A box and itself may come out a rounding above 1 (right - left is not exactly w).
    return np.minimum(result, 1.0)


def _overlap_of_two(
    x: float, y: float, w: float, h: float, other_x: float, other_y: float, other_w: float, other_h: float
) -> float:
    """The same numbers for two boxes alone, as a video's frames ask for them, in a sixth of NumPy's time."""
    if not (w > 0 and h > 0 and other_w > 0 and other_h > 0):
        return 0.0
    if not all(map(math.isfinite, (x, y, w, h, other_x, other_y, other_w, other_h))):
        return 0.0
    across = min(x + w, other_x + other_w) - max(x, other_x)
    down = min(y + h, other_y + other_h) - max(y, other_y)
    intersection = max(across, 0.0) * max(down, 0.0)
    union = w * h + other_w * other_h - intersection
    return intersection / union if union else math.nan  # areas too small for a float


def centres(boxes: ArrayLike) -> NDArray[np.float64]:
    """Centres (x + w/2, y + h/2), shape (..., 2)."""
    b = np.asarray(boxes, dtype=np.float64)
    result: NDArray[np.float64] = b[..., :2] + b[..., 2:] / 2
    return result


def to_corners(boxes: ArrayLike) -> NDArray[np.float64]:
    """(x, y, w, h) to (left, top, right, bottom), shape (..., 4)."""
    b = np.asarray(boxes, dtype=np.float64)
    return np.concatenate([b[..., :2], b[..., :2] + b[..., 2:]], axis=-1)


def from_corners(corners: ArrayLike) -> NDArray[np.float64]:
    """(left, top, right, bottom) to (x, y, w, h), shape (..., 4)."""
    c = np.asarray(corners, dtype=np.float64)
    return np.concatenate([c[..., :2], c[..., 2:] - c[..., :2]], axis=-1)


def scaled(boxes: ArrayLike, factor: float) -> NDArray[np.float64]:
    """Boxes with the same centres, `factor` times as wide and high, shape (..., 4)."""
    b = np.asarray(boxes, dtype=np.float64)
    size = b[..., 2:] * factor
    return np.concatenate([centres(b) - size / 2, size], axis=-1)


def hull(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """The smallest boxes that contain both, shape (..., 4)."""
    p, q = to_corners(a), to_corners(b)
    return from_corners(
        np.concatenate([np.minimum(p[..., :2], q[..., :2]), np.maximum(p[..., 2:], q[..., 2:])], axis=-1)
    )


def enclosing(polygons: ArrayLike) -> NDArray[np.float64]:
    """Axis-aligned boxes around polygons (x1, y1, x2, y2, ...) of shape (..., 2 n); returns (..., 4)."""
    p: NDArray[Any] = np.asarray(polygons, dtype=np.float64)
    points = p.reshape(*p.shape[:-1], -1, 2)
    return from_corners(np.concatenate([points.min(axis=-2), points.max(axis=-2)], axis=-1))
