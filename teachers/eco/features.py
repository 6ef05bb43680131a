"""The two feature maps of a search region, normalised: colour classes and FHOG."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.geometry import COLOUR_CELL, HOG_CELL, Geometry
from teachers.features.colour_fhog import ColourFHOG
from teachers.features.colours import ColourTable, colour_cells, grey_cells
from teachers.features.fhog import CHANNELS, FHOG, LANES

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]

_LANES = 64


@dataclass(frozen=True)
class Noise:
    """Relative noise on HOG's values: another outcome of the same tracker, for judging it by means.

    Attributes:
        level: Standard deviation.
        generator: One video's own.
    """

    level: float
    generator: np.random.Generator

    def disturb(self, values: Floats) -> None:
        """Multiply each value by a number near 1."""
        drawn = self.generator.standard_normal(values.shape, dtype=np.float32)
        values *= 1 + np.float32(self.level) * drawn


@dataclass(frozen=True)
class Map:
    """One feature map, not yet scaled.

    Attributes:
        values: float32 (n, n, lanes); a buffer that the next frame overwrites.
        scale: Factor that makes the mean square of a value 1.
    """

    values: Floats
    scale: np.float32


class Features:
    """Computes both maps; its buffers are reused.

    Args:
        geometry: The search region.
        table: What the colours (or, where `grey`, the grey levels) contribute.
        grey: Whether the video has no colour.
        noise: Noise on HOG, or None.

    Attributes:
        channels: Channels of colour and HOG maps, before projection.
        ranks: Dimensions that they span.
    """

    def __init__(self, geometry: Geometry, table: ColourTable, grey: bool, noise: Noise | None) -> None:
        self._fhog = (FHOG if grey else ColourFHOG)(geometry.side, geometry.side, HOG_CELL)
        self._average = grey_cells if grey else colour_cells
        self._table, self._noise = table.values, noise
        n, small = geometry.colour_grid, geometry.hog_grid
        self._colour = np.empty((n, n, table.channels), dtype=np.float32)
        self._hog = np.empty((small, small, LANES), dtype=np.float32)
        self._ones = np.ones((small, small), dtype=np.float32)
        self.channels = (table.channels, CHANNELS)
        self.ranks = (table.rank, CHANNELS)

    def __call__(self, window: Levels) -> tuple[Map, Map]:
        """Compute the maps of a search window, uint8 (side, side[, 3]): colour and HOG."""
        self._average(window, self._table, COLOUR_CELL, self._colour)
        self._fhog(window, self._ones, self._hog)
        if self._noise is not None:
            self._noise.disturb(self._hog)
        colour, hog = (
            Map(values, _scale(values, rank))
            for values, rank in zip((self._colour, self._hog), self.ranks, strict=True)
        )
        return colour, hog


def _scale(values: Floats, rank: int) -> np.float32:
    """Factor that brings the sum of squares to the number of values."""
    count = values.shape[0] * values.shape[1] * rank
    return np.float32(math.sqrt(count / (_energy(values.reshape(-1)) + 1e-10)))


@compiled
def _energy(values: Floats) -> float:
    """Sum of squares, in lanes."""
    totals = np.zeros(_LANES, np.float64)
    whole = values.size // _LANES * _LANES
    for start in range(0, whole, _LANES):
        part = values[start : start + _LANES]
        for lane in range(_LANES):
            totals[lane] += np.float64(part[lane] * part[lane])
    for i in range(whole, values.size):
        totals[0] += np.float64(values[i] * values[i])
    return float(totals.sum())
