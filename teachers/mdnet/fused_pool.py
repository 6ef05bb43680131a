"""`normalised_pool` as one kernel on a GPU, written in Triton: see `teachers.gpu.kernels`.

Operator by operator the gigabyte of activations after conv1 is read and written a dozen times, and takes half of the
time of all features; here it is read once (from memory; nine windows share it in the cache).
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor


@triton.jit  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    x,
    bias,
    pooled,
    height,
    width,
    rows,
    columns,
    channels,
    half_alpha,
    BLOCK: tl.constexpr,
) -> None:
    """One place of the result, all its channels; channels are innermost. Values after the ReLU are not negative."""
    place = tl.program_id(0).to(tl.int64)
    column, row, image = place % columns, (place // columns) % rows, place // (columns * rows)
    c = tl.arange(0, BLOCK)
    mask, has_before = c < channels, (c > 0) & (c < channels)
    added = tl.load(bias + c, mask=mask, other=0.0)
    added_before = tl.load(bias + c - 1, mask=has_before, other=0.0)
    best = tl.zeros([BLOCK], tl.float32)
    for down in tl.static_range(3):
        for across in tl.static_range(3):
            pixel = x + ((image * height + 2 * row + down) * width + 2 * column + across) * channels
            value = tl.maximum(tl.load(pixel + c, mask=mask, other=0.0) + added, 0.0)
            before = tl.maximum(tl.load(pixel + c - 1, mask=has_before, other=0.0) + added_before, 0.0)
            root = tl.sqrt(1.0 + half_alpha * (value * value + before * before))
            best = tl.maximum(best, value / (root * tl.sqrt(root)))
    tl.store(pooled + place * channels + c, best, mask=mask)


def fused_pool(x: Tensor, bias: Tensor | None, alpha: float) -> Tensor:
    """ReLU, response normalisation with K = 1 and BETA = 3/4, max pooling 3 x 3 with stride 2: see `normalised_pool`.

    Args:
        x: float32 (N, C, H, W) on a GPU.
        bias: float32 (C,), added to x before; None is zero.
        alpha: The normalisation's ALPHA.

    Returns:
        float32 (N, C, (H - 3) // 2 + 1, (W - 3) // 2 + 1), in channels_last.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    count, channels, height, width = x.shape
    rows, columns = (height - 3) // 2 + 1, (width - 3) // 2 + 1
    pooled = torch.empty((count, channels, rows, columns), device=x.device, memory_format=torch.channels_last)
    bias = torch.zeros(channels, device=x.device) if bias is None else bias
    block = triton.next_power_of_2(channels)
    with torch.cuda.device(x.device):
        _kernel[(count * rows * columns,)](
            x, bias, pooled, height, width, rows, columns, channels, alpha / 2, BLOCK=block, num_warps=1
        )
    return pooled


def tried() -> None:
    """Compile the kernel."""
    fused_pool(torch.zeros(1, 1, 3, 3, device="cuda"), None, 1.0)
