"""Frame 0: filter and projection of one kind of features are learned together by Gauss-Newton (ECO, Section 3.2).

For samples X_j of all channels, the response X_j P f is bilinear in the projection P and the filter f. Each of ten
steps linearises it and takes ten conjugate gradient steps (Fletcher-Reeves) on a change of both. Derivatives are
those of the published code: with respect to the coefficients that are stored (one half plane), the other half being
taken as constant.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from teachers.eco.conjugate_gradient import diagonal, energy_of
from teachers.eco.deep.bilinear import Samples
from teachers.eco.descent import Descent
from teachers.eco.layout import Layout
from teachers.eco.regularisation import Regulariser
from teachers.eco.vectors import advance, inner

Floats = NDArray[np.float32]

GAUSS_NEWTON_STEPS = 10
GRADIENT_STEPS = 10
SHARES = 0.3, 0.15
"""Of a channel's own energy in the preconditioner, and of the regulariser."""

PROJECTION_COST = 5e-8
PROJECTION_DIAGONAL = 35.0
"""Weight of the projection's squares, and of its part of the preconditioner."""


class FirstFrame:
    """Learns from the augmented samples of one kind of features, which weigh the same.

    Args:
        layout: How filters are laid out: one block.
        regulariser: The regulariser.
        series: Samples of all channels, float32 (J, channels, 2, coefficients).
        axes: The projection to begin with, float32 (channels, kept).

    Attributes:
        filters: float32 (size,).
        projection: float32 (channels, kept).
        energy: Mean squared samples under the first projection, float32 (size,).
    """

    def __init__(self, layout: Layout, regulariser: Regulariser, series: Floats, axes: Floats) -> None:
        self._layout, self._regulariser, (self._block,) = layout, regulariser, layout.blocks
        self._data = Samples(series)
        self.projection, self._kept = axes.copy(), axes.shape[1]
        self.filters = np.zeros(layout.size, dtype=np.float32)
        energies = [energy_of(sample, layout) for sample in self.samples()]
        self.energy = np.asarray(np.mean(energies, axis=0), dtype=np.float32)
        inverse = diagonal(self.energy, layout, regulariser, SHARES)
        # The label in the first channel of a filter that is zero elsewhere.
        label = np.zeros(layout.size, dtype=np.float32)
        self._block.of(label)[0] = self._block.label
        cost = 2 * inner(label, label, layout.weights)
        of_projection = 1 / (PROJECTION_DIAGONAL * (cost / len(axes) + PROJECTION_COST))
        self._inverse = np.concatenate([inverse, np.full(axes.size, of_projection, dtype=np.float32)])
        self._weights = np.concatenate([layout.weights, np.ones(axes.size, dtype=np.float32)])

    def samples(self) -> Floats:
        """The samples under the present projection, float32 (J, size)."""
        projected = self._data.projected(self.projection)
        return projected.reshape(len(projected), -1)

    def learn(self) -> None:
        """Run all steps."""
        size = self._layout.size
        for _ in range(GAUSS_NEWTON_STEPS):
            change = np.zeros_like(self._weights)
            Descent(self._weights, GRADIENT_STEPS).take(change, self._residual(), self._apply, self._inverse)
            self.filters = self.filters + change[:size]
            self.projection = self.projection + change[size:].reshape(self.projection.shape)

    def _residual(self) -> Floats:
        """The negative gradient of half the cost."""
        size = self._layout.size
        filters = self._rows(self.filters)
        miss = self._data.gradient(_times(filters, self.projection.T), self._block.label[0])
        gradient = np.empty(self._inverse.size, dtype=np.float32)
        self._derive(miss, filters, gradient)
        self._regulariser.add(self.filters, gradient[:size])
        advance(gradient[size:], np.float32(PROJECTION_COST), self.projection.ravel())
        return -gradient

    def _apply(self, vector: Floats, out: Floats) -> None:
        """The linearised problem's matrix times (change of the filter, change of P)."""
        size = self._layout.size
        change, turn = vector[:size], vector[size:].reshape(self.projection.shape)
        filters = self._rows(self.filters)
        vectors = _times(self._rows(change), self.projection.T)
        vectors += _times(filters, turn.T)
        self._derive(self._data.curvature(vectors), filters, out)
        self._regulariser.add(change, out[:size], whole=False)
        advance(out[size:], np.float32(PROJECTION_COST), vector[size:])

    def _derive(self, back: Floats, filters: Floats, out: Floats) -> None:
        """Set out to the derivatives by filter and P, from those by P f, float32 (coefficients, 2, channels)."""
        size = self._layout.size
        self._block.of(out[:size])[:] = _times(back, self.projection).transpose(2, 1, 0)
        rows = back.reshape(-1, back.shape[-1])
        out[size:] = (rows.T @ filters.reshape(-1, self._kept)).ravel()

    def _rows(self, vector: Floats) -> Floats:
        """A filter, float32 (size,), as (coefficients, 2, kept)."""
        return np.ascontiguousarray(self._block.of(vector).transpose(2, 1, 0))


def _times(rows: Floats, matrix: Floats) -> Floats:
    """Rows (coefficients, 2, n) times a matrix, as a single product."""
    return (rows.reshape(-1, rows.shape[-1]) @ matrix).reshape(*rows.shape[:-1], -1)
