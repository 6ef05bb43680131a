"""Winograd convolution on the CPU: 3x3 in a quarter of the products, 5x5 in a sixth of them.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks, CVPR 2016: F(4x4, 3x3) and F(4x4, 5x5).
Tiles of the input are transformed, multiplied with the transformed weights position by position (ordinary
matrix products over the channels), and transformed back. PyTorch's direct convolution runs at the processor's
peak, so fewer products are the only way to be faster. The result differs from the exact one by about 3e-6 of
its norm (a direct convolution in float32: 6e-7).
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor, nn

from teachers.inference.positions import Positions

if TYPE_CHECKING:
    from numpy.typing import NDArray

_TILE = 4
_POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)


@lru_cache(maxsize=2)
def transforms(kernel: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The matrices (A, G, B) of F(4, kernel) in one dimension, by Cook and Toom's interpolation.

    For an input d of 4 + kernel - 1 values and a kernel g, the four outputs of the correlation are
    A.T @ ((G @ g) * (B.T @ d)). The last point is at infinity.
    """
    n = _TILE + kernel - 1
    points = np.array(_POINTS[: n - 1])
    a, g, b = np.zeros((n, _TILE)), np.zeros((n, kernel)), np.zeros((n, n))
    for j, point in enumerate(points):
        others = np.delete(points, j)
        a[j] = point ** np.arange(_TILE)
        g[j] = point ** np.arange(kernel) / np.prod(point - others)
        b[:-1, j] = np.poly(others)[::-1]
    a[-1, -1] = g[-1, -1] = 1
    b[:, -1] = np.poly(points)[::-1]
    return a, g, b


class WinogradConv2d(nn.Module):
    """Computes what a convolution of stride 1 does; a 3x3 or 5x5 one, with any padding and dilation.

    A dilated convolution is as many plain ones, on every d-th row and column, as it has phases; tiles of all
    phases go through the products together.

    Args:
        conv: The convolution, with its weights; it is not kept.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.kernel, self.dilation = conv.kernel_size[0], conv.dilation[0]
        self.padding = int(conv.padding[0])
        a, g, b = transforms(self.kernel)
        self.side = len(b)
        with torch.no_grad():
            factor = torch.from_numpy(g)
            weight = torch.einsum("pi,qj,ocij->pqoc", factor, factor, conv.weight.double())
            self.outputs = conv.out_channels
            self.positions = Positions(weight.flatten(0, 1).float())
            self.into = torch.from_numpy(np.kron(b.T, b.T)).float()
            self.back = torch.from_numpy(np.kron(a.T, a.T)).float()
            self.bias = torch.zeros(self.outputs) if conv.bias is None else conv.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h', w'), in channels-last order."""
        n, channels, height, width = x.shape
        side, d = self.side, self.dilation
        reach = d * (self.kernel - 1)
        rows, columns = height + 2 * self.padding - reach, width + 2 * self.padding - reach
        down, across = (-(-v // (_TILE * d)) for v in (rows, columns))
        beyond = [
            count * _TILE * d + reach - v - self.padding for count, v in ((across, width), (down, height))
        ]
        border = (0, 0, self.padding, beyond[0], self.padding, beyond[1])
        image = F.pad(x.permute(0, 2, 3, 1), border).contiguous()
        s_n, s_y, s_x, _ = image.stride()
        tiles = image.as_strided(
            (n, down, d, across, d, side, side, channels),
            (s_n, s_y * d * _TILE, s_y, s_x * d * _TILE, s_x, s_y * d, s_x * d, 1),
        ).reshape(-1, side * side, channels)
        # Tile by tile, so that every step finds the last one's result in its own order, without a copy.
        product = self.positions(_each(self.into, tiles))
        result = _each(self.back, product).view(n, down, d, across, d, _TILE, _TILE, self.outputs)
        out = result.new_empty(n, down, _TILE, d, across, _TILE, d, self.outputs)
        torch.add(result.permute(0, 1, 5, 2, 3, 6, 4, 7), self.bias, out=out)
        out = out.view(n, down * _TILE * d, across * _TILE * d, self.outputs)
        return out[:, :rows, :columns].permute(0, 3, 1, 2)


def _each(matrix: Tensor, tiles: Tensor) -> Tensor:
    """The matrix times each of the (tiles, inputs, channels)."""
    return torch.bmm(matrix.expand(len(tiles), -1, -1), tiles)
