"""The spatial regulariser: a filter's energy far from the target costs more (Danelljan et al., SRDCF, ICCV 2015).

A quadratic window has few Fourier coefficients that matter; they form a small real, even kernel w, and the
regulariser's gradient is two convolutions of the filter's series with it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.geometry import Geometry
from teachers.eco.layout import Layout

Floats = NDArray[np.float32]
Indices = NDArray[np.int64]


def kernel(geometry: Geometry) -> NDArray[np.float64]:
    """Coefficients of the window, float64 (odd, odd): rows ky, columns kx, the middle is (0, 0)."""
    side = geometry.side
    return sparse_window(np.arange(side, dtype=np.float64) - (side - 1) / 2, geometry.base, 1e-4, 1e-2, 0.05)


def sparse_window(
    places: NDArray[np.float64], target: tuple[float, float], least: float, edge: float, sparsity: float
) -> NDArray[np.float64]:
    """Coefficients of a quadratic window, float64 (odd, odd), of which the small ones are left out.

    Args:
        places: Pixels of the search region along one side, from its middle.
        target: Height and width of the target, in pixels of the region.
        least: The window's value at its middle.
        edge: Its value at the middle of the target's sides, nearly.
        sparsity: What is small, as a share of the largest coefficient.
    """
    side = len(places)
    rows, columns = (places / (size / 2) for size in target)
    window = (edge - least) * (rows[:, None] ** 2 + columns[None, :] ** 2) + least
    series = np.fft.fft2(window) / side**2
    series[np.abs(series) < sparsity * np.abs(series).max()] = 0
    series[0, 0] += least - float((side**2 * np.fft.ifft2(series)).real.min())
    middle = np.fft.fftshift(series)
    # An even side has a frequency without a partner, whose coefficient is zero like its neighbours.
    centre = side // 2
    used = np.argwhere(middle != 0) - centre
    a, b = (int(extent) for extent in np.abs(used).max(axis=0))
    return np.ascontiguousarray(middle[centre - a : centre + a + 1, centre - b : centre + b + 1].real)


class Regulariser:
    """Adds the regulariser's gradient; its buffers are reused.

    Args:
        window: The kernel, as `kernel` returns it.
        layout: How vectors are laid out.

    Attributes:
        energy: Sum of the kernel's squares: the gradient's diagonal, nearly.
    """

    def __init__(self, window: NDArray[np.float64], layout: Layout) -> None:
        self.energy = float((window**2).sum())
        self._layout = layout
        a, b = window.shape[0] // 2, window.shape[1] // 2
        taps = np.argwhere(window != 0)
        self._taps = (taps - np.array([a, b])).astype(np.int64)
        self._values = window[taps[:, 0], taps[:, 1]].astype(np.float32)
        self._reach = (a, b)

    def add(self, vector: Floats, out: Floats, whole: bool = True) -> None:
        """Add the regulariser's gradient at `vector` to `out`, both float32 (size,).

        Args:
            vector: Where.
            out: What is added to.
            whole: Whether the other half plane, the conjugate, takes part; else it is taken as zero.
        """
        for block in self._layout.blocks:
            _add(block.of(vector), self._taps, self._values, self._reach, block.n, whole, block.of(out))


@compiled
def _add(
    series: Floats,
    taps: Indices,
    values: Floats,
    reach: tuple[int, int],
    n: int,
    whole: bool,
    out: Floats,
) -> None:
    """Convolve twice: onto a grid larger by the kernel's reach, and back."""
    a, b = reach
    m = n // 2
    zero = np.float32(0)
    # Rows are kx, columns ky. Beyond the half plane lies its conjugate, beyond the series nothing.
    wide = np.zeros((m + 1 + 4 * b, n + 4 * a), np.float32)
    middle = np.zeros((m + 1 + 2 * b, n + 2 * a), np.float32)
    for channel in range(series.shape[0]):
        for part in range(2):
            source = series[channel, part]
            sign = np.float32(1) if part == 0 else np.float32(-1)
            for kx in range(m + 1):
                # Number by number: see `datasets.compiled`.
                for k in range(n):
                    wide[2 * b + kx, 2 * a + k] = source[kx * n + k]
            for kx in range(1, min(2 * b, m) + 1 if whole else 1):
                for k in range(n):
                    wide[2 * b - kx, 2 * a + k] = sign * source[kx * n + n - 1 - k]
            middle[:] = zero
            for tap in range(values.size):
                dy, dx, value = taps[tap, 0], taps[tap, 1], values[tap]
                for row in range(middle.shape[0]):
                    target = middle[row]
                    moved = wide[row + b + dx, a + dy : a + dy + n + 2 * a]
                    for k in range(n + 2 * a):
                        target[k] += value * moved[k]
            for tap in range(values.size):
                dy, dx, value = taps[tap, 0], taps[tap, 1], values[tap]
                for kx in range(m + 1):
                    result = out[channel, part, kx * n : kx * n + n]
                    moved = middle[kx + b + dx, a + dy : a + dy + n]
                    for k in range(n):
                        result[k] += value * moved[k]
