"""The sample memory: a mixture of at most J components, each a mean of similar samples (ECO, Section 3.3).

A new sample takes the place of a forgotten one, is merged into the component that it resembles, or has the two
components merged that resemble each other most. Distances come from a Gram matrix that is updated with the
components.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

RATE = 0.009
LANES = 256
"""Running totals of a sum: as many whatever the width of a processor's vectors, few terms for each."""

_FORGOTTEN = RATE * (1 - RATE) ** 60


class SampleSpace:
    """Samples and their weights.

    Args:
        capacity: J, the most components.
        size: Length of a sample.
    """

    def __init__(self, capacity: int, size: int) -> None:
        self._samples = np.zeros((capacity, size), dtype=np.float32)
        self._weights = np.zeros(capacity, dtype=np.float64)
        self._gram = np.zeros((capacity, capacity), dtype=np.float64)
        self._count = 0

    @property
    def samples(self) -> Floats:
        """The components' means, a view, float32 (count, size)."""
        return self._samples[: self._count]

    @property
    def weights(self) -> Floats:
        """The components' weights, float32 (count,); they sum to 1."""
        return self._weights[: self._count].astype(np.float32)

    def add(self, sample: Floats) -> None:
        """Take in a sample, float32 (size,)."""
        # Inner products with all components, and with itself.
        products = np.empty(self._count + 1)
        _products(self.samples, sample, products)
        if self._count == 0:
            self._count = 1
            self._weights[0] = 1
            self._put(0, sample, products)
            return
        if self._count < len(self._samples):
            self._weights *= 1 - RATE
            self._weights[self._count] = RATE
            self._count += 1
            self._put(self._count - 1, sample, products)
            return
        own, products = float(products[-1]), products[:-1]
        lightest = int(self._weights.argmin())
        if self._weights[lightest] < _FORGOTTEN:
            self._weights[lightest] = 0
            self._weights *= (1 - RATE) / self._weights.sum()
            self._weights[lightest] = RATE
            products[lightest] = own
            self._put(lightest, sample, products)
            return
        squares = self._gram.diagonal()
        distances = np.maximum(own + squares - 2 * products, 0)
        between = np.maximum(squares[:, None] + squares[None, :] - 2 * self._gram, 0)
        np.fill_diagonal(between, np.inf)
        nearest = int(distances.argmin())
        # The matrix is symmetric: the first minimum by rows is the first by columns.
        pair = divmod(int(between.argmin()), len(between))
        self._weights *= 1 - RATE
        if distances[nearest] < between[pair]:
            self._blend(nearest, sample, RATE, products, own)
            return
        # argmin gives the smaller index as the row; by columns it is the second of the pair.
        kept, freed = pair[::-1] if self._weights[pair[1]] >= self._weights[pair[0]] else pair
        share = self._weights[freed] / (self._weights[kept] + self._weights[freed])
        products[kept] = (1 - share) * products[kept] + share * products[freed]
        self._blend(
            kept,
            self._samples[freed],
            self._weights[freed],
            self._gram[freed].copy(),
            self._gram[freed, freed],
        )
        self._weights[freed] = RATE
        products[freed] = own
        self._put(freed, sample, products)

    def _put(self, slot: int, sample: Floats, products: Doubles) -> None:
        """Write a sample with its inner products with all components, itself in its own slot."""
        self._samples[slot] = sample
        self._gram[slot, : self._count] = products
        self._gram[: self._count, slot] = products

    def _blend(self, slot: int, other: Floats, weight: float, products: Doubles, square: float) -> None:
        """Make a component the weighted mean of itself and another sample of known inner products."""
        total = self._weights[slot] + weight
        a, b = self._weights[slot] / total, weight / total
        _mean(self._samples[slot], np.float32(a), other, np.float32(b))
        own = a * a * self._gram[slot, slot] + b * b * square + 2 * a * b * products[slot]
        row = a * self._gram[slot] + b * products
        row[slot] = own
        self._gram[slot] = self._gram[:, slot] = row
        self._weights[slot] = total


@compiled
def _products(samples: Floats, sample: Floats, out: Doubles) -> None:
    """2 Re <x_j, x> over all stored coefficients for each component, and for the sample itself at last."""
    totals = np.empty(LANES, np.float32)
    whole = sample.size // LANES * LANES
    for j in range(samples.shape[0] + 1):
        other = samples[j] if j < samples.shape[0] else sample
        totals[:] = np.float32(0)
        for start in range(0, whole, LANES):
            a, b = other[start : start + LANES], sample[start : start + LANES]
            for lane in range(LANES):
                totals[lane] += a[lane] * b[lane]
        total = 0.0
        for lane in range(LANES):
            total += np.float64(totals[lane])
        for i in range(whole, sample.size):
            total += np.float64(other[i] * sample[i])
        out[j] = 2 * total


@compiled
def _mean(target: Floats, a: np.float32, other: Floats, b: np.float32) -> None:
    """Set target = a target + b other."""
    for i in range(target.size):
        target[i] = a * target[i] + b * other[i]
