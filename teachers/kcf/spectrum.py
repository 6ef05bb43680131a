"""Discrete Fourier transforms of feature maps, by a product with tables or by SciPy's FFT.

The direct transform is two products with tables of cosines and sines over vectors that hold all channels of a
cell, halved by adding and subtracting mirrored cells first: 0.13 ms on 71 x 23 cells where SciPy takes 0.33, but
8.4 instead of 4.0 on 187 x 187. `teachers.kcf.costs` chooses by the grid's size alone.

Bits: the direct transform sums products in a fixed order without fused multiply-add, so equal tables (NumPy's
cosines and sines, rounded to float32) give equal bits on every processor. SciPy's FFT runs in one thread; its
order is fixed by the library's build, which does not look at the processor (SciPy 1.17's wheels for x86-64 use
SSE2 only): one build gives equal bits from run to run, other builds may differ in the last ones.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from datasets.compiled import compiled
from teachers.kcf.costs import FEATURES, direct_is_faster

Floats = NDArray[np.float32]
Complexes = NDArray[np.complex64]

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
        direct: Use the direct transform (true) or SciPy's FFT (false); by default the faster one. They
            agree to float32's precision.
    """

    def __init__(self, rows: int, columns: int, direct: bool | None = None) -> None:
        self.shape = (rows // 2 + 1, columns, 2, 32)
        self._direct = direct_is_faster(rows, columns, FEATURES) if direct is None else direct
        if not self._direct:
            return
        self._vertical, self._horizontal = Axis.of(rows), Axis.of(columns)
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
        if not self._direct:
            # The last axis named is the halved one.
            _split(fft.rfft2(features, axes=(1, 0), workers=1), out)
            return out
        n, m, lanes = features.shape
        v, h = self._vertical, self._horizontal
        work = (self._even, self._odd, self._cosines, self._sines)
        _transform_columns(features.reshape(n, m * lanes), v.cosine, v.sine, *work, self._half)
        _transform_rows(self._half, m, h.cosine, h.sine, *work, out.reshape(n // 2 + 1, m, 64))
        return out


@compiled
def _split(spectrum: Complexes, out: Floats) -> None:
    """Copy complex (rows, m, 32) into real and imaginary parts, (rows, m, 2, 32)."""
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            source, real, imaginary = spectrum[row, column], out[row, column, 0], out[row, column, 1]
            for i in range(32):
                real[i] = source[i].real
                imaginary[i] = source[i].imag


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
                # Number by number: see `datasets.compiled`.
                for i in range(64):
                    cosines[k, i] = first[i]
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
                    for i in range(32):
                        target[i] = source[i]
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
