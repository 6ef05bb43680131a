"""Discrete Fourier transforms of single real maps, by a product with tables or by SciPy's FFT.

On the small grids of most targets the product is faster than the call of a library; `teachers.kcf.costs`
chooses by the grid's size alone. What `teachers.kcf.spectrum` says about equal bits holds here too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from datasets.compiled import compiled
from teachers.kcf.costs import SINGLE, direct_is_faster

Floats = NDArray[np.float32]

_ZERO = np.float32(0)


class Maps:
    """Transforms real maps of one size and back; its buffers are reused.

    A half spectrum is float32 (2, n // 2 + 1, m): real and imaginary parts of the rows of frequencies that
    are not mirrored conjugates of others.

    Args:
        rows: n.
        columns: m.
        direct: Use the direct transform (true) or SciPy's FFT (false); by default the faster one.
    """

    def __init__(self, rows: int, columns: int, direct: bool | None = None) -> None:
        half = rows // 2 + 1
        self._direct = direct_is_faster(rows, columns, SINGLE) if direct is None else direct
        if not self._direct:
            self._complex = np.empty((half, columns), dtype=np.complex64)
            return
        k, y = np.arange(half)[:, None], np.arange(rows)[None, :]
        vertical = 2 * np.pi * (k * y % rows) / rows
        x = np.arange(columns)
        horizontal = 2 * np.pi * (x[:, None] * x[None, :] % columns) / columns
        self._vertical = np.stack([np.cos(vertical), np.sin(vertical)]).astype(np.float32)
        self._horizontal = np.stack([np.cos(horizontal), np.sin(horizontal)]).astype(np.float32)
        # Rows k and n - k of a full spectrum are conjugates: those that the half leaves out count double.
        times = np.full(half, 2.0, dtype=np.float32)
        times[0] = 1.0
        if rows % 2 == 0:
            times[-1] = 1.0
        counted = self._vertical * (times / (rows * columns))[:, None]
        self._inverse = np.ascontiguousarray(counted.transpose(0, 2, 1)).astype(np.float32)
        self._work = np.zeros((2, half, columns), dtype=np.float32)

    def forward(self, image: Floats, out: Floats) -> Floats:
        """Half spectrum of a map.

        Args:
            image: float32 (n, m).
            out: float32 (2, n // 2 + 1, m); overwritten.

        Returns:
            `out`.
        """
        if self._direct:
            _forward(image, self._vertical, self._horizontal, self._work, out)
        else:
            # The last axis named is the halved one.
            spectrum = fft.rfft2(image, axes=(1, 0), workers=1)
            out[0], out[1] = spectrum.real, spectrum.imag
        return out

    def backward(self, spectrum: Floats, out: Floats) -> Floats:
        """Map of a half spectrum.

        Args:
            spectrum: float32 (2, n // 2 + 1, m).
            out: float32 (n, m); overwritten.

        Returns:
            `out`.
        """
        if self._direct:
            _backward(spectrum, self._inverse, self._horizontal, self._work, out)
        else:
            self._complex.real, self._complex.imag = spectrum[0], spectrum[1]
            out[:] = fft.irfft2(self._complex, s=out.shape[::-1], axes=(1, 0), overwrite_x=True, workers=1)
        return out


@compiled
def _forward(image: Floats, vertical: Floats, horizontal: Floats, work: Floats, out: Floats) -> None:
    """Half spectrum of a real map: down the columns, then along the rows."""
    n, m = image.shape
    half = vertical.shape[1]
    work[:] = _ZERO
    for k in range(half):
        real, imaginary = work[0, k], work[1, k]
        for y in range(n):
            cosine, sine, line = vertical[0, k, y], vertical[1, k, y], image[y]
            for x in range(m):
                real[x] += cosine * line[x]
                imaginary[x] -= sine * line[x]
    out[:] = _ZERO
    for k in range(half):
        real, imaginary = out[0, k], out[1, k]
        for x in range(m):
            a, b = work[0, k, x], work[1, k, x]
            cosine, sine = horizontal[0, x], horizontal[1, x]
            for i in range(m):
                real[i] += a * cosine[i] + b * sine[i]
                imaginary[i] += b * cosine[i] - a * sine[i]


@compiled
def _backward(spectrum: Floats, inverse: Floats, horizontal: Floats, work: Floats, out: Floats) -> None:
    """Real map of a half spectrum: along the rows, then down the columns."""
    half, m = spectrum.shape[1], spectrum.shape[2]
    work[:] = _ZERO
    for k in range(half):
        real, imaginary = work[0, k], work[1, k]
        for x in range(m):
            a, b = spectrum[0, k, x], spectrum[1, k, x]
            cosine, sine = horizontal[0, x], horizontal[1, x]
            for i in range(m):
                real[i] += a * cosine[i] - b * sine[i]
                imaginary[i] += b * cosine[i] + a * sine[i]
    out[:] = _ZERO
    for y in range(out.shape[0]):
        line = out[y]
        for k in range(half):
            cosine, sine = inverse[0, y, k], inverse[1, y, k]
            real, imaginary = work[0, k], work[1, k]
            for x in range(m):
                line[x] += cosine * real[x] - sine * imaginary[x]
