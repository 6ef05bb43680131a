"""Gradient votes of FHOG as a table, with the approximate 1/x and 1/sqrt(x) of the published code.

Dollar's FHOG, which the KCF and ECO authors ran, uses SSE's RCPPS and RSQRTPS: about 12 bits, and other bits
on processors of other makers. Boxes published for KCF depend on them (two cells of a response may differ by
1e-6), so they are modelled here after Intel's stated error, 1.5 * 2^-12, and never asked of the processor at
hand.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]

LARGEST = 510
"""The largest integer gradient: a border difference of 255, counted double."""

_ORIENTATIONS = 18
_ROUND = 2.0**13


def _middle(x: ArrayLike, bits: int) -> NDArray[np.float64]:
    """Keep the top mantissa bits of float32 x and move to the middle of the interval that they leave."""
    raw = np.asarray(x, dtype=np.float32).view(np.uint32)
    dropped = 23 - bits
    kept = (raw >> dropped << dropped) | np.uint32(1 << (dropped - 1))
    return kept.astype(np.uint32).view(np.float32).astype(np.float64)


def _rounded(value: NDArray[np.float64]) -> Floats:
    """Round the mantissa, scaled to [0.5, 1), half up to a multiple of 2^-13."""
    mantissa, exponent = np.frexp(value)
    return np.ldexp(np.floor(mantissa * _ROUND + 0.5) / _ROUND, exponent).astype(np.float32)


def reciprocal(x: ArrayLike) -> Floats:
    """RCPPS for positive normal float32 of any shape: 1 / x to about 12 bits, 0.99975586 for 1."""
    return _rounded(1.0 / _middle(x, 11))


def reciprocal_root(x: ArrayLike) -> Floats:
    """RSQRTPS for positive normal float32 of any shape: 1 / sqrt(x) to about 12 bits."""
    return _rounded(1.0 / np.sqrt(_middle(x, 10)))


def _orientation_bins() -> NDArray[np.uint32]:
    """Bin (0..17) by half-plane and integer cosine, uint32 (2, 20101); column 10050 + i: cosine i / 10000.

    Row 0 is gy >= 0, row 1 gy < 0. The angle is acos of a cosine cut to 1/10000, as in the published code.
    """
    angles = np.zeros(20101, dtype=np.float32)
    for i in range(-10050, 10051):
        cosine = min(max(i / 10000.0, -1.0), 1.0)
        angles[i + 10050] = min(math.acos(cosine), math.pi - 1e-6)
    both = np.stack([angles, angles + np.float32(math.pi)])
    bins = (both * np.float32(_ORIENTATIONS / (2 * math.pi)) + np.float32(0.5)).astype(np.uint32)
    bins[bins == _ORIENTATIONS] = 0
    return bins


@dataclass(frozen=True)
class Votes:
    """What a pixel votes, by its integer gradient (dx, dy) in units of half a grey level of 255.

    Attributes:
        magnitude: float32 (511, 511), at [|dy|, |dx|]: the gradient's length for grey levels in 0..1; 0 at
        (0, 0).
        bins: uint32 (511, 511), at [|dy|, |dx|]: four orientation bins of 8 bits, that of (dx >= 0, dy >= 0)
            lowest, then (dx < 0, dy >= 0), (dx >= 0, dy < 0), (dx < 0, dy < 0).
    """

    magnitude: Floats
    bins: NDArray[np.uint32]


@cache
def votes() -> Votes:
    """The table of all gradients, built once per process in some 20 ms."""
    step = np.arange(LARGEST + 1).astype(np.float32) / np.float32(255) * np.float32(0.5)
    gx, gy = step[None, :], step[:, None]
    square = gx * gx + gy * gy
    square[0, 0] = 1.0  # no gradient, no vote: set below
    root = np.minimum(reciprocal_root(square), np.float32(1e10))
    magnitude = reciprocal(root)
    magnitude[0, 0] = 0.0
    cosine = (gx * root * np.float32(10000)).astype(np.int32)
    by_cosine = _orientation_bins()
    bins = by_cosine[0, 10050 + cosine]
    bins |= by_cosine[0, 10050 - cosine] << 8
    # For gy < 0 the published code turns the cosine's sign before it adds half a turn.
    bins |= by_cosine[1, 10050 - cosine] << 16
    bins |= by_cosine[1, 10050 + cosine] << 24
    return Votes(magnitude, bins)
