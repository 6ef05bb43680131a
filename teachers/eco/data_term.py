"""The data term: how far the filter's responses to the stored samples are from the label.

With samples x_j of weight w_j, filter f and label y: sum_j w_j |x_j . f - y|^2, where x . f sums the
products over all channels of both blocks.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.layout import Layout

Floats = NDArray[np.float32]


class DataTerm:
    """Responses and gradients for one layout; its buffers are reused.

    Args:
        layout: How vectors are laid out.

    Attributes:
        label: The response wanted, float32 (2, coefficients of the colour grid).
    """

    def __init__(self, layout: Layout) -> None:
        self._shape = layout.shape
        self.label = layout.blocks[0].label
        self._nothing = np.zeros_like(self.label)
        self._large = np.empty_like(self.label)
        self._small = np.empty_like(layout.blocks[1].label)

    def response(self, sample: Floats, filters: Floats) -> Floats:
        """Series of the filter's response to a sample, float32 (2, coefficients); valid until the next call."""
        _respond(sample, filters, self._shape, self._large, self._small)
        return self._large

    def curvature(self, samples: Floats, weights: Floats, direction: Floats, out: Floats) -> None:
        """Set out = sum_j w_j conj(x_j) (x_j . direction).

        Args:
            samples: float32 (J, size).
            weights: float32 (J,).
            direction: float32 (size,).
            out: float32 (size,); overwritten.
        """
        self._collect(samples, weights, direction, np.float32(1), self._nothing, out)

    def descent(self, samples: Floats, weights: Floats, filters: Floats, out: Floats) -> None:
        """Set out = sum_j w_j conj(x_j) (y - x_j . filters); arguments as `curvature`'s."""
        self._collect(samples, weights, filters, np.float32(-1), self.label, out)

    def spread(self, sample: Floats, response: Floats, out: Floats) -> None:
        """Set out = conj(sample) response, for float32 (2, coefficients) of the colour grid; overwritten."""
        out[:] = 0
        self._large[:] = response
        one = np.float32(1)
        _correlate(sample, one, one, self._nothing, self._shape, self._large, self._small, out)

    def _collect(
        self, samples: Floats, weights: Floats, vector: Floats, sign: np.float32, plus: Floats, out: Floats
    ) -> None:
        out[:] = 0
        for j in range(len(samples)):
            _respond(samples[j], vector, self._shape, self._large, self._small)
            _correlate(samples[j], weights[j], sign, plus, self._shape, self._large, self._small, out)


@compiled
def _respond(
    sample: Floats, filters: Floats, shape: tuple[int, int, int, int], large: Floats, small: Floats
) -> None:
    """Fill `large`, float32 (2, coefficients), with sample . filters; `small` is scratch."""
    n, channels, n_small, channels_small = shape
    large[:] = np.float32(0)
    small[:] = np.float32(0)
    begin = 0
    for block in range(2):
        target_r, target_i = (large[0], large[1]) if block == 0 else (small[0], small[1])
        size = target_r.size
        for _ in range(channels if block == 0 else channels_small):
            a, b = sample[begin : begin + size], sample[begin + size : begin + 2 * size]
            p, q = filters[begin : begin + size], filters[begin + size : begin + 2 * size]
            for k in range(size):
                target_r[k] += a[k] * p[k] - b[k] * q[k]
                target_i[k] += a[k] * q[k] + b[k] * p[k]
            begin += 2 * size
    offset = (n - n_small) // 2
    for part in range(2):
        for kx in range(n_small // 2 + 1):
            target = large[part, kx * n + offset : kx * n + offset + n_small]
            source = small[part, kx * n_small : kx * n_small + n_small]
            for k in range(n_small):
                target[k] += source[k]


@compiled
def _correlate(
    sample: Floats,
    weight: np.float32,
    sign: np.float32,
    plus: Floats,
    shape: tuple[int, int, int, int],
    large: Floats,
    small: Floats,
    out: Floats,
) -> None:
    """Add weight conj(sample) (plus + sign large) to `out`."""
    n, channels, n_small, channels_small = shape
    offset = (n - n_small) // 2
    for part in range(2):
        values, added = large[part], plus[part]
        for k in range(values.size):
            values[k] = weight * (added[k] + sign * values[k])
        for kx in range(n_small // 2 + 1):
            # Number by number: see `datasets.compiled`.
            source, target = values[kx * n + offset :], small[part, kx * n_small :]
            for k in range(n_small):
                target[k] = source[k]
    begin = 0
    for block in range(2):
        p, q = (large[0], large[1]) if block == 0 else (small[0], small[1])
        size = p.size
        for _ in range(channels if block == 0 else channels_small):
            a, b = sample[begin : begin + size], sample[begin + size : begin + 2 * size]
            target_r, target_i = out[begin : begin + size], out[begin + size : begin + 2 * size]
            for k in range(size):
                target_r[k] += a[k] * p[k] + b[k] * q[k]
                target_i[k] += a[k] * q[k] - b[k] * p[k]
            begin += 2 * size
