"""What filters are to do: give a label on all samples, with little energy far from the target.

The regulariser's two convolutions with a small real, even kernel (`teachers.eco.regularisation`) are one convolution
with that kernel's square, and that is one matrix product: the columns around each kx, end to end, times a table that is
the video's own. Tables are as wide as the widest kernel, so that a video's sums have the same terms in any company.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.signal import convolve2d
from torch import Tensor

from teachers.eco.deep.joint import SHARES
from teachers.eco.deep.region import Kind
from teachers.eco.fourier import Fourier
from teachers.eco.search_region import SearchRegion

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Goal:
    """Of N videos, for one kind of features.

    Attributes:
        n: Coefficients along a side.
        labels: Series of the responses wanted, which are real, float32 (N, coefficients).
        tables: The regularisers, float32 (N, n, columns n).
        energies: Sums of their kernels' squares, float32 (N,).
        weights: Of each value of a vector in an inner product, float32 (size,).
    """

    n: int
    labels: Tensor
    tables: Tensor
    energies: Tensor
    weights: Tensor

    @classmethod
    def empty(cls, kind: Kind, n: int, count: int, device: torch.device) -> Goal:
        """For so many videos, whose own values are still to be `put`."""
        fourier = Fourier(n)
        weights = np.repeat(fourier.weights[0], 2 * kind.kept)
        return cls(
            n,
            torch.zeros(count, fourier.coefficients, device=device),
            torch.zeros(count, n, (4 * _reach(kind) + 1) * n, device=device),
            torch.zeros(count, device=device),
            torch.from_numpy(weights).to(device),
        )

    def put(self, row: int, kind: Kind, region: SearchRegion) -> None:
        """Write one video's values."""
        window = kind.window(region)
        self.labels[row] = torch.from_numpy(kind.label(region, self.n)[0])
        self.tables[row] = torch.from_numpy(_table(window, self.n, _reach(kind)))
        self.energies[row] = float((window**2).sum())

    def at(self, rows: slice | Tensor) -> Goal:
        """Those of some videos."""
        return Goal(self.n, self.labels[rows], self.tables[rows], self.energies[rows], self.weights)

    def regularised(self, series: Tensor, whole: bool = True) -> Tensor:
        """The regulariser's gradient, complex64 (N, coefficients, channels), as `series` are.

        Args:
            series: Where.
            whole: Whether the other half plane, the conjugate, takes part; else it is taken as zero.
        """
        n, half = self.n, self.n // 2 + 1
        count, _, channels = series.shape
        columns = self.tables.shape[2] // n
        beside = columns // 2
        grid = series.view(count, half, n, channels)
        left = (
            grid[:, 1 : beside + 1].flip(1, 2).conj() if whole else grid.new_zeros(count, beside, n, channels)
        )
        wide = torch.cat([left, grid, grid.new_zeros(count, beside, n, channels)], dim=1)
        # (N, half, n, 2 channels, columns), then (N, columns n, half 2 channels)
        around = torch.view_as_real(wide).flatten(3).unfold(1, columns, 1)
        around = around.permute(0, 4, 2, 1, 3).reshape(count, columns * n, -1)
        found = torch.bmm(self.tables, around).view(count, n, half, channels, 2).transpose(1, 2).contiguous()
        return torch.view_as_complex(found).flatten(1, 2)

    def inverse(self, energy: Tensor) -> Tensor:
        """The preconditioner's inverse, float32 (N, size); see `teachers.eco.conjugate_gradient.diagonal`.

        Args:
            energy: Mean squared samples |x|^2, float32 (N, coefficients, channels).
        """
        own, regulariser = SHARES
        mixed = own * energy + (1 - own) * energy.mean(-1, keepdim=True)
        inverse = 1 / ((1 - regulariser) * mixed + regulariser * self.energies[:, None, None])
        return inverse[..., None].expand(*inverse.shape, 2).flatten(1)


def _reach(kind: Kind) -> int:
    """How far a kernel reaches at most.

    Of a quadratic window's coefficients, the one of frequency k is 6 / (pi k)^2 of the mean, or less.
    """
    return math.floor(math.sqrt(6 / kind.sparsity) / math.pi)


def _table(window: NDArray[np.float64], n: int, reach: int) -> Floats:
    """The convolution with a kernel's square, float32 (n, (4 reach + 1) n): to ky, from (kx offset, ky)."""
    square = convolve2d(window, window)
    down, across = square.shape[0] // 2, square.shape[1] // 2
    if max(down, across) > 2 * reach:
        raise ValueError(f"a kernel of {window.shape} reaches beyond {reach} coefficients")
    offsets = np.arange(n)[None, :] - np.arange(n)[:, None]
    near = np.abs(offsets) <= down
    table = np.zeros((n, 4 * reach + 1, n), dtype=np.float32)
    for offset in range(-across, across + 1):
        column = square[:, across + offset]
        table[:, 2 * reach + offset][near] = column[down + offsets[near]]
    return table.reshape(n, -1)
