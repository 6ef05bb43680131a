"""Search regions cut out of a frame; outside the image its border is replicated."""

from __future__ import annotations

import math
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from teachers.base import Image
from teachers.eco.window import cut

Floats = NDArray[np.float32]

Division = Literal["floor", "true"]
"""How the published code, whose crop is computed in integers, divides: see `square`."""


def patch(image: Image, centre: tuple[float, float], size: float, side: int, division: Division) -> Floats:
    """A square around a position, resized bilinearly.

    Args:
        image: uint8 (H, W, 3), BGR.
        centre: Row and column, 0-based; cut to whole pixels.
        size: Side of the square, in image pixels.
        side: Side of the result.
        division: See `square`.

    Returns:
        float32 (side, side, 3), BGR, 0 to 255.
    """
    values = square(image, centre, size, side, division).astype(np.float32)
    if values.shape[:2] == (side, side):
        return values
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def square(image: Image, centre: tuple[float, float], size: float, side: int, division: Division) -> Image:
    """The pixels that `patch` resizes, uint8 (rows, columns, 3).

    A region of more than twice the side is read from every n-th pixel.

    Args:
        image: See `patch`, as for `centre`, `size` and `side`.
        centre: Of the square.
        size: Of the square.
        side: What it is resized to.
        division: "floor" is what PyTorch did with integers up to version 1.4, with which the published results
            were made. Since then the same code divides exactly ("true"): a square of even size that begins
            inside the image is then one pixel larger and half a pixel off.
    """
    step = max(int(size / side - 0.1), 1)
    at = (int(centre[0]), int(centre[1]))
    first = at[0] % step, at[1] % step
    count = max(round(size / step), 2)
    begin, end = [], []
    for place, offset in zip(at, first, strict=True):
        middle = (place - offset) // step
        if division == "floor":
            begin.append(middle - (count - 1) // 2)
            end.append(middle + count // 2 + 1)
        else:
            begin.append(math.trunc(middle - (count - 1) / 2))
            end.append(math.trunc(middle + count / 2 + 1))
    # A tiny image may have no pixel at the offset that the centre asks for.
    first = min(first[0], image.shape[0] - 1), min(first[1], image.shape[1] - 1)
    out = np.empty((end[0] - begin[0], end[1] - begin[1], 3), dtype=np.uint8)
    cut(image, first, (begin[0], begin[1]), step, out)
    return out
