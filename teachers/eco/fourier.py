"""Fourier series of odd size on a half plane, as pairs of real planes.

A real function on a grid of n x n cells (n = 2 m + 1) is kept as float32 (2, (m + 1) n): real and imaginary
parts of the coefficients (kx, ky), kx = 0 .. m slowly, ky = -m .. m quickly; the first n are the column
kx = 0. The other half plane is the conjugate. Functions themselves are kept as (x, y), transposed images, so
that the same order serves both. A small series lies in the middle of a large one.

The transforms are products with tables, bitwise the same on every machine. For a sample's thirteen channels on
these grids (27 to 53 cells, many of them primes) they take 63 to 112 microseconds, SciPy's FFT with the
reordering that this layout needs 78 to 120.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled

Floats = NDArray[np.float32]

_BICUBIC = -0.75


class Fourier:
    """Transforms of one grid, and its interpolation function.

    Args:
        n: Cells along a side, odd.

    Attributes:
        coefficients: Coefficients of a half plane, (m + 1) n.
        weights: float32 (2, coefficients): how often each counts in an inner product of real functions, 1 for
            kx = 0 and 2 elsewhere.
    """

    def __init__(self, n: int) -> None:
        if n % 2 == 0 or n < 3:
            raise ValueError(f"a series has an odd number of at least 3 coefficients along a side, not {n}")
        self.n, self.m = n, n // 2
        self.coefficients = (self.m + 1) * n
        self.weights = np.full((2, self.coefficients), 2, dtype=np.float32)
        self.weights[:, :n] = 1
        # (place, frequency): whole turns are dropped before the cosine, for exact symmetry.
        frequencies = np.arange(-self.m, self.m + 1)
        angle = 2 * np.pi / n * (np.arange(n)[:, None] * frequencies[None, :] % n)
        self._cos, self._sin = np.cos(angle).astype(np.float32), np.sin(angle).astype(np.float32)
        axis = spline(n)
        half = axis[self.m :, None] * axis[None, :]
        self._interpolation = planes(half)

    def shift(self, rows: float, columns: float) -> Floats:
        """Interpolation, and a move of the origin by (rows, columns) in radians; float32 (2, coefficients)."""
        ky, kx = np.arange(-self.m, self.m + 1), np.arange(self.m + 1)
        phase = np.exp(1j * kx * columns)[:, None] * np.exp(1j * ky * rows)[None, :]
        return planes(phase)

    def forward(self, maps: Floats, out: Floats) -> Floats:
        """Series of the interpolated functions.

        Args:
            maps: float32 (C, n, n), transposed images.
            out: float32 (C, 2, coefficients); overwritten.
        """
        _forward(maps, self._cos, self._sin, self._interpolation, out)
        return out

    def backward(self, series: Floats) -> Floats:
        """Values of a series at the n x n places 2 pi (x, y) / n, float32 (n, n), transposed."""
        out = np.empty((self.n, self.n), dtype=np.float32)
        _backward(series, self._cos, self._sin, out)
        return out


def planes(values: NDArray[np.complex128]) -> Floats:
    """Real and imaginary parts of a half plane, float32 (2, coefficients)."""
    return np.stack([values.real.ravel(), values.imag.ravel()]).astype(np.float32)


def spline(n: int) -> NDArray[np.complex128]:
    """The bicubic spline's coefficients -m .. m along one axis; a cell's value stands at its middle."""
    k = np.arange(-(n // 2), n // 2 + 1)
    f = np.where(k == 0, 1.0, k / n)
    turn = np.pi * f
    a = _BICUBIC
    series = (
        6 * (1 - np.cos(2 * turn))
        + 3 * a * (1 - np.cos(4 * turn))
        - (6 + 8 * a) * turn * np.sin(2 * turn)
        - 2 * a * turn * np.sin(4 * turn)
    ) / (4 * turn**4)
    values: NDArray[np.complex128] = np.where(k == 0, 1.0, series) / n * np.exp(-1j * np.pi * k / n)
    return values


def label(n: int, out: int, sigma: float) -> Floats:
    """Series of the response wanted: a Gaussian at the origin, float32 (2, coefficients) of a grid of n.

    Args:
        n: Cells along a side.
        out: Cells of the largest grid; every block's label is a part of its label.
        sigma: Width of the Gaussian, in cells of the largest grid.
    """
    k = np.arange(-(n // 2), n // 2 + 1)
    axis = math.sqrt(2 * math.pi) * sigma / out * np.exp(-2 * (math.pi * sigma * k / out) ** 2)
    return planes((axis[n // 2 :, None] * axis[None, :]).astype(np.complex128))


def cosine_window(n: int) -> Floats:
    """Hann window without its zero ends, float32 (n, n)."""
    axis = 0.5 * (1 - np.cos(2 * np.pi * np.arange(1, n + 1) / (n + 1)))
    return np.outer(axis, axis).astype(np.float32)


@compiled
def _forward(maps: Floats, cos: Floats, sin: Floats, interpolation: Floats, out: Floats) -> None:
    """Transform along x into (kx, y), then along y; multiply by the interpolation function.

    Places x and n - x, and frequencies ky and -ky, share their cosines and their sines up to the sign, so that
    sums and differences of such pairs take a third of the products.
    """
    n = maps.shape[1]
    m = n // 2
    zero = np.float32(0)
    even, odd = np.empty((m + 1, n), np.float32), np.empty((m + 1, n), np.float32)
    middle = np.empty((2, n), np.float32)
    cosine_r, cosine_i = np.empty(m + 1, np.float32), np.empty(m + 1, np.float32)
    sine_r, sine_i = np.empty(m + 1, np.float32), np.empty(m + 1, np.float32)
    for c in range(maps.shape[0]):
        for x in range(1, m + 1):
            one, other, total, difference = maps[c, x], maps[c, n - x], even[x], odd[x]
            for y in range(n):
                total[y] = one[y] + other[y]
                difference[y] = one[y] - other[y]
        for kx in range(m + 1):
            middle_r, middle_i, first = middle[0], middle[1], maps[c, 0]
            # Number by number: see `datasets.compiled`.
            for y in range(n):
                middle_r[y] = first[y]
            middle_i[:] = zero
            for x in range(1, m + 1):
                p, q, total, difference = cos[x, m + kx], sin[x, m + kx], even[x], odd[x]
                for y in range(n):
                    middle_r[y] += p * total[y]
                    middle_i[y] -= q * difference[y]
            cosine_r[:] = middle_r[0]
            cosine_i[:] = middle_i[0]
            sine_r[:] = zero
            sine_i[:] = zero
            for y in range(1, m + 1):
                a, b = middle_r[y] + middle_r[n - y], middle_i[y] + middle_i[n - y]
                g, h = middle_i[y] - middle_i[n - y], middle_r[y] - middle_r[n - y]
                p_row, q_row = cos[y, m:], sin[y, m:]
                for k in range(m + 1):
                    cosine_r[k] += a * p_row[k]
                    cosine_i[k] += b * p_row[k]
                    sine_r[k] += g * q_row[k]
                    sine_i[k] += h * q_row[k]
            real, imaginary = out[c, 0, kx * n : kx * n + n], out[c, 1, kx * n : kx * n + n]
            for k in range(m + 1):
                real[m - k] = cosine_r[k] - sine_r[k]
                imaginary[m - k] = cosine_i[k] + sine_i[k]
            for k in range(m + 1):
                real[m + k] = cosine_r[k] + sine_r[k]
                imaginary[m + k] = cosine_i[k] - sine_i[k]
            by_r, by_i = interpolation[0, kx * n : kx * n + n], interpolation[1, kx * n : kx * n + n]
            for k in range(n):
                a, b = real[k], imaginary[k]
                real[k] = a * by_r[k] - b * by_i[k]
                imaginary[k] = a * by_i[k] + b * by_r[k]


@compiled
def _backward(series: Floats, cos: Floats, sin: Floats, out: Floats) -> None:
    """Sum the series along ky, then along kx with the other half plane."""
    n = out.shape[0]
    m = n // 2
    zero = np.float32(0)
    out[:] = zero
    middle_r, middle_i = np.empty(n, np.float32), np.empty(n, np.float32)
    for kx in range(m + 1):
        middle_r[:] = zero
        middle_i[:] = zero
        for k in range(n):
            a, b = series[0, kx * n + k], series[1, kx * n + k]
            # cos[y, ky] is symmetric in place and frequency up to the frequency's offset.
            p_row, q_row = cos[(k - m) % n], sin[(k - m) % n]
            for y in range(n):
                middle_r[y] += a * p_row[y] - b * q_row[y]
                middle_i[y] += a * q_row[y] + b * p_row[y]
        times = np.float32(1) if kx == 0 else np.float32(2)
        for x in range(n):
            p, q = times * cos[x, m + kx], times * sin[x, m + kx]
            # The middle's order is that of the tables: y = -m .. m.
            after, before = out[x, : m + 1], out[x, m + 1 :]
            for y in range(m + 1):
                after[y] += p * middle_r[m + y] - q * middle_i[m + y]
            for y in range(m):
                before[y] += p * middle_r[y] - q * middle_i[y]
