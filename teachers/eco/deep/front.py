"""What follows the first layer of both networks, in one pass over its channels-last result.

VGG-M: ReLU, response normalisation y_c = x_c / (2 + 5e-4 mean(x_{c-2}^2 ... x_{c+2}^2))^0.75 with zeros beyond the
channels' ends, mean over 2 x 2 cells. ResNet: ReLU, maximum over 3 x 3 cells with stride 2. PyTorch's operators take
80 ms for the normalisation of five regions alone, this takes 7 for everything.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from datasets.compiled import compiled

Floats = NDArray[np.float32]


def front(values: Tensor, shallow: Tensor, pooled: Tensor) -> None:
    """Compute both maps of one region.

    Args:
        values: float32 (1, 160, h, w) in channels-last order, h and w even: 96 channels of VGG-M, 64 of ResNet.
        shallow: float32 (h / 2, w / 2, 96), overwritten.
        pooled: float32 (h / 2, w / 2, 64), overwritten.
    """
    source = values[0].permute(1, 2, 0).contiguous()
    _front(source.numpy(), shallow.numpy(), pooled.numpy())


def front_by_operators(values: Tensor) -> tuple[Tensor, Tensor]:
    """The same for any number of regions on any device; see `front`.

    Args:
        values: float32 (N, 160, h, w).

    Returns:
        Shallow map and what ResNet goes on with, float32 (N, h / 2, w / 2, channels).
    """
    positive = functional.relu(values)
    shallow, pooled = positive[:, :-64], positive[:, -64:]
    shallow = functional.avg_pool2d(functional.local_response_norm(shallow, 5, 5e-4, 0.75, 2), 2)
    pooled = functional.max_pool2d(pooled, 3, 2, 1)
    return shallow.permute(0, 2, 3, 1).contiguous(), pooled.permute(0, 2, 3, 1).contiguous()


@compiled
def _front(source: Floats, shallow: Floats, pooled: Floats) -> None:
    zero, two, quarter = np.float32(0), np.float32(2), np.float32(0.25)
    share = np.float32(5e-4 / 5)
    rows, columns, channels = shallow.shape
    more = pooled.shape[2]
    height, width = source.shape[0], source.shape[1]
    square = np.zeros(channels + 4, np.float32)
    for i in range(rows):
        for j in range(columns):
            target = shallow[i, j]
            target[:] = zero
            for cell in range(4):
                x = source[2 * i + cell // 2, 2 * j + cell % 2]
                for c in range(channels):
                    v = max(x[c], zero)
                    square[c + 2] = v * v
                for c in range(channels):
                    near = square[c] + square[c + 1] + square[c + 2] + square[c + 3] + square[c + 4]
                    root = math.sqrt(two + share * near)
                    target[c] += quarter * max(x[c], zero) / (root * math.sqrt(root))
            best = pooled[i, j]
            best[:] = zero
            for y in range(max(2 * i - 1, 0), min(2 * i + 2, height)):
                for k in range(max(2 * j - 1, 0), min(2 * j + 2, width)):
                    v = source[y, k, channels:]
                    for c in range(more):
                        best[c] = max(best[c], v[c])
