"""The neck: each level of a deep trunk is brought to the head's number of channels (pysot `neck.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

_CENTRE = 7
_TEMPLATE_BELOW = 20


class AdjustLayer(nn.Module):
    """A 1x1 convolution, and for the exemplar the central 7x7 cells.

    SiamRPN++ (Section 4.1) crops the exemplar's features, so that the padding of a deep trunk does not reach
    them. A map less than 20 cells wide is the exemplar's.

    Args:
        inputs: The trunk's channels.
        outputs: The head's channels.
    """

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.downsample = nn.Sequential(nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, s, s) to (N, outputs, s, s), or (N, outputs, 7, 7) of an exemplar."""
        if x.shape[-1] < _TEMPLATE_BELOW:
            start = (x.shape[-1] - _CENTRE) // 2
            x = x[..., start : start + _CENTRE, start : start + _CENTRE]
        y: Tensor = self.downsample(x)
        return y


class AdjustAllLayer(nn.Module):
    """One `AdjustLayer` per level, called `downsample2`, `downsample3` ...

    Args:
        inputs: The trunk's channels, one number per level.
        outputs: The head's.
    """

    def __init__(self, inputs: Sequence[int], outputs: Sequence[int]) -> None:
        super().__init__()
        for number, (i, o) in enumerate(zip(inputs, outputs, strict=True), start=2):
            self.add_module(f"downsample{number}", AdjustLayer(i, o))

    def forward(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        """One map per level to one map per level."""
        return tuple(layer(x) for layer, x in zip(self.children(), levels, strict=True))
