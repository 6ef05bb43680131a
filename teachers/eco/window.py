"""Windows of a frame for translation and scale; outside the image its border is replicated."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.geometry import rounded

Levels = NDArray[np.uint8]


@compiled
def cut(image: Levels, first: tuple[int, int], corner: tuple[int, int], step: int, out: Levels) -> None:
    """Copy a window out of the image that holds every `step`-th pixel of another one.

    Args:
        image: uint8 (H, W, C).
        first: Row and column of the first pixel that the decimated image keeps.
        corner: Row and column, in the decimated image, of the window's first pixel; may lie outside.
        step: 1 for the image itself.
        out: uint8 (rows, columns, C), or (rows, columns, 1): channel 2 alone. Overwritten.
    """
    height = (image.shape[0] - first[0] + step - 1) // step
    width = (image.shape[1] - first[1] + step - 1) // step
    rows, columns, channels = out.shape
    shown = 2 if channels == 1 else 0
    begin, end = min(max(-corner[1], 0), columns), max(min(width - corner[1], columns), 0)
    previous = -1
    for row in range(rows):
        at = min(max(corner[0] + row, 0), height - 1)
        if at == previous:
            for column in range(columns):
                for c in range(channels):
                    out[row, column, c] = out[row - 1, column, c]
            continue
        previous = at
        source, target = image[first[0] + at * step], out[row]
        for column in range(begin):
            x = first[1] + min(max(corner[1] + column, 0), width - 1) * step
            for c in range(channels):
                target[column, c] = source[x, c + shown]
        if step == 1 and channels == image.shape[2]:
            # Number by number: see `datasets.compiled`.
            x = first[1] + corner[1]
            for column in range(begin, end):
                for c in range(channels):
                    target[column, c] = source[x + column, c]
        else:
            x = first[1] + (corner[1] + begin) * step
            if channels == 1:
                for column in range(begin, end):
                    target[column, 0] = source[x, shown]
                    x += step
            else:
                for column in range(begin, end):
                    target[column, 0] = source[x, 0]
                    target[column, 1] = source[x, 1]
                    target[column, 2] = source[x, 2]
                    x += step
        for column in range(end, columns):
            x = first[1] + min(max(corner[1] + column, 0), width - 1) * step
            for c in range(channels):
                target[column, c] = source[x, c + shown]


def search_window(
    image: Levels, position: tuple[float, float], scale: float, side: int, grey: bool
) -> Levels:
    """The search region around a position, resized to `side` pixels.

    A region of more than twice the side is read from every n-th pixel; what remains is bilinear.

    Args:
        image: uint8 (H, W, 3), BGR.
        position: Row and column of the target's centre, 0-based; rounded here.
        scale: Image pixels per region pixel.
        side: Side of the result.
        grey: Return one channel alone.

    Returns:
        uint8 (side, side, 3), or (side, side).
    """
    size = side * scale
    step = max(math.floor(size / side - 0.1), 1)
    centre = rounded(position[0]), rounded(position[1])
    first = centre[0] % step, centre[1] % step
    count = max(math.floor(size / step + 0.5), 2)
    before = (count + 1) // 2 - 1
    corner = (centre[0] - first[0]) // step - before, (centre[1] - first[1]) // step - before
    # A tiny image may have no pixel at the offset that the centre asks for.
    first = min(first[0], image.shape[0] - 1), min(first[1], image.shape[1] - 1)
    out = np.empty((count, count, 1 if grey else 3), dtype=np.uint8)
    cut(image, first, corner, step, out)
    return _resized(out, side, side, cv2.INTER_LINEAR)


def scale_windows(
    image: Levels,
    position: tuple[float, float],
    base: tuple[float, float],
    factors: NDArray[np.float64],
    model: tuple[int, int],
    grey: bool,
) -> list[Levels]:
    """The target at several scales, each resized to the model's size.

    Args:
        image: uint8 (H, W, 3), BGR.
        position: Row and column of the target's centre, 0-based.
        base: Height and width of the target at scale 1.
        factors: Scales, float64 (S,).
        model: Height and width of the results.
        grey: Return one channel alone.

    Returns:
        S windows, uint8 (height, width, 3) or (height, width).
    """
    step = max(math.floor(factors.min()), 1)
    row, column = math.floor(position[0] / step) + 1, math.floor(position[1] / step) + 1
    sizes = [
        (max(math.floor(base[0] * factor), 1), max(math.floor(base[1] * factor), 1))
        for factor in (factors / step).tolist()
    ]
    # One pixel of the image may belong to all windows: they are parts of the largest one.
    above, left = max(h // 2 for h, _ in sizes), max(w // 2 for _, w in sizes)
    below, right = max(h - h // 2 for h, _ in sizes), max(w - w // 2 for _, w in sizes)
    largest = np.empty((above + below, left + right, 1 if grey else 3), dtype=np.uint8)
    cut(image, (0, 0), (row - above, column - left), step, largest)
    windows = []
    for height, width in sizes:
        top, first = above - height // 2, left - width // 2
        part = largest[top : top + height, first : first + width]
        # The published wrapper compares the model's width with the window's height.
        how = cv2.INTER_LINEAR if model[1] > height else cv2.INTER_AREA
        windows.append(_resized(part, model[0], model[1], how))
    return windows


def _resized(window: Levels, height: int, width: int, how: int) -> Levels:
    """Resize; a window of one channel loses its last axis."""
    source = window[:, :, 0] if window.shape[2] == 1 else window
    if source.shape[:2] == (height, width):
        return np.ascontiguousarray(source)
    return np.asarray(cv2.resize(source, (width, height), interpolation=how), dtype=np.uint8)
