"""Series of many rows: from the transform's planes, moved, and as flat vectors."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from teachers.gpu.upload import uploaded


class Rows:
    """Some rows of tensors whose first dimension counts rows.

    Args:
        numbers: The rows, at least one.
        device: Where the tensors are.

    Attributes:
        numbers: The rows.
        index: The rows as what a tensor is indexed with: a slice, hence a view, where they follow each other.
        places: The rows, int64 (N,).
    """

    def __init__(self, numbers: Sequence[int], device: torch.device) -> None:
        self.numbers = list(numbers)
        self.places = uploaded(np.array(self.numbers, dtype=np.int64), device)
        first, count = self.numbers[0], len(self.numbers)
        follow = self.numbers == list(range(first, first + count))
        self.index: slice | Tensor = slice(first, first + count) if follow else self.places


def joined(planes: Tensor) -> Tensor:
    """Planes float32 (N, channels, 2, coefficients) as series, complex64 (N, coefficients, channels)."""
    return torch.complex(planes[:, :, 0], planes[:, :, 1]).mT


def turns(moves: Sequence[tuple[float, float]], n: int, device: torch.device) -> Tensor:
    """Factors that move the origins of N series.

    Args:
        moves: N times rows and columns, in radians of the region.
        n: Coefficients along a side.
        device: Where the series are.

    Returns:
        complex64 (N, coefficients, 1).
    """
    m = n // 2
    rows, columns = uploaded(np.array(moves, dtype=np.float64), device).T[:, :, None]
    frequencies = torch.arange(-m, m + 1, dtype=torch.float64, device=device)
    down, across = torch.exp(1j * rows * frequencies), torch.exp(1j * columns * frequencies[m:])
    phase = across[:, :, None] * down[:, None, :]
    return phase.flatten(1).to(torch.complex64)[:, :, None]


def flat(series: Tensor) -> Tensor:
    """Series complex64 (N, coefficients, channels) as vectors, float32 (N, size)."""
    return torch.view_as_real(series.contiguous()).flatten(1)


def unflat(vectors: Tensor, coefficients: int) -> Tensor:
    """The reverse of `flat`."""
    return torch.view_as_complex(vectors.reshape(len(vectors), coefficients, -1, 2))
