"""The latest 200 samples of many videos, weighted by age, and their normal equations."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from teachers.eco.deep.ages import CAPACITY, Ages
from teachers.eco.deep.together.series import Rows
from teachers.upload import uploaded


class Memory:
    """Of one kind of features, for as many videos as there are rows.

    A row takes 1,600 bytes for each coefficient and channel, and the equations 8 for each coefficient and pair of
    channels. They are brought up to date with every sample: that is one product of matrices, and the samples are never
    read again but for the one that goes.

    Args:
        count: Rows.
        coefficients: Of a series.
        channels: Of a sample.
        rate: Weight of a new sample.
        device: Where it lies.

    Attributes:
        matrix: sum_j w_j conj(x_j) x_j^T, complex64 (rows, coefficients, channels, channels).
        right: sum_j w_j conj(x_j), complex64 (rows, coefficients, channels).
    """

    def __init__(
        self, count: int, coefficients: int, channels: int, rate: float, device: torch.device
    ) -> None:
        def zeros(*shape: int) -> Tensor:
            return torch.zeros(count, *shape, dtype=torch.complex64, device=device)

        self._rate = rate
        self._ages: dict[int, Ages] = {}
        self._samples = zeros(CAPACITY, coefficients, channels)
        self.matrix = zeros(coefficients, channels, channels)
        self.right = zeros(coefficients, channels)

    def start(self, row: int, first: Tensor) -> None:
        """Begin a video with samples that weigh the same, complex64 (J, coefficients, channels)."""
        count = len(first)
        self._ages[row] = Ages(count, self._rate)
        self._samples[row, :count] = first
        # Whatever was there before, perhaps not finite, is multiplied by zero later.
        self._samples[row, count:] = 0
        by_frequency = first.transpose(0, 1)
        conjugate = by_frequency.conj().resolve_conj()
        self.matrix[row] = torch.bmm(conjugate.mT, by_frequency) / count
        self.right[row] = conjugate.mean(1)

    def add(self, rows: Rows, samples: Tensor) -> None:
        """Take in a sample of each of these videos, complex64 (N, coefficients, channels)."""
        renewed = [self._ages[row].renew() for row in rows.numbers]
        # The sample that goes has shrunk like all others.
        numbers = [(r.factor, r.weight, -r.former * r.factor) for r in renewed]
        factor, *weights = uploaded(np.array(numbers, dtype=np.float32), samples.device).T
        self._replace(rows, [r.place for r in renewed], samples, factor, torch.stack(weights, dim=1))

    def _replace(
        self, rows: Rows, places: Sequence[int], samples: Tensor, factor: Tensor, weights: Tensor
    ) -> None:
        where = rows.places, uploaded(np.array(places, dtype=np.int64), samples.device)
        # (N, coefficients, 2, channels): what comes and what goes
        pair = torch.stack([samples, self._samples[where]], dim=2)
        self._samples[where] = samples
        weighted = pair * weights[:, None, :, None]
        conjugate = pair.conj().resolve_conj().mT
        matrix = self.matrix[rows.index]
        matrix *= factor[:, None, None, None]
        matrix.flatten(0, 1).baddbmm_(conjugate.flatten(0, 1), weighted.flatten(0, 1))
        right = factor[:, None, None] * self.right[rows.index] + weighted.sum(2).conj()
        self.right[rows.index] = right
        if not isinstance(rows.index, slice):
            self.matrix[rows.index] = matrix
