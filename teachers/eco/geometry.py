"""Sizes of ECO's search region: its side in pixels, its grids, and the target inside it."""

from __future__ import annotations

import math
from dataclasses import dataclass

COLOUR_CELL = 4
HOG_CELL = 6
SCALE_STEP = 1.02

_AREA_SCALE = 16.0
_SMALLEST_SIDE, _LARGEST_SIDE = 150.0, 200.0
_LEAST_VISIBLE = 5.0


@dataclass(frozen=True)
class Geometry:
    """A square search region around a target, in pixels at scale 1 unless said otherwise.

    Attributes:
        side: Side of the region; one of 164, 174, 188, 198, 212.
        base: Height and width of the target in the region.
        scale: Image pixels per region pixel in frame 0.
        smallest: The smallest scale.
        largest: The largest scale.
    """

    side: int
    base: tuple[float, float]
    scale: float
    smallest: float
    largest: float

    @property
    def colour_grid(self) -> int:
        """Cells of colour along a side: odd."""
        return self.side // COLOUR_CELL

    @property
    def hog_grid(self) -> int:
        """Cells of HOG along a side: odd."""
        return self.side // HOG_CELL


def geometry(target: tuple[float, float], image: tuple[int, int]) -> Geometry:
    """Choose the search region for a target.

    The region's area is sixteen times the target's, brought between 150^2 and 200^2 pixels by the scale.

    Args:
        target: Height and width of the target in frame 0, in image pixels.
        image: Height and width of the image.
    """
    area = _AREA_SCALE * target[0] * target[1]
    scale = math.sqrt(area / min(max(area, _SMALLEST_SIDE**2), _LARGEST_SIDE**2))
    base = (target[0] / scale, target[1] / scale)
    # Every small target has a side of 150 up to rounding, and 150 / 12 is a tie: it goes up.
    wanted = math.sqrt(_AREA_SCALE * base[0] * base[1]) * (1 + 1e-12)
    first = (1 + 2 * math.floor(wanted / (2 * HOG_CELL) + 0.5)) * HOG_CELL
    side = max(range(first, first + 6), key=lambda s: (s // COLOUR_CELL) % 2 + (s // HOG_CELL) % 2)
    step = math.log(SCALE_STEP)
    return Geometry(
        side,
        base,
        scale,
        SCALE_STEP ** math.ceil(math.log(_LEAST_VISIBLE / side) / step),
        SCALE_STEP ** math.floor(math.log(min(image[0] / base[0], image[1] / base[1])) / step),
    )


def rounded(value: float) -> int:
    """The nearest integer to a 0-based coordinate; the 1-based one is rounded half away from zero."""
    one_based = value + 1
    return int(math.copysign(math.floor(abs(one_based) + 0.5), one_based)) - 1
