"""Discrete Fourier transforms of feature maps, for the small sizes (primes too) of correlation filters.

A transform is two products with tables of cosines and sines over vectors that hold all channels of a cell,
halved by adding and subtracting mirrored cells first. Against `scipy.fft.rfft2` on 31 planes (which would also have
to be made) it takes 146 us instead of 295 on 71 x 23 cells and 13 instead of 29 on 17 x 14, but 149 instead of 97 on
48 x 40. Products are summed in a fixed order without fused multiply-add: the same bits on every processor.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from teachers.features.compiled import compiled

Floats = NDArray[np.float32]

_CHUNK = 64
_ZERO = np.float32(0)


@dataclass(frozen=True)
class Axis:
    """Tables of one axis of length n, for mirrored pairs (j, n - j), j = 1 .. p, p = (n - 1) // 2.

    Attributes:
        length: n.
        cosine: float32 (rows, terms): cos(2 pi k j / n) at [k, j - 1], k = 0 .. n // 2; zero rows and columns
            fill up to a multiple of 2 rows and 4 terms.
        sine: The same of sin.
    """

    length: int
    cosine: Floats
    sine: Floats

    @classmethod
    def of(cls, n: int) -> Self:
        """Build the tables for length n >= 3."""
        pairs = (n - 1) // 2
        k, j = np.arange(n // 2 + 1)[:, None], np.arange(1, pairs + 1)[None, :]
        angle = 2 * np.pi * (k * j % n) / n
        pad = ((0, -k.size % 2), (0, -pairs % 4))
        return cls(n, *(np.pad(f(angle), pad).astype(np.float32) for f in (np.cos, np.sin)))


class Spectrum:
    """Transforms feature maps of one size; its buffers are reused.

    A spectrum is float32 (n // 2 + 1, m, 2, 32): real and imaginary parts of the frequencies that a real map
    needs (the rows below n / 2 are mirrored conjugates), channels last.

    Args:
        rows: n, cells in a column.
        columns: m, cells in a row.
    """

    def __init__(self, rows: int, columns: int) -> None:
        self._vertical, self._horizontal = Axis.of(rows), Axis.of(columns)
        self.shape = (rows // 2 + 1, columns, 2, 32)
        terms = max(self._vertical.cosine.shape[1], self._horizontal.cosine.shape[1])
        sums = max(self._vertical.cosine.shape[0], self._horizontal.cosine.shape[0])
        self._even, self._odd = (np.zeros((terms, _CHUNK), dtype=np.float32) for _ in range(2))
        self._cosines, self._sines = (np.zeros((sums, _CHUNK), dtype=np.float32) for _ in range(2))
        self._half = np.zeros((rows // 2 + 1, 2, columns * 32), dtype=np.float32)

    def __call__(self, features: Floats, out: Floats) -> Floats:
        """Transform a feature map over its two spatial axes.

        Args:
            features: float32 (n, m, 32).
            out: float32 (n // 2 + 1, m, 2, 32); overwritten.

        Returns:
            `out`.
        """
        n, m, lanes = features.shape
        v, h = self._vertical, self._horizontal
        work = (self._even, self._odd, self._cosines, self._sines)
        _transform_columns(features.reshape(n, m * lanes), v.cosine, v.sine, *work, self._half)
        _transform_rows(self._half, m, h.cosine, h.sine, *work, out.reshape(n // 2 + 1, m, 64))
        return out


@compiled
def _accumulate(coefficients: Floats, vectors: Floats, sums: Floats) -> None:
    """Add in place: sums += coefficients @ vectors, for 2 i rows, 4 j terms, vectors of 64."""
    rows, terms = coefficients.shape
    for row in range(0, rows, 2):
        first, second = sums[row], sums[row + 1]
        for term in range(0, terms, 4):
            v, w, x, y = vectors[term], vectors[term + 1], vectors[term + 2], vectors[term + 3]
            a, b = coefficients[row, term], coefficients[row, term + 1]
            c, d = coefficients[row, term + 2], coefficients[row, term + 3]
            e, f = coefficients[row + 1, term], coefficients[row + 1, term + 1]
            g, h = coefficients[row + 1, term + 2], coefficients[row + 1, term + 3]
            for i in range(64):
                first[i] += (a * v[i] + b * w[i]) + (c * x[i] + d * y[i])
                second[i] += (e * v[i] + f * w[i]) + (g * x[i] + h * y[i])


@compiled
def _transform_columns(
    features: Floats,
    cosine: Floats,
    sine: Floats,
    even: Floats,
    odd: Floats,
    cosines: Floats,
    sines: Floats,
    out: Floats,
) -> None:
    """Transform (n, length) real vectors over n into `out`, (n // 2 + 1, 2, length)."""
    n, length = features.shape
    terms, outputs = (n - 1) // 2, n // 2 + 1
    for start in range(0, length, 64):
        # The last chunk may overlap the one before: it computes the same there.
        at = min(start, length - 64)
        first = features[0, at : at + 64]
        for j in range(terms):
            one, other = features[j + 1, at : at + 64], features[n - 1 - j, at : at + 64]
            plus, minus = even[j], odd[j]
            for i in range(64):
                plus[i] = one[i] + other[i]
                minus[i] = one[i] - other[i]
        for k in range(outputs):
            if n % 2 == 0:
                middle, sign = features[n // 2, at : at + 64], np.float32(1 - 2 * (k % 2))
                for i in range(64):
                    cosines[k, i] = first[i] + middle[i] * sign
            else:
                cosines[k, :] = first
            sines[k, :] = _ZERO
        _accumulate(cosine, even, cosines)
        _accumulate(sine, odd, sines)
        for k in range(outputs):
            real, imaginary = out[k, 0, at : at + 64], out[k, 1, at : at + 64]
            for i in range(64):
                real[i] = cosines[k, i]
                imaginary[i] = -sines[k, i]


@compiled
def _transform_rows(
    half: Floats,
    m: int,
    cosine: Floats,
    sine: Floats,
    even: Floats,
    odd: Floats,
    cosines: Floats,
    sines: Floats,
    out: Floats,
) -> None:
    """Transform complex vectors over m: `half` (rows, 2, m * 32) into `out` (rows, m, 64)."""
    terms, outputs = (m - 1) // 2, m // 2 + 1
    for row in range(half.shape[0]):
        for part in range(2):
            source, place = half[row, part], 32 * part
            for j in range(terms):
                one, other = source[32 * (j + 1) : 32 * (j + 2)], source[32 * (m - 1 - j) : 32 * (m - j)]
                plus, minus = even[j, place : place + 32], odd[j, place : place + 32]
                for i in range(32):
                    plus[i] = one[i] + other[i]
                    minus[i] = one[i] - other[i]
            for k in range(outputs):
                target = cosines[k, place : place + 32]
                if m % 2 == 0:
                    sign = np.float32(1 - 2 * (k % 2))
                    for i in range(32):
                        target[i] = source[i] + source[16 * m + i] * sign
                else:
                    target[:] = source[:32]
        sines[:outputs] = _ZERO
        _accumulate(cosine, even, cosines)
        _accumulate(sine, odd, sines)
        for k in range(outputs):
            direct, mirrored = out[row, k], out[row, (m - k) % m]
            c, s = cosines[k], sines[k]
            for i in range(32):
                direct[i] = c[i] + s[32 + i]
                direct[32 + i] = c[32 + i] - s[i]
            if k > 0:
                for i in range(32):
                    mirrored[i] = c[i] - s[32 + i]
                    mirrored[32 + i] = c[32 + i] + s[i]
