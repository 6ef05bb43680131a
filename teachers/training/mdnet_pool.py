"""The gradient of `teachers.mdnet.normalised_pool`, so that a network can be trained through it.

PyTorch's own normalisation and pooling, forwards and backwards, take several times as long as the convolutions of a
slim network; this takes about as long as they do.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from datasets.compiled import compiled
from teachers.mdnet.normalised_pool import ALPHA, BETA, K, normalised_pool


def trainable_pool(x: Tensor) -> Tensor:
    """`normalised_pool` with a gradient.

    Args:
        x: float32 (N, C, H, W), H and W at least 3; on the CPU it is fastest in channels_last.

    Returns:
        float32 (N, C, (H - 3) // 2 + 1, (W - 3) // 2 + 1).
    """
    if x.device.type != "cpu":
        return by_operators(x)
    pooled: Tensor = _Pool.apply(x)  # type: ignore[no-untyped-call]  # torch's own lack
    return pooled


def by_operators(x: Tensor) -> Tensor:
    """The same by PyTorch's operators, none of which works in place: those of `normalised_pool` have no gradient."""
    return functional.max_pool2d(functional.local_response_norm(functional.relu(x), 2, ALPHA, BETA, K), 3, 2)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:  # noqa: ANN401 - torch's context has no type
        ctx.save_for_backward(x)
        return normalised_pool(x.detach())

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:  # noqa: ANN401
        x, gradient = (
            t.detach().contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy()
            for t in (*ctx.saved_tensors, *gradients)
        )
        result = np.empty(x.shape, np.float32)
        _backward(x, gradient, result, ALPHA)
        return torch.from_numpy(result).permute(0, 3, 1, 2)


@compiled
def _backward(
    x: NDArray[np.float32], gradient: NDArray[np.float32], result: NDArray[np.float32], alpha: float
) -> None:
    """From the derivative by the pooled (N, h, w, C) to that by x (N, H, W, C).

    With a = alpha / 2, r the rectified x and d_c = 1 + a (r_c^2 + r_{c-1}^2), the normalised y_c is r_c d_c^-0.75,
    hence dy_c/dr_c = d_c^-0.75 - 1.5 a r_c^2 d_c^-1.75 and dy_c/dr_{c-1} = -1.5 a r_c r_{c-1} d_c^-1.75.
    """
    count, height, width, channels = x.shape
    a, one, zero, slope = np.float32(alpha / 2), np.float32(1.0), np.float32(0.0), np.float32(1.5 * alpha / 2)
    normal = np.empty((height, width, channels), np.float32)
    rectified = np.zeros(channels + 1, np.float32)  # element 0 is the channel before the first
    best = np.empty(channels, np.float32)
    place = np.empty(channels, np.int32)
    for n in range(count):
        for i in range(height):
            for j in range(width):
                for c in range(channels):
                    v = x[n, i, j, c]
                    rectified[c + 1] = v if v > zero else zero
                    result[n, i, j, c] = zero
                for c in range(channels):
                    v, before = rectified[c + 1], rectified[c]
                    root = math.sqrt(one + a * (v * v + before * before))
                    normal[i, j, c] = v / (root * math.sqrt(root))
        for i in range(gradient.shape[1]):
            for j in range(gradient.shape[2]):
                for c in range(channels):
                    best[c], place[c] = normal[2 * i, 2 * j, c], 0
                for di in range(3):
                    for dj in range(3):
                        for c in range(channels):
                            v = normal[2 * i + di, 2 * j + dj, c]
                            place[c] = 3 * di + dj if v > best[c] else place[c]
                            best[c] = v if v > best[c] else best[c]
                # Only a window's largest value has a derivative, and only where it is above zero.
                for c in range(channels):
                    g = gradient[n, i, j, c]
                    if best[c] > zero and g != zero:
                        row, column = 2 * i + place[c] // 3, 2 * j + place[c] % 3
                        v = x[n, row, column, c]
                        before = x[n, row, column, c - 1] if c else zero
                        before = before if before > zero else zero
                        d = one + a * (v * v + before * before)
                        root = math.sqrt(d)
                        g /= root * math.sqrt(root)
                        fall = slope * v * g / d
                        result[n, row, column, c] += g - fall * v
                        if before > zero:
                            result[n, row, column, c - 1] -= fall * before
