"""A first convolution that takes four channels on a GPU: cuDNN's kernels for three are several times slower."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class FourthChannel(nn.Module):
    """A convolution of three channels, on images that have a fourth of zeros, or get one.

    Args:
        convolution: Of three channels; its weights are padded with zeros.
    """

    def __init__(self, convolution: nn.Conv2d) -> None:
        super().__init__()
        weight = functional.pad(convolution.weight.detach(), (0, 0, 0, 0, 0, 1))
        self.weight = nn.Parameter(weight.contiguous(memory_format=torch.channels_last), requires_grad=False)
        self.bias = convolution.bias
        self._stride, self._padding, self._dilation = (
            convolution.stride,
            convolution.padding,
            convolution.dilation,
        )

    def forward(self, images: Tensor) -> Tensor:
        """(N, 3 or 4, H, W) to what the convolution makes of the first three."""
        if images.shape[1] == 3:
            images = functional.pad(images, (0, 0, 0, 0, 0, 1))
        images = images.contiguous(memory_format=torch.channels_last)
        return functional.conv2d(images, self.weight, self.bias, self._stride, self._padding, self._dilation)


def with_fourth_channel(network: nn.Module) -> None:
    """Replace the first convolution of a network, in place; it has to be on its device, with its weights.

    Raises:
        ValueError: If it does not take three channels.
    """
    path, first = next((p, m) for p, m in network.named_modules() if isinstance(m, nn.Conv2d))
    if first.in_channels != 3 or first.groups != 1:
        raise ValueError(f"the first convolution, {path}, takes {first.in_channels} channels, not three")
    parent, _, name = path.rpartition(".")
    setattr(network.get_submodule(parent), name, FourthChannel(first))
