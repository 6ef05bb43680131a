"""Which convolutions of a network are replaced by faster ones on the CPU."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor, nn

from teachers.inference.products import packed, times
from teachers.inference.winograd import WinogradConv2d

_LEAST_WORK = 96 * 256


class PointwiseConv2d(nn.Module):
    """A 1x1 convolution of stride 1 as one matrix product, which it is in channels-last order.

    PyTorch takes a slow path for a 1x1 convolution of a single image on a single thread.

    Args:
        conv: The convolution, with its weights; it is not kept.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.outputs = conv.out_channels
        self.weight = packed(conv.weight.detach().flatten(1))
        self.bias = torch.zeros(self.outputs) if conv.bias is None else conv.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h, w)."""
        n, inputs, h, w = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(-1, inputs)
        return times(rows, self.weight, self.bias).view(n, h, w, self.outputs).permute(0, 3, 1, 2)


def accelerate(network: nn.Module, seldom: Collection[str] = ()) -> nn.Module:
    """Replace the convolutions that every frame passes through, in place, where that pays.

    Winograd's for 3x3 and 5x5 with enough channels, a product for 1x1. Transformed weights take four times the memory
    of a 3x3 kernel, 2.6 times that of a 5x5 one.

    Args:
        network: On the CPU, folded.
        seldom: Names of the modules that frames do not pass through: they are left with all that is in them.

    Returns:
        The same network.
    """
    for path, module in list(network.named_modules()):
        for name, child in list(module.named_children()):
            if any(part in seldom for part in (*path.split("."), name)):
                continue
            if not isinstance(child, nn.Conv2d) or child.stride != (1, 1) or child.groups != 1:
                continue
            if child.kernel_size == (1, 1):
                setattr(module, name, PointwiseConv2d(child))
            elif (
                child.kernel_size in ((3, 3), (5, 5))
                and child.dilation[0] == child.dilation[1]
                and child.in_channels * child.out_channels >= _LEAST_WORK
            ):
                setattr(module, name, WinogradConv2d(child))
    return network
