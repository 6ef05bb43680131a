"""ReLU, local response normalisation and 3 x 3 max pooling in one pass over channels-last activations.

PyTorch takes 3.7 ms per patch for the three after conv1 (one core, batches of 32), ten times what conv1 takes: its
pooling and its normalisation walk the same megabyte several times. Together they take 0.15 ms.
"""

from __future__ import annotations

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from datasets.compiled import compiled
from teachers.gpu.kernels import fused

ALPHA, BETA, K = 1e-4, 0.75, 1.0
"""The normalisation y_c = x_c / (K + ALPHA (x_{c-1}^2 + x_c^2) / 2)^BETA, with x_{-1} = 0 (notes: mdnet.md, 1)."""


def normalised_pool(x: Tensor, bias: Tensor | None = None) -> Tensor:
    """ReLU, response normalisation over channels c - 1 and c, and max pooling 3 x 3 with stride 2.

    Args:
        x: float32 (N, C, H, W) without gradient, H and W at least 3. On the CPU, it is fastest in channels_last.
        bias: float32 (C,), added to x before.

    Returns:
        float32 (N, C, (H - 3) // 2 + 1, (W - 3) // 2 + 1), in channels_last on the CPU.
    """
    if kernels := fused("teachers.mdnet.fused_pool", x.device):
        pooled_there: Tensor = kernels.fused_pool(x, bias, ALPHA)
        return pooled_there
    if bias is not None:
        x = x + bias[:, None, None]
    if x.device.type != "cpu":
        return by_operators(x)
    source = x.contiguous(memory_format=torch.channels_last).permute(0, 2, 3, 1).numpy()
    count, height, width, channels = source.shape
    pooled = np.empty((count, (height - 3) // 2 + 1, (width - 3) // 2 + 1, channels), np.float32)
    # The kernel releases the GIL, and images are independent: as many threads as PyTorch's own operators use.
    threads = min(torch.get_num_threads(), count)
    if threads == 1:
        _normalise_and_pool(source, pooled)
    else:
        cuts = [count * i // threads for i in range(threads + 1)]
        parts = [
            _pool(threads).submit(_normalise_and_pool, source[a:b], pooled[a:b])
            for a, b in itertools.pairwise(cuts)
        ]
        for part in parts:
            part.result()
    return torch.from_numpy(pooled).permute(0, 3, 1, 2)


def by_operators(x: Tensor) -> Tensor:
    """The same on any device, by PyTorch's operators.

    PyTorch's own normalisation averages in three dimensions, in the order of channels first. Here the channel before
    is the number before in memory, where that is channels_last.
    """
    x = functional.relu(x.contiguous(memory_format=torch.channels_last))
    values = x.permute(0, 2, 3, 1).view(-1)
    one = torch.tensor(K, device=x.device)
    scale = torch.addcmul(one, values, values, value=ALPHA / 2)
    first = scale.view(-1, x.shape[1])[:, 0].clone()
    scale[1:].addcmul_(values[:-1], values[:-1], value=ALPHA / 2)
    scale.view(-1, x.shape[1])[:, 0] = first
    values.mul_(scale.pow_(-BETA))
    return functional.max_pool2d(x, 3, 2)


@lru_cache(maxsize=4)
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, thread_name_prefix="mdnet")


@compiled
def _normalise(x: NDArray[np.float32], normal: NDArray[np.float32], n: int, channels: int) -> None:
    """ReLU and normalisation of a row of pixels, channel by channel, (W C,)."""
    half_alpha, one, zero = np.float32(ALPHA / 2), np.float32(1.0), np.float32(0.0)
    # As if channel 0 had the last channel of the pixel before in front of it: one loop without an exception is
    # vectorised. Each pixel's first is put right after it.
    for c in range(1, n):
        v = x[c] if x[c] > zero else zero
        before = x[c - 1] if x[c - 1] > zero else zero
        root = math.sqrt(one + half_alpha * (v * v + before * before))
        normal[c] = v / (root * math.sqrt(root))
    for c in range(0, n, channels):
        v = x[c] if x[c] > zero else zero
        root = math.sqrt(one + half_alpha * (v * v))
        normal[c] = v / (root * math.sqrt(root))


@compiled
def _largest(
    a: NDArray[np.float32], b: NDArray[np.float32], c: NDArray[np.float32], out: NDArray[np.float32], n: int
) -> None:
    """The largest of three numbers, n times."""
    for k in range(n):
        v = b[k] if b[k] > a[k] else a[k]
        out[k] = c[k] if c[k] > v else v


@compiled
def _normalise_and_pool(x: NDArray[np.float32], pooled: NDArray[np.float32]) -> None:
    """The arithmetic of `normalised_pool` on (N, H, W, C)."""
    count, _, width, channels = x.shape
    rows = np.empty((3, width * channels), np.float32)
    tallest = np.empty(width * channels, np.float32)
    for n in range(count):
        for i in range(pooled.shape[1]):
            # A row that two rows of the result see is normalised once.
            for line in range(2 * i + (i > 0), 2 * i + 3):
                _normalise(x[n, line].reshape(-1), rows[line % 3], width * channels, channels)
            _largest(rows[0], rows[1], rows[2], tallest, width * channels)
            for j in range(pooled.shape[2]):
                first = 2 * j * channels
                second, third = first + channels, first + 2 * channels
                _largest(tallest[first:], tallest[second:], tallest[third:], pooled[n, i, j], channels)
