"""`crop.resample`'s arithmetic as one kernel on a GPU, written in Triton: see `teachers.gpu.kernels`.

Operator by operator the search regions of 64 videos take forty kernels and a third of the step's time.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

_BLOCK = 128
"""Pixels of a row that one program makes."""


@triton.jit
def _grey(pixels, at, channel, mask):  # type: ignore[no-untyped-def]
    return tl.load(pixels + at * 3 + channel, mask=mask, other=0).to(tl.int32)


# Else it is compiled anew for one image, and for numbers of them that are multiples of 16.
@triton.jit(do_not_specialize=["count"])  # type: ignore[untyped-decorator]
def _kernel(  # type: ignore[no-untyped-def]
    pixels,
    facts,
    rows,
    down,
    columns,
    across,
    out,
    count,
    size,
    half,
    BLOCK: tl.constexpr,
) -> None:
    """A piece of one row of one region, all its channels."""
    row, image = tl.program_id(0) % size, tl.program_id(0) // size
    j = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    mask = j < size
    # The facts are (7, N): left, top, right, bottom, where the fill colour is, where the image begins, its stride.
    left, top = tl.load(facts + image), tl.load(facts + count + image)
    right, bottom = tl.load(facts + 2 * count + image), tl.load(facts + 3 * count + image)
    fill, start = tl.load(facts + 4 * count + image), tl.load(facts + 5 * count + image)
    stride = tl.load(facts + 6 * count + image)
    # Rows and columns are (2, N, size): the first and the second of the two neighbours.
    line, place = image * size + row, image * size + j
    further = count * size
    r0, r1 = tl.load(rows + line), tl.load(rows + further + line)
    c0 = tl.load(columns + place, mask=mask, other=0)
    c1 = tl.load(columns + further + place, mask=mask, other=0)
    lower = tl.load(down + line)
    farther = tl.load(across + place, mask=mask, other=0)
    seen0, seen1 = (r0 >= top) & (r0 < bottom), (r1 >= top) & (r1 < bottom)
    here0, here1 = (c0 >= left) & (c0 < right), (c1 >= left) & (c1 < right)
    at00 = tl.where(seen0 & here0, start + r0 * stride + c0, fill)
    at01 = tl.where(seen0 & here1, start + r0 * stride + c1, fill)
    at10 = tl.where(seen1 & here0, start + r1 * stride + c0, fill)
    at11 = tl.where(seen1 & here1, start + r1 * stride + c1, fill)
    square = (image * half + row // 2).to(tl.int64) * half + j // 2
    target = out + square * 16 + row % 2 * 6 + j % 2 * 3
    for channel in tl.static_range(3):
        upper = _grey(pixels, at00, channel, mask) * (2048 - farther)
        upper += _grey(pixels, at01, channel, mask) * farther
        under = _grey(pixels, at10, channel, mask) * (2048 - farther)
        under += _grey(pixels, at11, channel, mask) * farther
        mixed = (((2048 - lower) * (upper >> 4)) >> 16) + ((lower * (under >> 4)) >> 16)
        tl.store(target + channel, ((mixed + 2) >> 2).to(tl.float32), mask=mask)


def resampled(
    pixels: Tensor, facts: Tensor, rows: Tensor, down: Tensor, columns: Tensor, across: Tensor
) -> Tensor:
    """N windows of images, resized.

    Args:
        pixels: uint8 (M, 3), the fill colours and the images end to end.
        facts: int64 (7, N): of each window the part inside its image (left, top, right, bottom), the place in `pixels`
            of its fill colour, that of the image's first pixel, and the image's width.
        rows: int64 (2, N, size): the two image rows around each row of the result.
        down: int32 (N, size): the share of the second of the rows in 1/2048.
        columns: int64 (2, N, size): the two image columns around each column.
        across: int32 (N, size): the share of the second of the columns in 1/2048.

    Returns:
        float32 (N, 16, h, h) in channels_last, `space_to_depth.folded` BGR.
    """
    count, size = down.shape
    half = (size + 1) // 2
    out = torch.zeros((count, half, half, 16), device=pixels.device)
    with torch.cuda.device(pixels.device):
        _kernel[(count * size, triton.cdiv(size, _BLOCK))](
            pixels,
            facts.contiguous(),
            rows,
            down,
            columns,
            across,
            out,
            count,
            size,
            half,
            BLOCK=_BLOCK,
            num_warps=4,
        )
    return out.permute(0, 3, 1, 2)


def tried() -> None:
    """Compile the kernel."""
    device = torch.device("cuda")
    numbers = torch.zeros(2, 1, 1, dtype=torch.int64, device=device)
    shares = torch.zeros(1, 1, dtype=torch.int32, device=device)
    pixels = torch.zeros(1, 3, dtype=torch.uint8, device=device)
    resampled(pixels, torch.zeros(7, 1, dtype=torch.int64, device=device), numbers, shares, numbers, shares)
