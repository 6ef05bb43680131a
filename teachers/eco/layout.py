"""How the two feature blocks, colour and HOG, lie in one vector.

All samples, filters and gradients are flat float32 vectors: the colour channels' series, then HOG's, each channel
its real and its imaginary plane. Colour has the larger grid, which is the response's; HOG's coefficients are
the middle of that grid.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from teachers.eco.fourier import Fourier, label
from teachers.eco.geometry import Geometry

Floats = NDArray[np.float32]

_LABEL_SIGMA = 1 / 16


@dataclass(frozen=True)
class Block:
    """One kind of feature.

    Attributes:
        fourier: Transforms of its grid.
        channels: Channels after projection.
        begin: Where its values begin in a vector.
        label: Series of the response wanted, float32 (2, coefficients).
    """

    fourier: Fourier
    channels: int
    begin: int
    label: Floats

    @property
    def n(self) -> int:
        """Cells along a side."""
        return self.fourier.n

    @property
    def end(self) -> int:
        """Where its values end in a vector."""
        return self.begin + 2 * self.channels * self.fourier.coefficients

    def of(self, vector: Floats) -> Floats:
        """A vector's part that belongs to this block: a view, float32 (channels, 2, coefficients)."""
        return vector[self.begin : self.end].reshape(self.channels, 2, self.fourier.coefficients)


@dataclass(frozen=True)
class Layout:
    """Blocks one after the other.

    Attributes:
        blocks: Colour and HOG, for the hand-crafted features.
        size: Length of a vector.
        weights: float32 (size,): weight of each value in an inner product.
    """

    blocks: tuple[Block, ...]
    size: int
    weights: Floats

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Grids and channels (n colour, channels, n HOG, channels), as the compiled loops take them."""
        colour, hog = self.blocks
        return colour.n, colour.channels, hog.n, hog.channels


def layout(geometry: Geometry, channels: tuple[int, int]) -> Layout:
    """Lay out both blocks for a search region.

    Args:
        geometry: The search region.
        channels: Channels of colour and of HOG after projection.
    """
    blocks: list[Block] = []
    out = geometry.colour_grid
    sigma = float(np.sqrt(np.floor(geometry.base[0]) * np.floor(geometry.base[1])))
    sigma *= _LABEL_SIGMA * out / geometry.side
    for n, count in zip((out, geometry.hog_grid), channels, strict=True):
        begin = blocks[-1].end if blocks else 0
        blocks.append(Block(Fourier(n), count, begin, label(n, out, sigma)))
    return laid_out(*blocks)


def laid_out(*blocks: Block) -> Layout:
    """The layout of blocks that follow each other."""
    weights = [np.tile(block.fourier.weights.ravel(), block.channels) for block in blocks]
    return Layout(blocks, blocks[-1].end, np.concatenate(weights).astype(np.float32))
