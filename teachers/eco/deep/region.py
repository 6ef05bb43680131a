"""Sizes of deep ECO's search region, and the two kinds of features in it."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from teachers.eco.deep.network import DEEP_CHANNELS, DEEP_STRIDE, SHALLOW_CHANNELS, SHALLOW_STRIDE
from teachers.eco.fourier import label
from teachers.eco.regularisation import sparse_window
from teachers.eco.search_region import SearchRegion, fitted

Floats = NDArray[np.float32]

SCALES = tuple(1.02**k for k in range(-2, 3))
"""Relative scales that are searched in every frame."""

_AREA_SCALE = 4.5**2
_SIDES = 200.0, 250.0
_LEAST_TARGET = 10.0


@dataclass(frozen=True)
class Kind:
    """One kind of features and how it learns.

    Attributes:
        channels: Channels of the map.
        kept: Channels after projection.
        stride: Pixels per cell.
        rate: Weight of a new sample.
        sigma: Width of the response wanted, as a share of the target's size.
        share: Weight of its response in the sum.
        least: The spatial regulariser's value at the target's centre.
        edge: Its value at the target's sides, nearly.
        sparsity: Coefficients of the regulariser below this share of the largest are left out.
    """

    channels: int
    kept: int
    stride: int
    rate: float
    sigma: float
    share: float
    least: float
    edge: float
    sparsity: float

    def label(self, region: SearchRegion, n: int) -> Floats:
        """Series of the response wanted, float32 (2, coefficients), of n coefficients along a side."""
        sigma = n / region.side * math.sqrt(region.base[0] * region.base[1]) * self.sigma
        return label(n, n, sigma)

    def window(self, region: SearchRegion) -> NDArray[np.float64]:
        """The spatial regulariser's coefficients, see `sparse_window`."""
        # The window stands on an even number of pixels, half a pixel off their middle.
        places = np.arange(region.side, dtype=np.float64) - (region.side - 1) // 2
        return sparse_window(places, region.base, self.least, self.edge, self.sparsity)


KINDS = (
    Kind(SHALLOW_CHANNELS, 16, SHALLOW_STRIDE, 0.025, 1 / 16, 0.4, 1e-4, 1e-2, 0.05),
    Kind(DEEP_CHANNELS, 64, DEEP_STRIDE, 0.0075, 1 / 4, 0.6, 1e-3, 5e-2, 0.1),
)


def region(target: tuple[float, float], image: tuple[int, int]) -> SearchRegion:
    """Choose the search region for a target.

    The region's area is 4.5^2 times the target's, brought between 200^2 and 250^2 pixels by the scale; its
    side is 208 or 240, odd multiples of the deep features' stride.

    Args:
        target: Height and width of the target in frame 0, in image pixels.
        image: Height and width of the image.
    """
    scale, base, exact = fitted(target, _AREA_SCALE, _SIDES)
    # A large target's side is 250 up to rounding, a small one's 200: neither is near a tie.
    wanted = round(exact)
    side = wanted + DEEP_STRIDE - wanted % (2 * DEEP_STRIDE)
    return SearchRegion(
        side,
        base,
        scale,
        max(_LEAST_TARGET / base[0], _LEAST_TARGET / base[1]),
        min(image[0] / base[0], image[1] / base[1]),
    )
