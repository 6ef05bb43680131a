"""Frame 0 on the device: filter and projection are learned together; `teachers.eco.deep.joint` says how."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from teachers.eco.deep.joint import (
    GAUSS_NEWTON_STEPS,
    GRADIENT_STEPS,
    PROJECTION_COST,
    PROJECTION_DIAGONAL,
)
from teachers.eco.deep.together.descent import descend
from teachers.eco.deep.together.goal import Goal
from teachers.eco.deep.together.series import flat, unflat
from teachers.gpu.replayed import Replayed


class Learned(NamedTuple):
    """One video's first filter.

    Attributes:
        filters: complex64 (coefficients, kept).
        projection: float32 (channels, kept).
        energy: Mean squared samples under the first projection, float32 (coefficients, kept).
        samples: The samples under the last projection, complex64 (J, coefficients, kept).
    """

    filters: Tensor
    projection: Tensor
    energy: Tensor
    samples: Tensor


class Learning:
    """`learn`, thousands of small kernels, as a GPU does it best."""

    def __init__(self) -> None:
        self._learn = Replayed(
            lambda labels, tables, energies, weights, series, axes: learn(
                Goal(tables.shape[1], labels, tables, energies, weights), series, axes
            )
        )

    def __call__(self, goal: Goal, series: Tensor, axes: Tensor) -> Learned:
        """See `learn`."""
        return Learned(*self._learn(goal.labels, goal.tables, goal.energies, goal.weights, series, axes))


def learn(goal: Goal, series: Tensor, axes: Tensor) -> Learned:
    """Learn from one video's augmented samples, which weigh the same.

    Args:
        goal: Of this video alone.
        series: Samples of all channels, complex64 (J, coefficients, channels).
        axes: The projection to begin with, float32 (channels, kept).
    """
    data = _Samples(series)
    energy = data.projected(axes).abs().square().mean(0)
    counted = goal.weights.view(-1, 2 * axes.shape[1])[:, 0]
    cost = 2 * (counted * goal.labels[0].square()).sum(dtype=torch.float64)
    diagonal = PROJECTION_DIAGONAL * (cost / len(axes) + PROJECTION_COST)
    inverse = torch.cat([goal.inverse(energy[None])[0], (1 / diagonal).float().expand(axes.numel())])[None]
    weights = torch.cat([goal.weights, torch.ones_like(axes).flatten()])
    x = torch.cat([torch.zeros_like(goal.weights), axes.flatten()])[None]
    for _ in range(GAUSS_NEWTON_STEPS):
        filters, projection = _parts(x, goal, axes)
        step = _Step(goal, data, filters, projection)
        change, _ = descend(torch.zeros_like(x), step.residual(), step, inverse, weights, GRADIENT_STEPS)
        x = x + change
    filters, projection = _parts(x, goal, axes)
    return Learned(filters, projection, energy, data.projected(projection))


class _Samples:
    """Samples, and the responses to vectors and back; the conjugates taken are of vectors."""

    def __init__(self, series: Tensor) -> None:
        self._x = series.transpose(0, 1).contiguous()

    def projected(self, projection: Tensor) -> Tensor:
        """complex64 (J, coefficients, kept)."""
        return (self._x @ projection.to(self._x.dtype)).transpose(0, 1)

    def back(self, vectors: Tensor, label: Tensor | None) -> Tensor:
        """sum_j conj(x_j) (x_j . v - y) / J, complex64 (coefficients, channels), as `vectors` are; y may be none."""
        # Rows instead of columns: a matrix that is turned over is what a CPU is slow with.
        miss = torch.bmm(vectors[:, None], self._x.mT)
        if label is not None:
            miss -= label[:, None, None]
        back = torch.bmm(miss.conj().resolve_conj(), self._x)[:, 0]
        return back.conj().resolve_conj() / self._x.shape[1]


class _Step:
    """The problem linearised at a filter, complex64 (coefficients, kept), and a projection."""

    def __init__(self, goal: Goal, data: _Samples, filters: Tensor, projection: Tensor) -> None:
        self._goal, self._data, self._filters, self._projection = goal, data, filters, projection
        self._complex = projection.to(filters.dtype)

    def residual(self) -> Tensor:
        """The negative gradient of half the cost, float32 (1, size)."""
        back = self._data.back(self._filters @ self._complex.T, self._goal.labels[0])
        return -self._derived(back, self._filters, self._projection, whole=True)

    def __call__(self, vector: Tensor) -> Tensor:
        """The matrix times (change of the filter, change of the projection), both float32 (1, size)."""
        change, turn = _parts(vector, self._goal, self._projection)
        vectors = change @ self._complex.T + self._filters @ turn.to(change.dtype).T
        return self._derived(self._data.back(vectors, None), change, turn, whole=False)

    def _derived(self, back: Tensor, regularised: Tensor, turn: Tensor, whole: bool) -> Tensor:
        """Derivatives by filter and projection from those by their product, with the regularisers' own."""
        by_filter = (back @ self._complex)[None] + self._goal.regularised(regularised[None], whole)
        by_projection = (back.mH @ self._filters).real + PROJECTION_COST * turn
        return torch.cat([flat(by_filter)[0], by_projection.flatten()])[None]


def _parts(vector: Tensor, goal: Goal, projection: Tensor) -> tuple[Tensor, Tensor]:
    """A vector's filter, complex64 (coefficients, kept), and its projection."""
    size = goal.weights.numel()
    return unflat(vector[:, :size], goal.labels.shape[1])[0], vector[0, size:].view(projection.shape)
