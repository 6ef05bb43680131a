"""The square that ECO searches around a target, whatever its features are."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class SearchRegion:
    """A square search region around a target, in pixels at scale 1 unless said otherwise.

    Attributes:
        side: Side of the region; the features say which there are.
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

    def radians(self, rows: float, columns: float) -> tuple[float, float]:
        """A move in pixels of the region, as radians of the region."""
        return 2 * math.pi * rows / self.side, 2 * math.pi * columns / self.side


def fitted(
    target: tuple[float, float], share: float, sides: tuple[float, float]
) -> tuple[float, tuple[float, float], float]:
    """Choose the scale at which a target is searched.

    Args:
        target: Height and width of the target in frame 0, in image pixels.
        share: The region's area in areas of the target.
        sides: The smallest and the largest side of a region; what is smaller is enlarged, what is larger reduced.

    Returns:
        Image pixels per region pixel, the target's height and width in the region, and the region's side before it
        is brought to whole cells.
    """
    area = share * target[0] * target[1]
    scale = math.sqrt(area / min(max(area, sides[0] ** 2), sides[1] ** 2))
    base = (target[0] / scale, target[1] / scale)
    return scale, base, math.sqrt(share * base[0] * base[1])
