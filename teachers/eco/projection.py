"""From feature maps to samples: few channels, windowed, as interpolated series (ECO, Section 3.2)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled
from teachers.eco.features import Map
from teachers.eco.fourier import cosine_window
from teachers.eco.layout import Layout

Floats = NDArray[np.float32]


def principal_axes(features: Map, channels: int, kept: int) -> Floats:
    """The directions of the largest variance over a map's cells, float32 (channels, kept).

    Args:
        features: The map; its scale does not matter.
        channels: Its channels; lanes beyond them are not read.
        kept: Number of directions.
    """
    values = features.values.reshape(-1, features.values.shape[-1])[:, :channels].astype(np.float64)
    values -= values.mean(axis=0)
    # einsum, because a linear algebra library's sums may depend on its threads.
    variance = np.einsum("kc,kd->cd", values, values)
    _, axes = np.linalg.eigh(variance)
    return np.ascontiguousarray(axes[:, ::-1][:, :kept], dtype=np.float32)


class Sampler:
    """Turns the maps of a search region into the series of a sample; its buffers are reused.

    Args:
        layout: How samples are laid out.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._windows = [cosine_window(block.n) for block in layout.blocks]
        self._maps = [np.empty((b.channels, b.n, b.n), dtype=np.float32) for b in layout.blocks]

    def project(self, maps: tuple[Map, Map], projections: tuple[Floats, Floats], out: Floats) -> Floats:
        """Series of the projected maps, float32 (size,): `out`, overwritten."""
        for block, features, axes, window, projected in zip(
            self._layout.blocks, maps, projections, self._windows, self._maps, strict=True
        ):
            _project(features.values, axes, window, features.scale, projected)
            block.fourier.forward(projected, block.of(out))
        return out

    def whole(self, maps: tuple[Map, Map], channels: tuple[int, int]) -> tuple[Floats, Floats]:
        """Series of all channels, float32 (channels, 2, coefficients) for each block."""
        series = []
        for block, features, count, window in zip(
            self._layout.blocks, maps, channels, self._windows, strict=True
        ):
            projected = np.empty((count, block.n, block.n), dtype=np.float32)
            _project(features.values, np.eye(count, dtype=np.float32), window, features.scale, projected)
            out = np.empty((count, 2, block.fourier.coefficients), dtype=np.float32)
            series.append(block.fourier.forward(projected, out))
        return series[0], series[1]

    def phases(self, rows: float, columns: float) -> tuple[Floats, Floats]:
        """Factors that move the origin by (rows, columns), in radians of the region, for each block."""
        first, second = (block.fourier.shift(rows, columns) for block in self._layout.blocks)
        return first, second

    def move(self, sample: Floats, rows: float, columns: float) -> None:
        """Move a sample's origin by (rows, columns), in radians of the region, in place."""
        for block, phase in zip(self._layout.blocks, self.phases(rows, columns), strict=True):
            turn(block.of(sample), phase)


@compiled
def turn(series: Floats, phase: Floats) -> None:
    """Multiply each channel's series, float32 (C, 2, coefficients), by another, float32 (2, coefficients)."""
    p, q = phase[0], phase[1]
    for channel in range(series.shape[0]):
        real, imaginary = series[channel, 0], series[channel, 1]
        for k in range(p.size):
            a, b = real[k], imaginary[k]
            real[k] = a * p[k] - b * q[k]
            imaginary[k] = a * q[k] + b * p[k]


@compiled
def _project(values: Floats, axes: Floats, window: Floats, scale: np.float32, out: Floats) -> None:
    """Set out[c, x, y] = scale window[y, x] sum_d axes[d, c] values[y, x, d]."""
    n = values.shape[0]
    channels, kept = axes.shape
    column = np.empty((channels, n), np.float32)
    for x in range(n):
        for y in range(n):
            factor = window[y, x] * scale
            for d in range(channels):
                column[d, y] = values[y, x, d] * factor
        for c in range(kept):
            target = out[c, x]
            target[:] = np.float32(0)
            for d in range(channels):
                weight = axes[d, c]
                if weight == np.float32(0):
                    continue
                source = column[d]
                for y in range(n):
                    target[y] += weight * source[y]
