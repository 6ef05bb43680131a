"""FHOG of colour windows: every pixel votes with the gradient of the channel where it is longest.

Felzenszwalb's rule for colour, as Dollar's `fhog` has it: the channels are compared in the order red, green,
blue, and the first of equals counts. Votes, cells and normalisation are those of `FHOG`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from teachers.features.compiled import compiled
from teachers.features.fhog import FHOG, Floats, Indices, Levels, _normalise


class ColourFHOG(FHOG):
    """FHOG of colour windows of one size; arguments and attributes as `FHOG`'s."""

    def __init__(self, height: int, width: int, cell: int = 4) -> None:
        super().__init__(height, width, cell)
        # The window's colours as planes, whose differences a processor takes many at a time.
        self._lines = np.empty((3, height, width), dtype=np.uint8)

    def __call__(self, patch: Levels, window: Floats, out: Floats) -> Floats:
        """Compute the features of a window.

        Args:
            patch: uint8 (height, width, 3), BGR, C-contiguous.
            window: Factor of each cell (a cosine window, or ones), float32 (rows, columns).
            out: float32 (rows, columns, 32), C-contiguous; overwritten.

        Returns:
            `out`: channels 0..17 signed, 18..26 unsigned, 27..30 texture, 31 zero.

        Raises:
            ValueError: If the patch has another size.
        """
        if patch.shape != (*self._shape, 3):
            raise ValueError(f"this FHOG is for colour patches of {self._shape}, not {patch.shape}")
        _colour_histogram(
            patch, self._lines, self._magnitude, self._bins, self._bands, self._columns_of, self._weights,
            self._index, self._quadrant, self._votes, self._cells,
        )  # fmt: skip
        _normalise(self._cells, self._norms, self._row, self._epsilon, window, out)
        return out


@compiled
def _colour_histogram(
    patch: Levels,
    lines: Levels,
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
    height, width = patch.shape[0], patch.shape[1]
    for y in range(height):
        source = patch[y]
        for channel in range(3):
            target = lines[channel, y]
            for x in range(width):
                target[x] = source[x, channel]
    rows, stride = cells.shape[0], cells.shape[2]
    voting = weights.shape[1]
    plane = 18 * stride
    row_step, first, second, third = (
        np.uint32(stride),
        np.uint32(plane),
        np.uint32(2 * plane),
        np.uint32(3 * plane),
    )
    zero = np.float32(0)
    best_x, best_y = np.empty(width, np.int32), np.empty(width, np.int32)
    longest = np.empty(width, np.int32)
    for band in range(rows + 1):
        votes[:] = zero
        for y in range(bands[band], bands[band + 1]):
            # Differences in half grey levels: 1 for a centred one, 2 for a one-sided one at the border.
            up, down, scale = y - 1, y + 1, np.int32(1)
            if y == 0:
                up, scale = 0, np.int32(2)
            elif y == height - 1:
                down, scale = y, np.int32(2)
            longest[:] = -1
            for channel in (2, 1, 0):
                above, here, below = lines[channel, up], lines[channel, y], lines[channel, down]
                left_of, right_of, above_of, below_of = here[:-2], here[2:], above[1:-1], below[1:-1]
                inner_x, inner_y, inner_longest = best_x[1:-1], best_y[1:-1], longest[1:-1]
                for x in range(width - 2):
                    dx = np.int32(right_of[x]) - np.int32(left_of[x])
                    dy = (np.int32(below_of[x]) - np.int32(above_of[x])) * scale
                    square = np.int32(dx * dx + dy * dy)
                    better = square > inner_longest[x]
                    inner_x[x] = dx if better else inner_x[x]
                    inner_y[x] = dy if better else inner_y[x]
                    inner_longest[x] = square if better else inner_longest[x]
                for x in (0, width - 1):
                    left, right = (0, 1) if x == 0 else (width - 2, width - 1)
                    dx = np.int32(2) * (np.int32(here[right]) - np.int32(here[left]))
                    dy = (np.int32(below[x]) - np.int32(above[x])) * scale
                    square = np.int32(dx * dx + dy * dy)
                    if square > longest[x]:
                        best_x[x], best_y[x], longest[x] = dx, dy, square
            for x in range(width):
                index[x] = abs(best_y[x]) * np.int32(511) + abs(best_x[x])
                quadrant[x] = (8 if best_x[x] < 0 else 0) + (16 if best_y[x] < 0 else 0)
            phase = y % weights.shape[0]
            for x in range(voting):
                at = index[x]
                length = magnitude[at]
                place = columns_of[x] + ((bins[at] >> quadrant[x]) & np.uint32(31)) * row_step
                votes[place] += length * weights[phase, x, 0]
                votes[place + first] += length * weights[phase, x, 1]
                votes[place + second] += length * weights[phase, x, 2]
                votes[place + third] += length * weights[phase, x, 3]
        # As in the histogram of grey windows: a band lies between two rows of cells.
        if band > 0:
            target_row = cells[band - 1].ravel()
            from_left, from_right = votes[plane : 2 * plane], votes[1 : plane + 1]
            for i in range(plane):
                target_row[i] += from_left[i] + from_right[i]
        if band < rows:
            target_row = cells[band].ravel()
            from_left, from_right = votes[3 * plane : 4 * plane], votes[2 * plane + 1 : 3 * plane + 1]
            for i in range(plane):
                target_row[i] = from_left[i] + from_right[i]
