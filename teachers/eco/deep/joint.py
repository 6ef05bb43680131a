"""Frame 0: filter and projection of one kind of features are learned together by Gauss-Newton (ECO, Section 3.2).

For samples X_j of all channels, the response X_j P f is bilinear in the projection P and the filter f. Each of ten
steps linearises it and takes ten conjugate gradient steps (Fletcher-Reeves) on a change of both. Derivatives are
those of the published code: with respect to the coefficients that are stored (one half plane), the other half being
taken as constant.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.eco.conjugate_gradient import diagonal, energy_of
from teachers.eco.layout import Layout
from teachers.eco.regularisation import Regulariser
from teachers.eco.vectors import advance, inner, multiply, redirect

Floats = NDArray[np.float32]

GAUSS_NEWTON_STEPS = 10
GRADIENT_STEPS = 10
SHARES = 0.3, 0.15
"""Of a channel's own energy in the preconditioner, and of the regulariser."""

_PROJECTION_COST = 5e-8
_PROJECTION_DIAGONAL = 35.0
_CHUNK = 64


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

    def __init__(self, layout: Layout, regulariser: Regulariser, series: Tensor, axes: Floats) -> None:
        self._layout, self._regulariser, (self._block,) = layout, regulariser, layout.blocks
        count, channels, _, size = series.shape
        self._weight = 1 / count
        # (coefficient, part and sample, channel): one frequency's samples are one matrix.
        self._series = series.permute(3, 2, 0, 1).reshape(size, 2 * count, channels).contiguous()
        self._label = torch.from_numpy(self._block.label[0])[:, None]
        self.projection, self._kept = axes.copy(), axes.shape[1]
        self.filters = np.zeros(layout.size, dtype=np.float32)
        energies = [energy_of(sample, layout) for sample in self.samples()]
        self.energy = np.asarray(np.mean(energies, axis=0), dtype=np.float32)
        inverse = diagonal(self.energy, layout, regulariser, SHARES)
        cost = 2 * inner(
            self._as_filter(self._block.label), self._as_filter(self._block.label), layout.weights
        )
        of_projection = 1 / (_PROJECTION_DIAGONAL * (cost / channels + _PROJECTION_COST))
        self._inverse = np.concatenate([inverse, np.full(axes.size, of_projection, dtype=np.float32)])
        self._weights = np.concatenate([layout.weights, np.ones(axes.size, dtype=np.float32)])

    def samples(self) -> Floats:
        """The samples under the present projection, float32 (J, size)."""
        size, rows, _ = self._series.shape
        projected = self._series @ torch.from_numpy(self.projection)
        return (
            projected.view(size, 2, rows // 2, self._kept).permute(2, 3, 1, 0).reshape(rows // 2, -1).numpy()
        )

    def learn(self) -> None:
        """Run all steps."""
        size = self._layout.size
        for _ in range(GAUSS_NEWTON_STEPS):
            change = self._solve()
            self.filters = self.filters + change[:size]
            self.projection = self.projection + change[size:].reshape(self.projection.shape)

    def _solve(self) -> Floats:
        """Conjugate gradients on the linearised problem, from no change."""
        r = self._residual()
        change, step, z, p = (np.zeros_like(r) for _ in range(4))
        before = 0.0
        for turn in range(GRADIENT_STEPS):
            multiply(r, self._inverse, z)
            rho = inner(r, z, self._weights)
            if rho <= 0:
                break
            redirect(p, np.float32(rho / before if before > 0 else 0.0), z)
            before = rho
            self._apply(p, step)
            bend = inner(p, step, self._weights)
            if bend <= 0:
                break
            advance(change, np.float32(rho / bend), p)
            if turn < GRADIENT_STEPS - 1:
                advance(r, np.float32(-rho / bend), step)
        return change

    def _residual(self) -> Floats:
        """The negative gradient of half the cost."""
        filters, axes = self._rows(self.filters), torch.from_numpy(self.projection)
        gradient = np.zeros(self._inverse.size, dtype=np.float32)
        self._collect(filters @ axes.t(), filters, axes, self._label, gradient)
        self._regulariser.add(self.filters, gradient[: self._layout.size])
        advance(gradient[self._layout.size :], np.float32(_PROJECTION_COST), self.projection.ravel())
        return -gradient

    def _apply(self, vector: Floats, out: Floats) -> None:
        """The linearised problem's matrix times (change of the filter, change of P)."""
        size = self._layout.size
        change, turn = vector[:size], torch.from_numpy(vector[size:].reshape(self.projection.shape))
        filters, axes = self._rows(self.filters), torch.from_numpy(self.projection)
        self._collect(self._rows(change) @ axes.t() + filters @ turn.t(), filters, axes, None, out)
        self._regulariser.add(change, out[:size], whole=False)
        advance(out[size:], np.float32(_PROJECTION_COST), vector[size:])

    def _collect(
        self, vectors: Tensor, filters: Tensor, axes: Tensor, label: Tensor | None, out: Floats
    ) -> None:
        """Set out to the derivatives with respect to filter and P, for unprojected vectors (coefficients, 2, D)."""
        back = torch.empty_like(vectors)
        count = self._series.shape[1] // 2
        response = vectors.new_empty(_CHUNK, 2 * count, 2)
        for begin in range(0, len(vectors), _CHUNK):
            # Both products read these samples while they are in the cache.
            chunk = self._series[begin : begin + _CHUNK]
            y = torch.bmm(chunk, vectors[begin : begin + _CHUNK].transpose(1, 2))
            u = response[: len(y)]
            torch.sub(y[:, :count, 0], y[:, count:, 1], out=u[:, :count, 0])
            torch.add(y[:, :count, 1], y[:, count:, 0], out=u[:, :count, 1])
            if label is not None:
                u[:, :count, 0] -= label[begin : begin + _CHUNK]
            u[:, count:, 0] = u[:, :count, 1]
            torch.neg(u[:, :count, 0], out=u[:, count:, 1])
            back[begin : begin + _CHUNK] = torch.bmm(chunk.transpose(1, 2), u).transpose(1, 2)
        back *= self._weight
        size = self._layout.size
        self._block.of(out[:size])[:] = (back @ axes).permute(2, 1, 0).numpy()
        channels = axes.shape[0]
        out[size:] = (back.reshape(-1, channels).t() @ filters.reshape(-1, self._kept)).numpy().ravel()

    def _rows(self, vector: Floats) -> Tensor:
        """A filter, float32 (size,), as (coefficients, 2, kept)."""
        return torch.from_numpy(self._block.of(vector)).permute(2, 1, 0).contiguous()

    def _as_filter(self, label: Floats) -> Floats:
        """The label in the first channel of a filter that is zero elsewhere."""
        out = np.zeros(self._layout.size, dtype=np.float32)
        self._block.of(out)[0] = label
        return out
