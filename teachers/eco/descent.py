"""Preconditioned conjugate gradients, in the two kinds that ECO takes: one loop, because the kinds differ in a term.

Frame 0 takes Fletcher-Reeves steps, each time from scratch. Later updates take Polak-Ribiere steps, and the last
direction of one is the first of the next, with its weight reduced, because the samples have hardly changed.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from teachers.eco.vectors import advance, inner, multiply, redirect

Floats = NDArray[np.float32]


class Descent:
    """Steps towards the solution of normal equations; buffers are reused.

    Args:
        weights: Of each value in an inner product, float32 (size,).
        steps: How many at most: it ends early where the residual vanishes or the equations are not positive.
        forget: Weight of the last call's direction, for Polak-Ribiere steps; None for Fletcher-Reeves steps, of one
            call only.
    """

    def __init__(self, weights: Floats, steps: int, forget: float | None = None) -> None:
        self._weights, self._steps = weights, steps
        self._forget = 1.0 if forget is None else forget
        self._direction, self._step, self._conditioned = (np.zeros_like(weights) for _ in range(3))
        self._previous = None if forget is None else np.zeros_like(weights)
        self._rho = 0.0

    def take(self, x: Floats, r: Floats, apply: Callable[[Floats, Floats], None], inverse: Floats) -> None:
        """Take the steps.

        Args:
            x: float32 (size,); updated.
            r: The residual at x, float32 (size,); overwritten.
            apply: Sets its second argument to the normal equations' matrix times the first.
            inverse: The preconditioner's inverse, float32 (size,).
        """
        p, q, z = self._direction, self._step, self._conditioned
        before = self._rho / self._forget
        for step in range(self._steps):
            multiply(r, inverse, z)
            rho = inner(r, z, self._weights)
            if rho <= 0:
                break
            # What the last residual shares with this one is what Fletcher-Reeves takes to be nothing.
            shared = 0.0 if self._previous is None else inner(self._previous, z, self._weights)
            beta = max(0.0, (rho - shared) / before) if before > 0 else 0.0
            redirect(p, np.float32(beta), z)
            before = self._rho = rho
            if self._previous is not None:
                self._previous[:] = r
            apply(p, q)
            bend = inner(p, q, self._weights)
            if bend <= 0:
                break
            alpha = rho / bend
            advance(x, np.float32(alpha), p)
            if step < self._steps - 1:
                advance(r, np.float32(-alpha), q)
