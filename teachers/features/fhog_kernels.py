"""FHOG's loops: differences, votes, and cells brought to the features.

All are in one module, because a compiled function may call only those of its own (see `compiled`): grey and colour
windows differ in one thing, that colour takes the longest gradient of three. A row's gradients are kept between finding
and voting: that costs nothing, loops of one purpose are what a processor does many of at a time.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled

Floats = NDArray[np.float32]
Levels = NDArray[np.uint8]
Indices = NDArray[np.uint32]

SIGNED = 18
"""Signed orientations."""

_CLIP = np.float32(0.2)
_HALF = np.float32(0.5)
_TEXTURE = np.float32(0.2357)
_BORDER = np.float32(8 / 7)
_ONE = np.float32(1)
_ZERO = np.float32(0)


@compiled
def histogram(
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
    rows = cells.shape[0]
    along, down = np.empty(width, np.int32), np.empty(width, np.int32)
    for band in range(rows + 1):
        votes[:] = _ZERO
        for y in range(bands[band], bands[band + 1]):
            _differences(patch, y, height, along, down)
            _vote(
                along,
                down,
                index,
                quadrant,
                weights[y % weights.shape[0]],
                magnitude,
                bins,
                columns_of,
                votes,
            )
        _gather(votes, band, cells)


@compiled
def colour_histogram(
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
    rows = cells.shape[0]
    along, down = np.empty(width, np.int32), np.empty(width, np.int32)
    best_x, best_y = np.empty(width, np.int32), np.empty(width, np.int32)
    longest = np.empty(width, np.int32)
    for band in range(rows + 1):
        votes[:] = _ZERO
        for y in range(bands[band], bands[band + 1]):
            longest[:] = -1
            for channel in (2, 1, 0):
                _differences(lines[channel], y, height, along, down)
                for x in range(width):
                    square = np.int32(along[x] * along[x] + down[x] * down[x])
                    better = square > longest[x]
                    best_x[x] = along[x] if better else best_x[x]
                    best_y[x] = down[x] if better else best_y[x]
                    longest[x] = square if better else longest[x]
            _vote(
                best_x,
                best_y,
                index,
                quadrant,
                weights[y % weights.shape[0]],
                magnitude,
                bins,
                columns_of,
                votes,
            )
        _gather(votes, band, cells)


@compiled
def _differences(
    plane: Levels, y: int, height: int, along: NDArray[np.int32], down: NDArray[np.int32]
) -> None:
    """Differences of a row of pixels in half grey levels: 1 for a centred one, 2 for a one-sided one at the border."""
    width = plane.shape[1]
    up, under, scale = y - 1, y + 1, np.int32(1)
    if y == 0:
        up, scale = 0, np.int32(2)
    elif y == height - 1:
        under, scale = y, np.int32(2)
    above, here, below = plane[up], plane[y], plane[under]
    left_of, right_of, inner = here[:-2], here[2:], along[1:-1]
    for x in range(width - 2):
        inner[x] = np.int32(right_of[x]) - np.int32(left_of[x])
    along[0] = np.int32(2) * (np.int32(here[1]) - np.int32(here[0]))
    along[width - 1] = np.int32(2) * (np.int32(here[width - 1]) - np.int32(here[width - 2]))
    for x in range(width):
        down[x] = (np.int32(below[x]) - np.int32(above[x])) * scale


@compiled
def _vote(
    along: NDArray[np.int32],
    down: NDArray[np.int32],
    index: Indices,
    quadrant: Indices,
    weights: Floats,
    magnitude: Floats,
    bins: Indices,
    columns_of: Indices,
    votes: Floats,
) -> None:
    """A row of pixels votes by its gradients, each in four planes of `votes`; `weights` are float32 (columns, 4)."""
    plane = votes.size // 4
    step, first, second, third = (
        np.uint32(plane // SIGNED),
        np.uint32(plane),
        np.uint32(2 * plane),
        np.uint32(3 * plane),
    )
    for x in range(along.size):
        index[x] = abs(down[x]) * np.int32(511) + abs(along[x])
        quadrant[x] = (8 if along[x] < 0 else 0) + (16 if down[x] < 0 else 0)
    for x in range(weights.shape[0]):
        at = index[x]
        length = magnitude[at]
        place = columns_of[x] + ((bins[at] >> quadrant[x]) & np.uint32(31)) * step
        votes[place] += length * weights[x, 0]
        votes[place + first] += length * weights[x, 1]
        votes[place + second] += length * weights[x, 2]
        votes[place + third] += length * weights[x, 3]


@compiled
def _gather(votes: Floats, band: int, cells: Floats) -> None:
    """Add a band's votes to the two rows of cells between which it lies, `band - 1` and `band`.

    Its column j lies between the columns j - 1 and j; what falls outside the grid is lost.
    """
    plane = votes.size // 4
    if band > 0:
        target = cells[band - 1].ravel()
        from_left, from_right = votes[plane : 2 * plane], votes[1 : plane + 1]
        for i in range(plane):
            target[i] += from_left[i] + from_right[i]
    if band < cells.shape[0]:
        target = cells[band].ravel()
        from_left, from_right = votes[3 * plane : 4 * plane], votes[2 * plane + 1 : 3 * plane + 1]
        for i in range(plane):
            target[i] = from_left[i] + from_right[i]


@compiled
def normalise(
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
    # Loops: numba takes 2 s to compile a product of whole arrays.
    for row in (0, rows - 1):
        for b in range(18):
            for x in range(stride):
                cells[row, b, x] *= _BORDER
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
    # Number by number: see `datasets.compiled`.
    for x in range(columns + 1):
        norms[0, x] = norms[1, x]
        norms[rows, x] = norms[rows - 1, x]
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
