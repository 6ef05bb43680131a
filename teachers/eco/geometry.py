"""Sizes of hand-crafted ECO's search region: its side in pixels, and its grids."""

from __future__ import annotations

import math
from dataclasses import dataclass

from teachers.eco.search_region import SearchRegion, fitted

COLOUR_CELL = 4
HOG_CELL = 6
SCALE_STEP = 1.02

_AREA_SCALE = 16.0
_SIDES = 150.0, 200.0
_LEAST_VISIBLE = 5.0


@dataclass(frozen=True)
class Geometry(SearchRegion):
    """A search region whose side is 164, 174, 188, 198 or 212."""

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
    scale, base, wanted = fitted(target, _AREA_SCALE, _SIDES)
    # Every small target has a side of 150 up to rounding, and 150 / 12 is a tie: it goes up.
    wanted *= 1 + 1e-12
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
