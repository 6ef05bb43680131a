"""The normal equations of a filter, kept instead of summed over all samples again.

For samples x_j of weight w_j, a filter f and the label y, the data term sum_j w_j |x_j . f - y|^2 has at each
frequency the matrix sum_j w_j conj(x_j) x_j^T and the right-hand side y sum_j w_j conj(x_j). With 200 samples
these take 4 MB instead of 61, and five steps of conjugate gradients read nothing else. All weights shrink by
one factor when a sample is added, so that bringing both up to date takes what was added and taken away.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.layout import Block

Floats = NDArray[np.float32]

_CHUNK = 256


class NormalEquations:
    """Matrix and right-hand side for one kind of features.

    Args:
        block: How samples, filters and gradients are laid out.
    """

    def __init__(self, block: Block) -> None:
        self._block = block
        pairs = block.channels * (block.channels + 1) // 2
        self._matrix = np.zeros((pairs, 2, block.fourier.coefficients), dtype=np.float32)
        self._sum = np.zeros((block.channels, 2, block.fourier.coefficients), dtype=np.float32)

    def update(self, shrink: float, samples: Sequence[Floats], weights: Sequence[float]) -> None:
        """Multiply all weights by a factor, then add samples; one of negative weight is taken away.

        Args:
            shrink: The factor.
            samples: Each float32 (size,).
            weights: Theirs, as they are after the factor.
        """
        stacked = np.stack([self._block.of(sample) for sample in samples])
        _update(np.float32(shrink), stacked, np.array(weights, dtype=np.float32), self._matrix, self._sum)

    def apply(self, vector: Floats, out: Floats) -> None:
        """Set out = matrix vector, both float32 (size,)."""
        _apply(self._matrix, self._block.of(vector), self._block.of(out))

    def right(self, out: Floats) -> None:
        """Set out to the right-hand side, float32 (size,)."""
        own = self._block.of(out)
        own[:, 0] = self._sum[:, 0] * self._block.label[0]
        own[:, 1] = -self._sum[:, 1] * self._block.label[0]


@compiled
def _update(shrink: np.float32, samples: Floats, weights: Floats, matrix: Floats, total: Floats) -> None:
    """Pairs of channels c <= d; matrix[c, d] is the sum of w conj(x_c) x_d."""
    count, channels, _, size = samples.shape
    for begin in range(0, size, _CHUNK):
        end = min(begin + _CHUNK, size)
        pair = 0
        for c in range(channels):
            for part in range(2):
                target = total[c, part, begin:end]
                for k in range(target.size):
                    target[k] *= shrink
                for j in range(count):
                    source, weight = samples[j, c, part, begin:end], weights[j]
                    for k in range(target.size):
                        target[k] += weight * source[k]
            for d in range(c, channels):
                real, imaginary = matrix[pair, 0, begin:end], matrix[pair, 1, begin:end]
                pair += 1
                for k in range(real.size):
                    real[k] *= shrink
                    imaginary[k] *= shrink
                for j in range(count):
                    weight = weights[j]
                    a, b = samples[j, c, 0, begin:end], samples[j, c, 1, begin:end]
                    p, q = samples[j, d, 0, begin:end], samples[j, d, 1, begin:end]
                    for k in range(real.size):
                        real[k] += weight * (a[k] * p[k] + b[k] * q[k])
                        imaginary[k] += weight * (a[k] * q[k] - b[k] * p[k])


@compiled
def _apply(matrix: Floats, vector: Floats, out: Floats) -> None:
    """A Hermitian matrix at each frequency times a vector."""
    channels, _, size = vector.shape
    out[:] = np.float32(0)
    for begin in range(0, size, _CHUNK):
        end = min(begin + _CHUNK, size)
        pair = 0
        for c in range(channels):
            c_r, c_i = vector[c, 0, begin:end], vector[c, 1, begin:end]
            to_r, to_i = out[c, 0, begin:end], out[c, 1, begin:end]
            real = matrix[pair, 0, begin:end]
            pair += 1
            for k in range(real.size):
                to_r[k] += real[k] * c_r[k]
                to_i[k] += real[k] * c_i[k]
            for d in range(c + 1, channels):
                a, b = matrix[pair, 0, begin:end], matrix[pair, 1, begin:end]
                pair += 1
                d_r, d_i = vector[d, 0, begin:end], vector[d, 1, begin:end]
                other_r, other_i = out[d, 0, begin:end], out[d, 1, begin:end]
                for k in range(a.size):
                    to_r[k] += a[k] * d_r[k] - b[k] * d_i[k]
                    to_i[k] += a[k] * d_i[k] + b[k] * d_r[k]
                    other_r[k] += a[k] * c_r[k] + b[k] * c_i[k]
                    other_i[k] += a[k] * c_i[k] - b[k] * c_r[k]
