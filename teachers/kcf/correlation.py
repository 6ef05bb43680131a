"""Gaussian kernel correlation of spectra, and ridge regression on it (Henriques et al., eqs. 17, 22, 31).

Everything after the sum over channels is one real map per frame. The sums here have a fixed order (no fused
multiply-add, no reordering) and so equal bits on every processor; for the transforms see
`teachers.kcf.maps`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.kcf.maps import Maps

Floats = NDArray[np.float32]

CHANNELS = 31
_ZERO = np.float32(0)


class Correlation:
    """Kernel correlations of spectra of one grid; its buffers are reused.

    A spectrum is what `teachers.kcf.spectrum.Spectrum` returns, float32 (n // 2 + 1, m, 2, 32). A half
    spectrum of a map is float32 (2, n // 2 + 1, m): real and imaginary parts.

    Args:
        rows: n.
        columns: m.
        kernel_sigma: Width of the Gaussian kernel.
    """

    def __init__(self, rows: int, columns: int, kernel_sigma: float) -> None:
        self._shape = (rows, columns)
        half = rows // 2 + 1
        # Rows k and n - k of a full spectrum are conjugates: those that the half leaves out count double.
        self._times = np.full(half, 2.0, dtype=np.float32)
        self._times[0] = 1.0
        if rows % 2 == 0:
            self._times[-1] = 1.0
        self._maps = Maps(rows, columns)
        self._scale = 1.0 / (CHANNELS * rows * columns * kernel_sigma**2)
        self._map = np.zeros((rows, columns), dtype=np.float32)
        self._cross = np.zeros((2, half, columns), dtype=np.float32)
        self._lanes = np.zeros((2, 32), dtype=np.float32)

    def energy(self, spectrum: Floats) -> float:
        """Sum of |X|^2 over all frequencies and channels, divided by the number of cells."""
        return float(_energy(spectrum.reshape(-1, spectrum.shape[1], 64), self._times)) / self._map.size

    def forward(self, image: Floats) -> Floats:
        """Half spectrum of a real map, float32 (rows, columns); a new array."""
        return self._maps.forward(image, np.empty_like(self._cross))

    def kernel(self, x: Floats, z: Floats, energies: float, out: Floats) -> Floats:
        """Half spectrum of the Gaussian kernel correlation of two spectra.

        Args:
            x: Spectrum.
            z: Spectrum; the correlation is that of X conj(Z).
            energies: energy(x) + energy(z).
            out: float32 (2, n // 2 + 1, m); overwritten.

        Returns:
            `out`.
        """
        shape = (-1, self._shape[1], 64)
        _cross_spectrum(x.reshape(shape), z.reshape(shape), self._lanes, self._cross)
        # The means of the two maps are far larger than what varies in them, and are kept out of the sums: a
        # kernel is often within 1 % of one everywhere, and the regression divides by its small frequencies.
        mean = float(self._cross[0, 0, 0]) / self._map.size
        self._cross[0, 0, 0] = 0
        self._maps.backward(self._cross, self._map)
        _gaussian(self._map, energies - 2 * mean, self._scale)
        self._maps.forward(self._map, out)
        out[0, 0, 0] += self._map.size
        return out

    def peak(self, alpha: Floats, kernel: Floats) -> tuple[int, int]:
        """Row and column (0-based) of the largest response; the first one in column-major order.

        Args:
            alpha: Half spectrum of the regression's coefficients.
            kernel: Half spectrum of the kernel correlation.
        """
        _product(alpha, kernel, self._cross)
        self._cross[0, 0, 0] = 0  # the response's mean moves no peak
        self._maps.backward(self._cross, self._map)
        best = int(_first_maximum(self._map))
        return best // self._shape[1], best % self._shape[1]


@compiled
def _energy(spectrum: Floats, times: Floats) -> float:
    """Sum of squares, each row of frequencies counted `times` times."""
    total = 0.0
    lanes = np.zeros(64, dtype=np.float32)
    for row in range(spectrum.shape[0]):
        lanes[:] = _ZERO
        for column in range(spectrum.shape[1]):
            for c in range(64):
                lanes[c] += spectrum[row, column, c] * spectrum[row, column, c]
        part = 0.0
        for c in range(64):
            part += lanes[c]
        total += part * times[row]
    return total


@compiled
def _cross_spectrum(x: Floats, z: Floats, lanes: Floats, out: Floats) -> None:
    """Sum of X conj(Z) over the channels."""
    real, imaginary = lanes[0], lanes[1]
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            for c in range(32):
                a, b = x[row, column, c], x[row, column, 32 + c]
                d, e = z[row, column, c], z[row, column, 32 + c]
                real[c] = a * d + b * e
                imaginary[c] = b * d - a * e
            for c in range(16):
                real[c] += real[16 + c]
                imaginary[c] += imaginary[16 + c]
            for c in range(8):
                real[c] += real[8 + c]
                imaginary[c] += imaginary[8 + c]
            out[0, row, column] = ((real[0] + real[4]) + (real[2] + real[6])) + (
                (real[1] + real[5]) + (real[3] + real[7])
            )
            out[1, row, column] = ((imaginary[0] + imaginary[4]) + (imaginary[2] + imaginary[6])) + (
                (imaginary[1] + imaginary[5]) + (imaginary[3] + imaginary[7])
            )


@compiled
def _gaussian(values: Floats, energies: float, scale: float) -> None:
    """Turn correlations into exp(-max(0, energies - 2 correlation) * scale) - 1, in place.

    exp(-t) = exp(-t / 4096)^4096, the inner one by its series: below 1e-9 of relative error, and vectors
    throughout.
    """
    flat = values.ravel()
    for i in range(flat.size):
        t = (energies - 2.0 * flat[i]) * scale
        t = t if t > 0.0 else 0.0
        t = t if t < 87.0 else 87.0
        s = t * (-1.0 / 4096.0)
        e = 1.0 + s * (1.0 + s * (1 / 2 + s * (1 / 6 + s * (1 / 24 + s * (1 / 120 + s * (1 / 720))))))
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        e = e * e
        flat[i] = e - 1.0


@compiled
def _product(a: Floats, b: Floats, out: Floats) -> None:
    """Complex product of two half spectra."""
    first, second, third, fourth = a[0].ravel(), a[1].ravel(), b[0].ravel(), b[1].ravel()
    real, imaginary = out[0].ravel(), out[1].ravel()
    for i in range(real.size):
        real[i] = first[i] * third[i] - second[i] * fourth[i]
        imaginary[i] = first[i] * fourth[i] + second[i] * third[i]


@compiled
def _first_maximum(values: Floats) -> int:
    """Index (row-major) of the maximum, the first one in column-major order."""
    rows, columns = values.shape
    best_row, best_column = 0, 0
    best = values[0, 0]
    for row in range(rows):
        for column in range(columns):
            value = values[row, column]
            if value > best or (value == best and column < best_column):
                best, best_row, best_column = value, row, column
    return int(best_row * columns + best_column)


@compiled
def regress(label: Floats, kernel: Floats, lambda_: np.float32, rate: np.float32, alpha: Floats) -> None:
    """Blend in place: alpha = (1 - rate) alpha + rate Y / (K + lambda), half spectra."""
    a, b, c, d = label[0].ravel(), label[1].ravel(), kernel[0].ravel(), kernel[1].ravel()
    real, imaginary = alpha[0].ravel(), alpha[1].ravel()
    keep = np.float32(1) - rate
    for i in range(real.size):
        shifted = c[i] + lambda_
        factor = rate / (shifted * shifted + d[i] * d[i])
        real[i] = real[i] * keep + (a[i] * shifted + b[i] * d[i]) * factor
        imaginary[i] = imaginary[i] * keep + (b[i] * shifted - a[i] * d[i]) * factor


@compiled
def blend(new: Floats, rate: np.float32, model: Floats) -> None:
    """Blend in place: model = (1 - rate) model + rate new."""
    source, target = new.ravel(), model.ravel()
    keep = np.float32(1) - rate
    for i in range(target.size):
        target[i] = target[i] * keep + source[i] * rate
