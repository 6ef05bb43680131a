"""The latest 200 samples of many videos, weighted by age, and their normal equations."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from teachers.eco.deep.ages import CAPACITY, Ages
from teachers.eco.deep.together.series import Rows
from teachers.gpu.upload import uploaded


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
        places = uploaded(np.array([r.place for r in renewed]), samples.device)
        # What comes and what goes, which has shrunk like all others.
        weights = [(r.factor, r.weight, -r.former * r.factor) for r in renewed]
        numbers = uploaded(np.array(weights, dtype=np.float32), samples.device)[:, :, None, None]
        factor, weight = numbers[:, :1], numbers[:, None, 1:, 0]
        # (N, coefficients, 2, channels)
        pair = torch.stack([samples, self._samples[rows.places, places]], dim=2)
        self._samples[rows.places, places] = samples
        weighted = pair * weight
        conjugate = pair.conj().resolve_conj().mT
        matrix = self.matrix[rows.index]
        matrix *= factor
        matrix.flatten(0, 1).baddbmm_(conjugate.flatten(0, 1), weighted.flatten(0, 1))
        if not isinstance(rows.index, slice):
            self.matrix[rows.index] = matrix
        self.right[rows.index] = factor[..., 0] * self.right[rows.index] + weighted.sum(2).conj()
