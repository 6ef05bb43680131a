"""FHOG: Felzenszwalb's 31-channel histograms of oriented gradients, as in Dollar's implementation (float32).

18 signed orientations, 9 unsigned ones, 4 texture energies per cell. Source: Felzenszwalb et al., TPAMI
2010, and the behaviour of Dollar's `fhog`, which the KCF and ECO authors used: one orientation bin per pixel
(no interpolation between orientations), bilinear votes in space, border cells raised by 8/7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from teachers.features.fhog_kernels import SIGNED, Floats, Levels, histogram, normalise
from teachers.features.intel_tables import votes

CHANNELS = 31
"""Channels of FHOG; arrays hold 32 per cell, the last one zero: a cell is a whole number of vectors."""

LANES = 32


class FHOG:
    """FHOG of grey windows of one size; its buffers are reused, and no result depends on an earlier call.

    Args:
        height: Window's height in pixels.
        width: Window's width in pixels.
        cell: Side of a cell in pixels; the pixels beyond the last whole cell do not vote.

    Attributes:
        rows: Cells in a column, floor(height / cell).
        columns: Cells in a row, floor(width / cell).

    Raises:
        ValueError: If the window has fewer than 2 x 2 cells.
    """

    def __init__(self, height: int, width: int, cell: int = 4) -> None:
        self.rows, self.columns = height // cell, width // cell
        if min(self.rows, self.columns) < 2:
            raise ValueError(f"FHOG needs 2 x 2 cells of {cell} pixels, not a window of {width} x {height}")
        self._shape = (height, width)
        row_block, row_share = _neighbours(self.rows, cell)
        column_block, column_share = _neighbours(self.columns, cell)
        # First pixel row of each band: the rows that vote into the same two rows of cells.
        self._bands = np.searchsorted(row_block, np.arange(self.rows + 2)).astype(np.int64)
        self._columns_of = column_block.astype(np.uint32)
        # Each pixel's votes to its four cells: above left, above right, below left, below right.
        # They repeat with every cell's height.
        above_below = np.stack([1 - row_share, row_share], axis=-1)[:cell]
        left_right = np.stack([1 - column_share, column_share], axis=-1)
        weights = above_below[:, None, :, None] * left_right[None, :, None, :] / cell**2
        self._weights = weights.reshape(cell, self.columns * cell, 4).astype(np.float32)
        table = votes()
        self._magnitude, self._bins = table.magnitude.ravel(), table.bins.ravel()
        self._index = np.empty(width, dtype=np.uint32)
        self._quadrant = np.empty(width, dtype=np.uint32)
        # Rows of cells are padded to whole vectors; what lies in the padding is never read.
        stride = -(-(self.columns + 1) // 16) * 16
        # One plane for each of a pixel's four cells, and room for reading one cell beyond the last.
        self._votes = np.zeros(4 * SIGNED * stride + 1, dtype=np.float32)
        self._cells = np.zeros((self.rows, SIGNED, stride), dtype=np.float32)
        self._norms = np.zeros((self.rows + 1, stride + 1), dtype=np.float32)
        self._row = np.zeros((LANES, stride), dtype=np.float32)
        # The published constant, for histograms that are sums over the cell's pixels divided by cell^2.
        self._epsilon = np.float32(1e-4 / 4 / cell**4)

    def __call__(self, patch: Levels, window: Floats, out: Floats) -> Floats:
        """Compute the features of a window.

        Args:
            patch: Grey levels, uint8 (height, width), C-contiguous.
            window: Factor of each cell (a cosine window, or ones), float32 (rows, columns).
            out: float32 (rows, columns, 32), C-contiguous; overwritten.

        Returns:
            `out`: channels 0..17 signed, 18..26 unsigned, 27..30 texture, 31 zero.

        Raises:
            ValueError: If the patch has another size.
        """
        if patch.shape != self._shape:
            raise ValueError(f"this FHOG is for patches of {self._shape}, not {patch.shape}")
        histogram(
            patch, self._magnitude, self._bins, self._bands, self._columns_of, self._weights,
            self._index, self._quadrant, self._votes, self._cells,
        )  # fmt: skip
        normalise(self._cells, self._norms, self._row, self._epsilon, window, out)
        return out


def _neighbours(cells: int, cell: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each of `cells * cell` pixels: the second of the two nearest cells, and its share of the vote."""
    place = (np.arange(cells * cell) + 0.5) / cell + 0.5
    second = np.floor(place)
    return second.astype(np.int64), place - second
