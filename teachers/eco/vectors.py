"""Inner products and updates of whole vectors, for the conjugate gradient method.

Sums are kept in 64 running totals, so that they are the same whatever the width of a processor's vectors.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled

Floats = NDArray[np.float32]

LANES = 64


@compiled
def inner(a: Floats, b: Floats, weights: Floats) -> float:
    """The weighted inner product of float32 (size,)."""
    totals = np.zeros(LANES, np.float64)
    whole = a.size // LANES * LANES
    for start in range(0, whole, LANES):
        p, q, w = a[start : start + LANES], b[start : start + LANES], weights[start : start + LANES]
        for lane in range(LANES):
            totals[lane] += np.float64(p[lane] * w[lane]) * np.float64(q[lane])
    for i in range(whole, a.size):
        totals[0] += np.float64(a[i] * weights[i]) * np.float64(b[i])
    return float(totals.sum())


@compiled
def multiply(a: Floats, b: Floats, out: Floats) -> None:
    """Set out = a b, elementwise."""
    for i in range(a.size):
        out[i] = a[i] * b[i]


@compiled
def advance(a: Floats, factor: np.float32, b: Floats) -> None:
    """Add factor b to a."""
    for i in range(a.size):
        a[i] += factor * b[i]


@compiled
def redirect(p: Floats, beta: np.float32, z: Floats) -> None:
    """Set p = z + beta p."""
    for i in range(p.size):
        p[i] = z[i] + beta * p[i]
