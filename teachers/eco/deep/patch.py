"""Search regions cut out of a frame; outside the image its border is replicated."""

from __future__ import annotations

import math
from typing import Literal, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from teachers.base import Image
from teachers.eco.window import cut

Floats = NDArray[np.float32]

Division = Literal["floor", "true"]
"""How the published code, whose crop is computed in integers, divides: see `square`."""


class Square(NamedTuple):
    """Pixels of an image, or every n-th pixel; beyond the border they repeat it.

    Attributes:
        step: n.
        first: Row and column of the image's first pixel that counts.
        begin: Row and column of the square's first pixel, counted in such pixels.
        end: Row and column after its last one.
    """

    step: int
    first: tuple[int, int]
    begin: tuple[int, int]
    end: tuple[int, int]

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.end[0] - self.begin[0], self.end[1] - self.begin[1]

    def of(self, image: Image) -> Image:
        """The pixels, uint8 (rows, columns, 3)."""
        out = np.empty((*self.shape, 3), dtype=np.uint8)
        # A tiny image may have no pixel at the offset that the centre asks for.
        first = min(self.first[0], image.shape[0] - 1), min(self.first[1], image.shape[1] - 1)
        cut(image, first, self.begin, self.step, out)
        return out


def square(centre: tuple[float, float], size: float, side: int, division: Division) -> Square:
    """What is read of an image around a position; of a region of more than twice the side every n-th pixel.

    Args:
        centre: Row and column, 0-based; cut to whole pixels.
        size: Side of the square, in image pixels.
        side: Pixels along a side that it is to be resized to.
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
    return Square(step, first, (begin[0], begin[1]), (end[0], end[1]))


def patch(image: Image, read: Square, side: int) -> Floats:
    """A square resized bilinearly, float32 (side, side, 3), 0 to 255."""
    values = read.of(image).astype(np.float32)
    if values.shape[:2] == (side, side):
        return values
    return np.asarray(cv2.resize(values, (side, side), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
