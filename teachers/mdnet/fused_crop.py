"""`crop.crop_on_device`'s arithmetic as one kernel on a GPU, written in Triton: see `teachers.gpu.kernels`.

Operator by operator a thousand patches are 140 MB that are read and written a dozen times.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 128
"""At least a patch's side."""


# Else it is compiled anew for one patch, and for numbers of them that are multiples of 16.
@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    pixels,
    lines,
    down,
    columns,
    across,
    out,
    count,
    size,
    half,
    mean,
    BLOCK: tl.constexpr,
) -> None:
    """One row of one patch, all its channels."""
    row, patch = tl.program_id(0) % size, tl.program_id(0) // size
    j = tl.arange(0, BLOCK)
    mask = j < size
    line, place = patch * size + row, patch * size + j
    further = count * size
    upper, under = tl.load(lines + line), tl.load(lines + further + line)
    c0 = tl.load(columns + place, mask=mask, other=0)
    c1 = tl.load(columns + further + place, mask=mask, other=0)
    y, x = tl.load(down + line), tl.load(across + place, mask=mask, other=0.0)
    square = (patch * half + row // 2).to(tl.int64) * half + j // 2
    target = out + square * 16 + row % 2 * 6 + j % 2 * 3
    for channel in tl.static_range(3):
        one = tl.load(pixels + (upper + c0) * 3 + channel, mask=mask, other=0).to(tl.float32)
        other = tl.load(pixels + (upper + c1) * 3 + channel, mask=mask, other=0).to(tl.float32)
        above = one + x * (other - one)
        one = tl.load(pixels + (under + c0) * 3 + channel, mask=mask, other=0).to(tl.float32)
        other = tl.load(pixels + (under + c1) * 3 + channel, mask=mask, other=0).to(tl.float32)
        below = one + x * (other - one)
        value = above + y * (below - above)
        # Adding 1.5 x 2^23 rounds to a whole number, a half to the even one, as torch.round does.
        tl.store(target + channel, (value + 12582912.0) - 12582912.0 - mean, mask=mask)


def cropped(
    pixels: Tensor, lines: Tensor, down: Tensor, columns: Tensor, across: Tensor, mean: float
) -> Tensor:
    """N patches of images.

    Args:
        pixels: uint8 (M, 3), images end to end.
        lines: int64 (2, N, size): where in `pixels` the two image rows around each row of a patch begin.
        down: float32 (N, size): the share of the second of the rows.
        columns: int64 (2, N, size): the two image columns around each column.
        across: float32 (N, size): the share of the second of the columns.
        mean: What is taken off every value.

    Returns:
        float32 (N, 16, h, h) in channels_last, `space_to_depth.folded`.
    """
    count, size = down.shape
    half = (size + 1) // 2
    out = torch.zeros((count, half, half, 16), device=pixels.device)
    with torch.cuda.device(pixels.device):
        _kernel[(count * size,)](
            pixels,
            lines,
            down,
            columns,
            across,
            out,
            count,
            size,
            half,
            mean,
            BLOCK=_BLOCK,
            num_warps=4,
            enable_fp_fusion=False,  # operators round the product before they add it
        )
    return out.permute(0, 3, 1, 2)


def tried() -> None:
    """Compile the kernel."""
    device = torch.device("cuda")
    numbers = torch.zeros(2, 1, 1, dtype=torch.int64, device=device)
    shares = torch.zeros(1, 1, device=device)
    cropped(torch.zeros(1, 3, dtype=torch.uint8, device=device), numbers, shares, numbers, shares, 0.0)
