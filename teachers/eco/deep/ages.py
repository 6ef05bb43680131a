"""How much each sample of a memory weighs: less the older it is, and a new one takes the place of the lightest."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

CAPACITY = 200
"""Samples that are kept."""


class Renewal(NamedTuple):
    """What happened to the weights when a sample came.

    Attributes:
        place: Where it goes, from 0 to `CAPACITY` - 1.
        weight: Its weight.
        former: What the sample that was there weighed before, 0 if there was none.
        factor: What all other weights were multiplied by.
    """

    place: int
    weight: float
    former: float
    factor: float


class Ages:
    """Weights of the samples of one memory; they sum to 1.

    Args:
        count: Samples that it begins with, which weigh the same.
        rate: Weight of a new sample.

    Attributes:
        values: float64 (CAPACITY,); 0 where there is no sample yet.
    """

    def __init__(self, count: int, rate: float) -> None:
        self._rate = rate
        self.values = np.zeros(CAPACITY)
        self.values[:count] = 1 / count
        self._latest = -1

    def renew(self) -> Renewal:
        """Weigh a new sample; as published, its weight grows from frame to frame until all are brought to sum 1."""
        place = int(self.values.argmin())
        former = float(self.values[place])
        if self._latest < 0:
            factor = 1 / (1 - self._rate)
            self.values *= factor
            self.values[place] = self._rate
        else:
            factor = 1.0
            self.values[place] = self.values[self._latest] / (1 - self._rate)
        total = self.values.sum()
        self.values /= total
        self._latest = place
        return Renewal(place, float(self.values[place]), former, float(factor / total))
