"""Improving the filter on the sample memory: a few preconditioned conjugate gradient steps in an update.

Danelljan et al., ECO, CVPR 2017, Section 3.4, and the authors' settings for hand-crafted features.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from teachers.eco.data_term import DataTerm
from teachers.eco.descent import Descent
from teachers.eco.layout import Layout
from teachers.eco.regularisation import Regulariser
from teachers.eco.vectors import advance

Floats = NDArray[np.float32]

STEPS = 5
"""In an update."""

_FORGET = (1 - 0.009) ** 50
_SHARES = 0.75, 0.25


def diagonal(
    energy: Floats, layout: Layout, regulariser: Regulariser, shares: tuple[float, float] = _SHARES
) -> Floats:
    """The preconditioner's inverse, float32 (size,).

    Args:
        energy: Mean squared samples |x|^2, the same for both parts, float32 (size,).
        layout: How vectors are laid out.
        regulariser: Its energy counts.
        shares: Of a channel's own energy beside the mean over channels, and of the regulariser.
    """
    own_share, regulariser_share = shares
    out = np.empty_like(energy)
    for block in layout.blocks:
        own = block.of(energy)
        mixed = own_share * own + (1 - own_share) * own.mean(axis=0)
        block.of(out)[:] = 1 / ((1 - regulariser_share) * mixed + regulariser_share * regulariser.energy)
    return out


def energy_of(sample: Floats, layout: Layout) -> Floats:
    """|x|^2 of each coefficient, in both parts' places, float32 (size,)."""
    out = np.empty_like(sample)
    for block in layout.blocks:
        own = block.of(sample)
        block.of(out)[:] = (own * own).sum(axis=1, keepdims=True)
    return out


class ConjugateGradient:
    """Improves a filter on the sample memory.

    Args:
        layout: How vectors are laid out.
        data: The data term.
        regulariser: The regulariser.
    """

    def __init__(self, layout: Layout, data: DataTerm, regulariser: Regulariser) -> None:
        self._data, self._regulariser = data, regulariser
        self._descent = Descent(layout.weights, STEPS, _FORGET)
        self._residual, self._cost = (np.zeros(layout.size, dtype=np.float32) for _ in range(2))

    def improve(self, filters: Floats, samples: Floats, weights: Floats, inverse: Floats) -> None:
        """Take five steps from the current filter.

        Args:
            filters: float32 (size,); updated.
            samples: float32 (J, size).
            weights: Their weights, float32 (J,).
            inverse: The preconditioner's inverse, float32 (size,).
        """

        def apply(vector: Floats, out: Floats) -> None:
            self._data.curvature(samples, weights, vector, out)
            self._regulariser.add(vector, out)

        r, cost = self._residual, self._cost
        self._data.descent(samples, weights, filters, r)
        cost[:] = 0
        self._regulariser.add(filters, cost)
        advance(r, np.float32(-1), cost)
        self._descent.take(filters, r, apply, inverse)
