"""Frame 0: filter and projection are learned together by Gauss-Newton (ECO, Section 3.2).

The response is bilinear in the filter f and the projection P. Each of ten steps linearises it, with the new
filter and a change of P as unknowns, and takes fifteen conjugate gradient steps (Fletcher-Reeves). As in the
authors' code, the coefficients of kx = 0 do not count in the gradient of P.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.data_term import DataTerm
from teachers.eco.descent import Descent
from teachers.eco.layout import Layout
from teachers.eco.regularisation import Regulariser
from teachers.eco.vectors import advance

Floats = NDArray[np.float32]

GAUSS_NEWTON_STEPS = 10
GRADIENT_STEPS = 15
_PROJECTION_COST = 1e-7
_PROJECTION_DIAGONAL = 40.0
_LANES = 64
_ONE = np.ones(1, dtype=np.float32)


class FirstFrame:
    """Learns from one sample.

    Args:
        layout: How filters are laid out.
        data: The data term.
        regulariser: The regulariser.
        series: All channels of the sample, float32 (channels, 2, coefficients) for each block.
        axes: Projections to begin with, float32 (channels, kept) for each block.
        rank: Dimensions of the unprojected features, both blocks together.
        inverse: The filter's preconditioner, inverted, float32 (size,).
    """

    def __init__(
        self,
        layout: Layout,
        data: DataTerm,
        regulariser: Regulariser,
        series: tuple[Floats, Floats],
        axes: tuple[Floats, Floats],
        rank: int,
        inverse: Floats,
    ) -> None:
        self._layout, self._data, self._regulariser, self._series = layout, data, regulariser, series
        self._sizes = [a.size for a in axes]
        self.projection = np.concatenate([a.ravel() for a in axes])
        self.filters = np.zeros(layout.size, dtype=np.float32)
        self._size = layout.size
        self._weights = np.concatenate([layout.weights, np.ones_like(self.projection)])
        diagonals = []
        for block, size in zip(layout.blocks, self._sizes, strict=True):
            energy = 2 * float((block.label.astype(np.float64) ** 2).sum())
            diagonals.append(np.full(size, 1 / (_PROJECTION_DIAGONAL * (energy / rank + _PROJECTION_COST))))
        self._inverse = np.concatenate([inverse, *diagonals]).astype(np.float32)
        self._sample = np.empty(layout.size, dtype=np.float32)
        self._scratch = np.empty(layout.size, dtype=np.float32)

    def project(self, projection: Floats, out: Floats) -> Floats:
        """The sample under a projection, float32 (size,): `out`, overwritten."""
        for block, all_channels, axes in zip(
            self._layout.blocks, self._series, self.axes(projection), strict=True
        ):
            _combine(all_channels, axes, block.of(out))
        return out

    def axes(self, projection: Floats) -> tuple[Floats, Floats]:
        """Both blocks' parts of a flat projection, float32 (channels, kept)."""
        first, second = (
            part.reshape(-1, block.channels)
            for part, block in zip(np.split(projection, [self._sizes[0]]), self._layout.blocks, strict=True)
        )
        return first, second

    def learn(self) -> None:
        """Run all steps; `filters` and `projection` hold the result."""
        for _ in range(GAUSS_NEWTON_STEPS):
            self.project(self.projection, self._sample)
            unknown = np.concatenate([self.filters, np.zeros_like(self.projection)])
            self._solve(unknown)
            self.filters = unknown[: self._size].copy()
            self._mirror(self.filters)
            self.projection += unknown[self._size :]

    def _solve(self, unknown: Floats) -> None:
        """Conjugate gradients on the linearised problem, in place."""
        fixed = self.filters.copy()
        r, product = np.empty_like(unknown), np.empty_like(unknown)

        def apply(vector: Floats, out: Floats) -> None:
            self._apply(fixed, vector, out)

        self._right(fixed, r)
        apply(unknown, product)
        advance(r, np.float32(-1), product)
        Descent(self._weights, GRADIENT_STEPS).take(unknown, r, apply, self._inverse)

    def _right(self, fixed: Floats, out: Floats) -> None:
        """The right-hand side: gradients of the label's match, minus what P costs."""
        nothing = np.zeros(self._size, dtype=np.float32)
        self._data.descent(self._sample[None], _ONE, nothing, out[: self._size])
        gradient = out[self._size :]
        self._projection_gradient(fixed, self._data.label, gradient)
        advance(gradient, np.float32(-_PROJECTION_COST), self.projection)

    def _apply(self, fixed: Floats, vector: Floats, out: Floats) -> None:
        """The linearised problem's matrix times (filter, change of P)."""
        filters, change = vector[: self._size], vector[self._size :]
        self.project(change, self._scratch)
        total = self._data.response(self._scratch, fixed).copy()
        total += self._data.response(self._sample, filters)
        self._data.spread(self._sample, total, out[: self._size])
        self._regulariser.add(filters, out[: self._size])
        gradient = out[self._size :]
        self._projection_gradient(fixed, total, gradient)
        advance(gradient, np.float32(_PROJECTION_COST), change)

    def _projection_gradient(self, fixed: Floats, response: Floats, out: Floats) -> None:
        """2 Re sum conj(X) conj(f) response over kx != 0, for each channel and kept direction."""
        large = self._layout.blocks[0].n
        for block, all_channels, axes in zip(self._layout.blocks, self._series, self.axes(out), strict=True):
            _match(all_channels, block.of(fixed), _middle(response, large, block.n), block.n, axes)

    def _mirror(self, filters: Floats) -> None:
        """Make the column kx = 0 conjugate symmetric, from its lower half."""
        for block in self._layout.blocks:
            own, n = block.of(filters), block.n
            half = n // 2
            own[:, 0, half + 1 : n] = own[:, 0, :half][:, ::-1]
            own[:, 1, half + 1 : n] = -own[:, 1, :half][:, ::-1]


