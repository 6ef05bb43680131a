"""Frame 0's search region, moved, mirrored, turned and blurred: more samples to learn from than one."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

SHIFTS = ((6, 6), (-6, 6), (6, -6), (-6, -6))
"""Rows and columns by which samples 1 to 4 are moved down and to the right, in pixels of the region."""

DROPPED = 7
"""Samples made from the first one's features by leaving out channels."""

_TURNS = (5, -5, 10, -10, 20, -20, 30, -30, 45, -45, -60, 60)
_BLURS = ((2, 0.2), (0.2, 2), (3, 1), (1, 3), (2, 2))
_DROPPED_SHARE = 0.2


def augmented(region: Floats) -> list[Floats]:
    """A region, float32 (side, side, 3), and 22 variants of it, of the same shape; the region itself is first."""
    side = region.shape[0]
    widest = max(abs(step) for shift in SHIFTS for step in shift)
    wide = np.pad(region, ((widest, widest), (widest, widest), (0, 0)), mode="edge")
    moved = [
        wide[widest - rows : widest - rows + side, widest - columns : widest - columns + side]
        for rows, columns in SHIFTS
    ]
    turned = [_turned(region, math.radians(degrees)) for degrees in _TURNS]
    blurred = [
        cv2.sepFilter2D(region, -1, _bell(columns), _bell(rows), borderType=cv2.BORDER_CONSTANT)
        for rows, columns in _BLURS
    ]
    mirrored = cv2.flip(region, 1)
    return [np.asarray(one, dtype=np.float32) for one in (region, *moved, mirrored, *turned, *blurred)]


def kept_channels(channels: int, generator: np.random.Generator) -> Floats:
    """Factors of each channel in the samples with channels left out, float32 (7, channels)."""
    kept = generator.random((DROPPED, channels)) >= _DROPPED_SHARE
    return (kept / (1 - _DROPPED_SHARE)).astype(np.float32)


def _turned(region: Floats, angle: float) -> cv2.typing.MatLike:
    """Turned around its middle, counter-clockwise for positive angles."""
    middle = (region.shape[0] - 1) / 2
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    matrix = np.column_stack([turn, middle - turn @ (middle, middle)])
    side = region.shape[0]
    return cv2.warpAffine(
        region, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )


def _bell(sigma: float) -> NDArray[np.float64]:
    """A Gaussian's weights up to two standard deviations; they sum to 1."""
    reach = math.ceil(2 * sigma)
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    return np.asarray(weights / weights.sum())
