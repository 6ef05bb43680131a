"""The latest 200 samples, weighted by age, and their normal equations.

Unlike the paper's tracker (`teachers.eco.sample_space`), pytracking's has no mixture of components: a new sample
takes the place of the one that weighs least.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from teachers.eco.deep.ages import CAPACITY, Ages
from teachers.eco.deep.gram import NormalEquations
from teachers.eco.layout import Block

Floats = NDArray[np.float32]


class Memory:
    """Samples of one kind of features.

    Args:
        block: How they are laid out.
        rate: Weight of a new sample.
        first: Frame 0's samples, float32 (J, size); each weighs 1 / J.
    """

    def __init__(self, block: Block, rate: float, first: Floats) -> None:
        count = len(first)
        # Memory that was never written takes no space.
        self._samples = np.zeros((CAPACITY, first.shape[1]), dtype=np.float32)
        self._samples[:count] = first
        self._ages = Ages(count, rate)
        self._equations = NormalEquations(block)
        self._equations.update(0.0, list(first), [1 / count] * count)
        # What the equations do not know yet: the factor on their weights, slots written, samples overwritten.
        self._shrink = 1.0
        self._written: list[int] = []
        self._known = np.zeros(CAPACITY, dtype=bool)
        self._known[:count] = True
        self._gone: list[tuple[Floats, float]] = []

    def add(self, sample: Floats) -> None:
        """Take in a sample, float32 (size,)."""
        slot, _, former, factor = self._ages.renew()
        if self._known[slot]:
            # Its weight in the equations, whose factor is still to come.
            self._gone.append((self._samples[slot].copy(), former / self._shrink))
            self._known[slot] = False
        self._shrink *= factor
        self._samples[slot] = sample
        self._written.append(slot)

    def equations(self) -> NormalEquations:
        """The normal equations of all samples so far."""
        written = sorted(set(self._written))
        samples = [self._samples[slot] for slot in written] + [sample for sample, _ in self._gone]
        weights = [float(self._ages.values[slot]) for slot in written]
        weights += [-weight * self._shrink for _, weight in self._gone]
        if samples:
            self._equations.update(self._shrink, samples, weights)
        self._known[written] = True
        self._shrink, self._written, self._gone = 1.0, [], []
        return self._equations
