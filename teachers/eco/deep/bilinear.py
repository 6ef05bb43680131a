"""The data term of frame 0, for samples of all channels: responses to vectors, and back, in one pass.

The samples take 44 MB and are read a hundred times. They are kept in two orders, so that both ways are sums of long
vectors: a quarter of the time of two batched matrix products, whose right-hand sides are only two columns wide.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled

Floats = NDArray[np.float32]

_NOTHING = np.zeros(0, dtype=np.float32)


class Samples:
    """Samples x_j of all channels, which weigh the same.

    Args:
        series: float32 (J, channels, 2, coefficients).
    """

    def __init__(self, series: Floats) -> None:
        count, channels, _, size = series.shape
        self._weight = np.float32(1 / count)
        # The samples' real parts, then their imaginary parts.
        self._by_sample = np.ascontiguousarray(series.transpose(3, 2, 0, 1)).reshape(
            size, 2 * count, channels
        )
        self._by_channel = np.ascontiguousarray(self._by_sample.transpose(0, 2, 1))

    def projected(self, projection: Floats) -> Floats:
        """The samples under a projection, float32 (channels, kept): float32 (J, kept, 2, coefficients)."""
        size, parts, channels = self._by_sample.shape
        series = (self._by_sample.reshape(-1, channels) @ projection).reshape(size, 2, parts // 2, -1)
        return np.ascontiguousarray(series.transpose(2, 3, 1, 0))

    def curvature(self, vectors: Floats) -> Floats:
        """sum_j conj(x_j) (x_j . v) / J at each frequency, float32 (coefficients, 2, channels), as `vectors` are."""
        return self._through(vectors, _NOTHING)

    def gradient(self, vectors: Floats, label: Floats) -> Floats:
        """sum_j conj(x_j) (x_j . v - y) / J for a real label y, float32 (coefficients,)."""
        return self._through(vectors, label)

    def _through(self, vectors: Floats, label: Floats) -> Floats:
        out = np.empty_like(vectors)
        _there_and_back(self._by_channel, self._by_sample, vectors, label, self._weight, out)
        return out


@compiled
def _there_and_back(
    by_channel: Floats, by_sample: Floats, vectors: Floats, label: Floats, weight: np.float32, out: Floats
) -> None:
    size, channels, parts = by_channel.shape
    count = parts // 2
    zero = np.float32(0)
    # Products of all samples' parts with the vector's real and with its imaginary part.
    with_r, with_i = np.empty(parts, np.float32), np.empty(parts, np.float32)
    for k in range(size):
        with_r[:] = zero
        with_i[:] = zero
        for d in range(channels):
            x, p, q = by_channel[k, d], vectors[k, 0, d], vectors[k, 1, d]
            for j in range(parts):
                with_r[j] += p * x[j]
            for j in range(parts):
                with_i[j] += q * x[j]
        miss = label[k] if label.size > 0 else zero
        to_r, to_i = out[k, 0], out[k, 1]
        to_r[:] = zero
        to_i[:] = zero
        for j in range(count):
            real = weight * (with_r[j] - with_i[count + j] - miss)
            imaginary = weight * (with_i[j] + with_r[count + j])
            x, y = by_sample[k, j], by_sample[k, count + j]
            for d in range(channels):
                to_r[d] += real * x[d] + imaginary * y[d]
            for d in range(channels):
                to_i[d] += imaginary * x[d] - real * y[d]
