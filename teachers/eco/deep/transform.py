"""From feature maps to Fourier series, and from series to responses, as products with tables.

The series of a map of g cells along a side has g coefficients along a side, or g + 1 where g is even: the highest
frequency then stands at both ends. The tables hold the cosine window and the interpolation function too, so that
a windowed map's interpolated series is two matrix products away. The order of coefficients is that of
`teachers.eco.fourier`.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.eco.fourier import spline


class Transform:
    """Series of maps.

    Args:
        cells: Cells of a map along a side.
        device: Where the maps are.

    Attributes:
        n: Coefficients along a side, odd.
    """

    def __init__(self, cells: int, device: str = "cpu") -> None:
        self.n = n = cells + 1 - cells % 2
        self.cells = cells
        m = n // 2
        places = np.arange(cells)
        window = 0.5 * (1 - np.cos(2 * np.pi * (places + 1) / (cells + 1)))
        frequencies = np.arange(-m, m + 1)
        waves = np.exp(-2j * np.pi / cells * (frequencies[:, None] * places[None, :] % cells))
        table = spline(n)[:, None] * waves * window[None, :]
        # Rows (kx, part) times a map's x; then (part, y) of a row kx times columns (part, ky).
        across = np.stack([table[m:].real, table[m:].imag], axis=1).reshape(-1, cells)
        self._across = _real(across).to(device)
        down = table.T
        self._down = _real(np.block([[down.real, down.imag], [-down.imag, down.real]])).to(device)

    def __call__(self, maps: Tensor) -> Tensor:
        """Series of maps.

        Args:
            maps: float32 (N, cells, cells, C): rows y, columns x.

        Returns:
            float32 (N, C, 2, coefficients): real and imaginary parts, kx slowly, ky quickly.
        """
        count, cells, _, channels = maps.shape
        half = self.n // 2 + 1
        # (N, C, x, y)
        turned = maps.permute(0, 3, 2, 1).reshape(count * channels, cells, cells)
        rows = torch.matmul(self._across, turned).view(-1, 2 * cells)
        series = (rows @ self._down).view(count, channels, half, 2, self.n)
        return series.transpose(2, 3).reshape(count, channels, 2, half * self.n)


class Sampling:
    """Values of series on a grid.

    Args:
        n: Coefficients along a side, odd.
        side: Places along a side.
        device: Where the series are.
    """

    def __init__(self, n: int, side: int, device: str = "cpu") -> None:
        self.n, self.side = n, side
        m = n // 2
        frequencies, places = np.arange(-m, m + 1), np.arange(side)
        waves = np.exp(2j * np.pi / side * (frequencies[:, None] * places[None, :] % side))
        self._down = _real(np.block([[waves.real, waves.imag], [-waves.imag, waves.real]])).to(device)
        # The other half plane is the conjugate: it doubles the real part.
        times = np.where(np.arange(m + 1) == 0, 1.0, 2.0)[:, None]
        across = waves[m:] * times
        self._across = _real(np.stack([across.real, -across.imag], axis=1).reshape(-1, side).T).to(device)

    def __call__(self, series: Tensor) -> Tensor:
        """Values, float32 (N, side, side): columns x, rows y, of series float32 (N, 2, coefficients)."""
        count, half = series.shape[0], self.n // 2 + 1
        rows = series.view(count, 2, half, self.n).transpose(1, 2).reshape(count * half, 2 * self.n)
        middle = (rows @ self._down).view(count, 2 * half, self.side)
        return torch.matmul(self._across, middle)


def _real(table: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(table, dtype=np.float32))


@lru_cache(maxsize=8)
def transform_of(cells: int, device: str) -> Transform:
    """The transform of a grid; there are four in all for a device."""
    return Transform(cells, device)


@lru_cache(maxsize=4)
def sampling_of(n: int, side: int, device: str = "cpu") -> Sampling:
    """The sampling of a region's response; there are two in all for a device."""
    return Sampling(n, side, device)
