"""A few steps of preconditioned conjugate gradients on the filter, whose state outlives the frame.

Polak-Ribiere directions; the last direction of one update is the first of the next, with its weight reduced
(Danelljan et al., ECO, CVPR 2017, Section 3.4, and the authors' settings for hand-crafted features).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from teachers.eco.data_term import DataTerm
from teachers.eco.layout import Layout
from teachers.eco.regularisation import Regulariser
from teachers.eco.vectors import advance, inner, multiply, redirect

Floats = NDArray[np.float32]

STEPS = 5
_FORGET = (1 - 0.009) ** 50
_DATA_SHARE, _REGULARISER_SHARE = 0.75, 0.25


def diagonal(energy: Floats, layout: Layout, regulariser: Regulariser) -> Floats:
    """The preconditioner's inverse, float32 (size,).

    Args:
        energy: Mean squared samples |x|^2, the same for both parts, float32 (size,).
        layout: How vectors are laid out.
        regulariser: Its energy counts.
    """
    out = np.empty_like(energy)
    for block in layout.blocks:
        own = block.of(energy)
        mixed = _DATA_SHARE * own + (1 - _DATA_SHARE) * own.mean(axis=0)
        block.of(out)[:] = 1 / ((1 - _REGULARISER_SHARE) * mixed + _REGULARISER_SHARE * regulariser.energy)
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
        self._weights, self._data, self._regulariser = layout.weights, data, regulariser
        size = layout.size
        self._residual, self._previous, self._direction, self._step, self._conditioned = (
            np.zeros(size, dtype=np.float32) for _ in range(5)
        )
        self._rho = 0.0

    def improve(self, filters: Floats, samples: Floats, weights: Floats, inverse: Floats) -> None:
        """Take five steps from the current filter.

        Args:
            filters: float32 (size,); updated.
            samples: float32 (J, size).
            weights: Their weights, float32 (J,).
            inverse: The preconditioner's inverse, float32 (size,).
        """
        r, p, q, z = self._residual, self._direction, self._step, self._conditioned
        self._data.descent(samples, weights, filters, r)
        q[:] = 0
        self._regulariser.add(filters, q)
        advance(r, np.float32(-1), q)
        before = self._rho / _FORGET
        for step in range(STEPS):
            multiply(r, inverse, z)
            rho = inner(r, z, self._weights)
            if rho <= 0:
                break
            beta = max(0.0, (rho - inner(self._previous, z, self._weights)) / before) if before > 0 else 0.0
            redirect(p, np.float32(beta), z)
            before = self._rho = rho
            self._previous[:] = r
            self._data.curvature(samples, weights, p, q)
            self._regulariser.add(p, q)
            bend = inner(p, q, self._weights)
            if bend <= 0:
                break
            alpha = rho / bend
            advance(filters, np.float32(alpha), p)
            if step < STEPS - 1:
                advance(r, np.float32(-alpha), q)
