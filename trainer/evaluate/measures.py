"""What is measured on a frame (overlap, centre errors), and the shares of frames that pass a threshold.

All videos are measured at once: their frames lie end to end in one array, and a histogram over (video, threshold)
takes the place of a comparison with every threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.boxes import Overlaps, centres, overlap

Counts = NDArray[np.int64]
"""Numbers of frames, int64 (videos, thresholds)."""

CENTRE_THRESHOLDS: NDArray[np.float64] = np.arange(51.0)
"""Centre errors in pixels at which precision is measured; the precision score is the one at 20."""

_CHUNK = 8192
"""Frames measured at once: what lies between their boxes and the measures then stays in the processor's cache."""

NORMALISED_THRESHOLDS: NDArray[np.float64] = np.linspace(0, 0.5, 51)
"""Centre errors in target sizes at which normalised precision is measured."""


def overlap_thresholds(count: int) -> NDArray[np.float64]:
    """Thresholds of a success plot, evenly from 0 to 1."""
    return np.linspace(0, 1, count)


@dataclass(frozen=True, eq=False)
class FrameMeasures:
    """What is measured on each of N frames.

    Attributes:
        overlap: Intersection over union, (N,) in [0, 1]; 0 where either box is not valid.
        centre_error: Distance of the centres in pixels, (N,); NaN where a box is.
        normalised_error: The same with x in target widths and y in target heights (at least a pixel).
    """

    overlap: Overlaps
    centre_error: NDArray[np.float64]
    normalised_error: NDArray[np.float64]


def measured(boxes: ArrayLike, truth: ArrayLike) -> FrameMeasures:
    """Measure a tracker's boxes (N, 4) against the ground truth (N, 4).

    Toolkits take x + (w - 1) / 2 for a centre: in a difference of centres the half pixel drops out.
    """
    a, b = np.asarray(boxes), np.asarray(truth)
    found = FrameMeasures(*(np.empty(len(a)) for _ in range(3)))
    with np.errstate(invalid="ignore"):  # a broken tracker may write inf
        for start in range(0, len(a), _CHUNK):
            part = slice(start, start + _CHUNK)
            apart = centres(a[part]) - centres(b[part])
            relative = apart / np.maximum(b[part, 2:], 1.0)
            found.overlap[part] = overlap(a[part], b[part])
            found.centre_error[part] = np.hypot(apart[:, 0], apart[:, 1])
            found.normalised_error[part] = np.hypot(relative[:, 0], relative[:, 1])
    return found


def above(
    values: NDArray[np.float64], video: NDArray[np.int64], videos: int, at: NDArray[np.float64]
) -> Counts:
    """How many frames of each video have a value strictly above each threshold.

    Args:
        values: (N,), without NaN.
        video: (N,), the number of each frame's video.
        videos: How many videos there are.
        at: Thresholds in ascending order.
    """
    passed = np.searchsorted(at, values, side="left")  # how many thresholds lie below the value
    table = _histogram(passed, video, videos, len(at) + 1)
    return np.cumsum(table[:, ::-1], axis=1)[:, ::-1][:, 1:]


def within(
    errors: NDArray[np.float64], video: NDArray[np.int64], videos: int, at: NDArray[np.float64]
) -> Counts:
    """How many frames of each video have an error at or below each threshold; NaN is above all of them."""
    first = np.searchsorted(at, errors, side="left")
    return np.cumsum(_histogram(first, video, videos, len(at) + 1), axis=1)[:, :-1]


def _histogram(bins: NDArray[np.intp], video: NDArray[np.int64], videos: int, width: int) -> Counts:
    counted = np.bincount(video * width + bins, minlength=videos * width)
    return counted.reshape(videos, width).astype(np.int64)