def _middle(response: Floats, large: int, n: int) -> Floats:
    """The part of a large series that a small one covers, float32 (2, coefficients)."""
    offset = (large - n) // 2
    table = response.reshape(2, large // 2 + 1, large)
    return np.ascontiguousarray(table[:, : n // 2 + 1, offset : offset + n]).reshape(2, -1)


@compiled
def _combine(series: Floats, axes: Floats, out: Floats) -> None:
    """Set out[c] = sum_d axes[d, c] series[d]."""
    channels, kept = axes.shape
    out[:] = np.float32(0)
    for c in range(kept):
        for part in range(2):
            target = out[c, part]
            for d in range(channels):
                weight, source = axes[d, c], series[d, part]
                for k in range(target.size):
                    target[k] += weight * source[k]


@compiled
def _match(series: Floats, filters: Floats, response: Floats, first: int, out: Floats) -> None:
    """Set out[d, c] = 2 Re sum_k conj(series[d]) conj(filters[c]) response, over k >= first."""
    channels, kept = out.shape
    size = response.shape[1] - first
    product = np.empty((2, size), np.float32)
    totals = np.zeros(_LANES, np.float32)
    whole = size // _LANES * _LANES
    p, q = response[0, first:], response[1, first:]
    for c in range(kept):
        a, b = filters[c, 0, first:], filters[c, 1, first:]
        for k in range(size):
            product[0, k] = a[k] * p[k] + b[k] * q[k]
            product[1, k] = a[k] * q[k] - b[k] * p[k]
        for d in range(channels):
            totals[:] = np.float32(0)
            for part in range(2):
                one, other = series[d, part, first:], product[part]
                for start in range(0, whole, _LANES):
                    u, v = one[start : start + _LANES], other[start : start + _LANES]
                    for lane in range(_LANES):
                        totals[lane] += u[lane] * v[lane]
                for k in range(whole, size):
                    totals[0] += one[k] * other[k]
            out[d, c] = np.float32(2) * totals.sum()
