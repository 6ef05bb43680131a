"""FHOG: Felzenszwalb's 31-channel histograms of oriented gradients, as in Dollar's implementation (float32).

18 signed orientations, 9 unsigned ones, 4 texture energies per cell. Source: Felzenszwalb et al., TPAMI
2010, and the behaviour of Dollar's `fhog`, which the KCF and ECO authors used: one orientation bin per pixel
(no interpolation between orientations), bilinear votes in space, border cells raised by 8/7.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from teachers.features.compiled import compiled
from teachers.features.intel_tables import votes

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]
Indices = NDArray[np.uint32]

CHANNELS = 31
"""Channels of FHOG; arrays hold 32 per cell, the last one zero: a cell is a whole number of vectors."""

LANES = 32
_SIGNED = 18
_CLIP = np.float32(0.2)
_HALF = np.float32(0.5)
_TEXTURE = np.float32(0.2357)
_BORDER = np.float32(8 / 7)
_ONE = np.float32(1)
_ZERO = np.float32(0)


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
        self._votes = np.zeros(4 * _SIGNED * stride + 1, dtype=np.float32)
        self._cells = np.zeros((self.rows, _SIGNED, stride), dtype=np.float32)
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
        _histogram(
            patch, self._magnitude, self._bins, self._bands, self._columns_of, self._weights,
            self._index, self._quadrant, self._votes, self._cells,
        )  # fmt: skip
        _normalise(self._cells, self._norms, self._row, self._epsilon, window, out)
        return out


def _neighbours(cells: int, cell: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """For each of `cells * cell` pixels: the second of the two nearest cells, and its share of the vote."""
    place = (np.arange(cells * cell) + 0.5) / cell + 0.5
    second = np.floor(place)
    return second.astype(np.int64), place - second


@compiled
def _histogram(
    patch: Levels,
    magnitude: Floats,
    bins: Indices,
    bands: NDArray[np.int64],
    columns_of: Indices,
    weights: Floats,
    index: Indices,
    quadrant: Indices,
    votes: Floats,
    cells: Floats,
) -> None:
    """Fill `cells`, float32 (rows, 18, stride), with the histograms of signed orientations."""
    height, width = patch.shape
    rows, stride = cells.shape[0], cells.shape[2]
    voting = weights.shape[1]
    plane = 18 * stride
    row_step, first, second, third = (
        np.uint32(stride),
        np.uint32(plane),
        np.uint32(2 * plane),
        np.uint32(3 * plane),
    )
    for band in range(rows + 1):
        votes[:] = _ZERO
        for y in range(bands[band], bands[band + 1]):
            # Differences in half grey levels: 1 for a centred one, 2 for a one-sided one at the border.
            up, down, scale = y - 1, y + 1, 1
            if y == 0:
                up, scale = 0, 2
            elif y == height - 1:
                down, scale = y, 2
            above, here, below = patch[up], patch[y], patch[down]
            left_of, right_of, above_of, below_of = here[:-2], here[2:], above[1:-1], below[1:-1]
            inner_index, inner_quadrant = index[1:-1], quadrant[1:-1]
            for x in range(width - 2):
                dx = np.int32(right_of[x]) - np.int32(left_of[x])
                dy = (np.int32(below_of[x]) - np.int32(above_of[x])) * scale
                inner_index[x] = abs(dy) * 511 + abs(dx)
                inner_quadrant[x] = (8 if dx < 0 else 0) + (16 if dy < 0 else 0)
            for x in (0, width - 1):
                left, right = (0, 1) if x == 0 else (width - 2, width - 1)
                dx = 2 * (np.int32(here[right]) - np.int32(here[left]))
                dy = (np.int32(below[x]) - np.int32(above[x])) * scale
                index[x] = abs(dy) * 511 + abs(dx)
                quadrant[x] = (8 if dx < 0 else 0) + (16 if dy < 0 else 0)
            phase = y % weights.shape[0]
            for x in range(voting):
                at = index[x]
                length = magnitude[at]
                place = columns_of[x] + ((bins[at] >> quadrant[x]) & np.uint32(31)) * row_step
                votes[place] += length * weights[phase, x, 0]
                votes[place + first] += length * weights[phase, x, 1]
                votes[place + second] += length * weights[phase, x, 2]
                votes[place + third] += length * weights[phase, x, 3]
        # A band lies between the rows of cells `band - 1` and `band`, and its column j between the columns j
        # - 1 and j; what falls outside the grid is lost.
        if band > 0:
            target = cells[band - 1].ravel()
            from_left, from_right = votes[plane : 2 * plane], votes[1 : plane + 1]
            for i in range(plane):
                target[i] += from_left[i] + from_right[i]
        if band < rows:
            target = cells[band].ravel()
            from_left, from_right = votes[3 * plane : 4 * plane], votes[2 * plane + 1 : 3 * plane + 1]
            for i in range(plane):
                target[i] = from_left[i] + from_right[i]


@compiled
def _normalise(
    cells: Floats,
    norms: Floats,
    planes: Floats,
    epsilon: np.float32,
    window: Floats,
    out: Floats,
) -> None:
    """Raise the border, normalise each cell by its four blocks, clip, sum textures, window, interleave."""
    rows, stride = cells.shape[0], cells.shape[2]
    columns = out.shape[1]
    cells[0] *= _BORDER
    cells[rows - 1] *= _BORDER
    for row in range(rows):
        for b in range(18):
            cells[row, b, 0] *= _BORDER
            cells[row, b, columns - 1] *= _BORDER
        # Until its row of blocks is computed, norms[i + 1, j + 1] is the energy of cell (i, j).
        energy = norms[row + 1, 1:]
        energy[:] = _ZERO
        for b in range(9):
            one, other = cells[row, b], cells[row, b + 9]
            for x in range(stride):
                both = one[x] + other[x]
                energy[x] += both * both
    # Block (i, j) lies above left of cell (i, j).
    for row in range(1, rows):
        above, below = norms[row], norms[row + 1]
        for x in range(1, columns):
            total = (above[x] + above[x + 1]) + (below[x] + below[x + 1])
            above[x] = _ONE / np.sqrt(total + epsilon)
    for row in range(1, rows):
        norms[row, 0] = norms[row, 1]
        norms[row, columns] = norms[row, columns - 1]
    norms[0] = norms[1]
    norms[rows] = norms[rows - 1]
    for row in range(rows):
        # The channels' order is the published one: the block below right of the cell first.
        below_right, above_right = norms[row + 1, 1:], norms[row, 1:]
        below_left, above_left = norms[row + 1], norms[row]
        planes[27:31] = _ZERO
        texture_1, texture_2, texture_3, texture_4 = planes[27], planes[28], planes[29], planes[30]
        for c in range(27):
            plane = planes[c]
            one, other = cells[row, c if c < 18 else c - 18], cells[row, c if c < 18 else c - 9]
            unsigned = _ONE if c >= 18 else _ZERO
            signed = _ONE - unsigned
            for x in range(stride):
                value = one[x] + other[x] * unsigned
                p, q = value * below_right[x], value * above_right[x]
                r, s = value * below_left[x], value * above_left[x]
                p = p if p < _CLIP else _CLIP
                q = q if q < _CLIP else _CLIP
                r = r if r < _CLIP else _CLIP
                s = s if s < _CLIP else _CLIP
                plane[x] = ((p + q) + (r + s)) * _HALF
                texture_1[x] += p * signed
                texture_2[x] += q * signed
                texture_3[x] += r * signed
                texture_4[x] += s * signed
        for column in range(columns):
            factor = window[row, column]
            for c in range(27):
                out[row, column, c] = planes[c, column] * factor
            for c in range(27, 31):
                out[row, column, c] = planes[c, column] * _TEXTURE * factor
            out[row, column, 31] = _ZERO
