"""3x3 convolutions by Winograd's method on a CPU: a quarter of the multiplications.

PyTorch's own kernels for CPUs make all nine of each number; on ResNet-18 and a batch of crops they do so at the
processor's peak, where fewer multiplications are all that is left to gain. F(4x4, 3x3) of Lavin and Gray (CVPR 2016):
tiles and filters go into a domain where the convolution is 36 products of matrices (`trainer.winograd_kernels`).
`teachers.inference.winograd` is its kin for inference: of any kernel size, with filters transformed once, no gradients.
"""

from __future__ import annotations

import math
import threading
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from trainer.winograd_kernels import (
    FILTERS_IN,
    FILTERS_OUT,
    INPUTS_IN,
    INPUTS_OUT,
    OUTPUTS_IN,
    OUTPUTS_OUT,
    transform,
)

FEWEST_TILES = 32
"""With fewer the filters' way into the domain costs more than the products save."""
FEWEST_CHANNELS = 64
"""With fewer the tiles' way does."""

_NEAR = 600_000
"""Numbers in the domain that are worked on at a time, 2.4 MB: with their products they stay in a core's cache."""


class Convolution(nn.Conv2d):
    """3x3, padded by 1, without bias: by Winograd's method where that is faster.

    Args:
        inputs: Channels of the input.
        outputs: Of the output.
        stride: Of any but 1 it is PyTorch's own.
    """

    def __init__(self, inputs: int, outputs: int, stride: int = 1) -> None:
        super().__init__(inputs, outputs, 3, stride, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) to (N, outputs, H / stride, W / stride)."""
        # A folded normalisation gives it a bias.
        if self.stride == (1, 1) and self.bias is None and suits(x, self.weight):
            return convolve(x, self.weight)
        return super().forward(x)


def suits(x: Tensor, weight: Tensor) -> bool:
    """Whether `convolve` can do it and gains by it; elsewhere PyTorch's own convolution is better."""
    if x.dim() != 4:
        return False
    count, inputs, height, width = x.shape
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
        and height % 4 == width % 4 == 0
        and min(inputs, len(weight)) >= FEWEST_CHANNELS
        and count * height * width >= 16 * FEWEST_TILES
    )


def convolve(x: Tensor, weight: Tensor) -> Tensor:
    """Convolve images, differentiably.

    Args:
        x: float32 (N, C, H, W) on the CPU, H and W multiples of 4.
        weight: float32 (K, C, 3, 3).

    Returns:
        `torch.conv2d(x, weight, padding=1)` but for rounding (1.2e-5 of the largest number), float32 (N, K, H, W) in
        channels-last memory.

    Raises:
        ValueError: If there is no image, or sizes are others.
    """
    if not len(x) or x.shape[2] % 4 or x.shape[3] % 4 or weight.shape[2:] != (3, 3):
        raise ValueError(
            f"images {tuple(x.shape)} and filters {tuple(weight.shape)} are none for F(4x4, 3x3)"
        )
    result: Tensor = _Convolve.apply(x, weight)  # type: ignore[no-untyped-call]  # PyTorch's own
    return result


class _Convolve(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor) -> Tensor:  # noqa: ANN401 - PyTorch's own
        ctx.save_for_backward(x, weight)
        images, filters = _channels_last(x), _channels_last(weight)
        shape = len(x), len(weight), *x.shape[2:]
        result = torch.empty(shape, dtype=torch.float32, memory_format=torch.channels_last)
        y = result.permute(0, 2, 3, 1)
        u = _spread(filters)
        for some in _parts(images, filters):
            v, m = _domain("v", images[some]), _domain("m", y[some])
            transform(INPUTS_IN, images[some], v)
            torch.bmm(v, u.permute(1, 2, 0), out=m)
            transform(OUTPUTS_OUT, y[some], m)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:  # noqa: ANN401
        x, weight = ctx.saved_tensors
        images, filters, gradients = (_channels_last(t) for t in (x, weight, gradient))
        of_images, of_filters = (
            torch.empty_like(t) if asked else None
            for t, asked in zip((images, filters), ctx.needs_input_grad, strict=True)
        )
        u = None if of_images is None else _spread(filters)
        du = _room("du", 36, len(filters), filters.shape[3])
        for some in _parts(images, filters):
            v, m = _domain("v", images[some]), _domain("m", gradients[some])
            transform(OUTPUTS_IN, gradients[some], m)
            if of_filters is not None:
                transform(INPUTS_IN, images[some], v)
                # What `du` held before counts for nothing with the first part, not even if it was no number.
                torch.baddbmm(du, m.transpose(1, 2), v, beta=float(some.start > 0), out=du)
            if of_images is not None and u is not None:
                torch.bmm(m, u.transpose(0, 1), out=v)
                transform(INPUTS_OUT, of_images[some], v)
        if of_filters is not None:
            transform(FILTERS_OUT, of_filters, du)
        images_first, filters_first = (
            None if t is None else t.permute(0, 3, 1, 2) for t in (of_images, of_filters)
        )
        return images_first, filters_first


def _channels_last(x: Tensor) -> Tensor:
    """(N, C, H, W) as (N, H, W, C); a copy where it lies in memory otherwise."""
    return x.detach().permute(0, 2, 3, 1).contiguous()


def _parts(images: Tensor, filters: Tensor) -> list[slice]:
    """Images (N, H, W, C) that are convolved together: as few as stay near, but as many as take the filters' room."""
    count, height, width, channels = images.shape
    numbers = 36 * channels * (height * width // 16)
    step = max(1, max(_NEAR, 36 * len(filters) * channels) // numbers)
    return [slice(k, k + step) for k in range(0, count, step)]


def _spread(filters: Tensor) -> Tensor:
    u = _room("u", len(filters), 36, filters.shape[3])
    transform(FILTERS_IN, filters, u)
    return u


def _domain(name: str, images: Tensor) -> Tensor:
    count, height, width, channels = images.shape
    return _room(name, 36, count * height * width // 16, channels)


_memory = threading.local()


def _room(name: str, *shape: int) -> Tensor:
    """Room for numbers, this thread's, whatever it held before: fresh pages would cost as much as the transforms.

    ResNet-18's last stage asks for most: some 80 MB in all for 48 images, 150 for many.
    """
    held: Tensor | None = getattr(_memory, name, None)
    if held is None or len(held) < math.prod(shape):
        with torch.inference_mode(False):  # whoever asks first, training uses it as well
            held = torch.empty(math.prod(shape), dtype=torch.float32)
        setattr(_memory, name, held)
    return held[: math.prod(shape)].view(shape)
