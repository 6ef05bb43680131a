"""What deep ECO knows of many targets by one kind of features; `teachers.eco.deep.part` is the same for one."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from teachers.eco.conjugate_gradient import STEPS
from teachers.eco.deep.beginning import Beginning
from teachers.eco.deep.part import FORGET
from teachers.eco.deep.region import Kind
from teachers.eco.deep.together import joint
from teachers.eco.deep.together.descent import Momentum, descend
from teachers.eco.deep.together.goal import Goal
from teachers.eco.deep.together.memory import Memory
from teachers.eco.deep.together.series import Rows, flat, joined, turns, unflat
from teachers.eco.deep.transform import transform_of
from teachers.eco.search_region import SearchRegion


class Filters:
    """One kind of features of the targets in as many rows, whose search regions have the same side.

    Args:
        kind: Its numbers.
        side: Side of the search regions.
        count: Rows.
        device: Where all of it lies.
        learning: How a first frame is learned from.

    Attributes:
        n: Coefficients of a series along a side.
    """

    def __init__(
        self, kind: Kind, side: int, count: int, device: torch.device, learning: joint.Learning
    ) -> None:
        self.kind = kind
        self._device, self._learning = device, learning
        self._transform = transform_of(side // kind.stride, str(device))
        self.n = n = self._transform.n
        self._coefficients = coefficients = n * (n // 2 + 1)
        self._goal = Goal.empty(kind, n, count, device)
        size = self._goal.weights.numel()
        self._projection = torch.zeros(count, kind.channels, kind.kept, device=device)
        self._filters = torch.zeros(count, coefficients, kind.kept, dtype=torch.complex64, device=device)
        self._energy = torch.zeros(count, coefficients, kind.kept, device=device)
        self._memory = Memory(count, coefficients, kind.kept, kind.rate, device)
        self._direction, self._residual = (torch.zeros(count, size, device=device) for _ in range(2))
        self._rho = torch.zeros(count, dtype=torch.float64, device=device)

    def start(self, row: int, region: SearchRegion, beginning: Beginning) -> None:
        """Learn a target."""
        self._goal.put(row, self.kind, region)
        series = joined(self._transform(beginning.maps)) * turns(beginning.moves, self.n, self._device)
        axes = torch.from_numpy(beginning.axes(self.kind.kept)).to(self._device)
        learned = self._learning(self._goal.at(slice(row, row + 1)), series, axes)
        self._projection[row], self._energy[row] = learned.projection, learned.energy
        self._filters[row] = self._real(learned.filters[None])[0]
        self._memory.start(row, learned.samples)
        for state in (self._direction, self._residual, self._rho):
            state[row] = 0

    def samples(self, rows: Rows, maps: Tensor) -> Tensor:
        """Series of projected maps, complex64 (N, scales, coefficients, kept).

        Args:
            rows: N rows.
            maps: float32 (N scales, cells, cells, channels): rows y, columns x.
        """
        count, cells = len(rows.numbers), maps.shape[1]
        projected = torch.bmm(maps.view(count, -1, maps.shape[-1]), self._projection[rows.index])
        series = joined(self._transform(projected.view(-1, cells, cells, self.kind.kept)))
        return series.view(count, -1, *series.shape[1:])

    def responses(self, rows: Rows, samples: Tensor) -> Tensor:
        """Series of the filters' responses to `samples` by their share, complex64 (N, scales, coefficients)."""
        return self.kind.share * (samples * self._filters[rows.index][:, None]).sum(-1)

    def remember(self, rows: Rows, samples: Tensor, moves: Sequence[tuple[float, float]]) -> Tensor:
        """Keep a sample of each of N targets, complex64 (N, coefficients, kept); returned with their origins moved."""
        samples = samples * turns(moves, self.n, self._device)
        self._memory.add(rows, samples)
        return samples

    def learn(self, rows: Rows, latest: Tensor) -> None:
        """Improve the filters of some targets on all samples.

        Args:
            rows: N rows.
            latest: What `remember` returned for these; their energy counts in the preconditioner.
        """
        at, rate = rows.index, self.kind.rate
        goal, matrix, filters = self._goal.at(at), self._memory.matrix[at], self._filters[at]
        self._energy[at] = energy = (1 - rate) * self._energy[at] + rate * latest.abs().square()

        def applied(series: Tensor) -> Tensor:
            data = torch.bmm(matrix.flatten(0, 1), series.flatten(0, 1)[:, :, None]).view_as(series)
            return flat(data + goal.regularised(series))

        residual = flat(goal.labels[:, :, None] * self._memory.right[at]) - applied(filters)
        found, momentum = descend(
            flat(filters),
            residual,
            lambda vectors: applied(unflat(vectors, self._coefficients)),
            goal.inverse(energy),
            goal.weights,
            STEPS,
            Momentum(self._direction[at], self._residual[at], self._rho[at]),
            FORGET,
        )
        self._direction[at], self._residual[at] = momentum.direction, momentum.residual
        self._rho[at] = momentum.rho
        self._filters[at] = self._real(unflat(found, self._coefficients))

    def _real(self, filters: Tensor) -> Tensor:
        """Make the column kx = 0 conjugate symmetric: the mean of its halves."""
        column = filters[:, : self.n]
        return torch.cat([(column + column.flip(1).conj()) / 2, filters[:, self.n :]], dim=1)
