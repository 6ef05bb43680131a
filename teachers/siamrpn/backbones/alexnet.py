"""AlexNet without padding, as SiamFC and SiamRPN use it (pysot `alexnet.py`, DaSiamRPN `net.py`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

if TYPE_CHECKING:
    from collections.abc import Sequence

WIDTHS = (96, 256, 384, 384, 256)
"""Channels after each of the five convolutions."""


def trunk(widths: Sequence[int] = WIDTHS) -> nn.Sequential:
    """The five convolutions, stride 8 in all: 127 pixels give 6 cells, 271 give 24, 287 give 26.

    Pooling comes before the ReLU. The last convolution has no ReLU.

    Args:
        widths: Channels after each convolution.
    """
    a, b, c, d, e = widths
    return nn.Sequential(
        nn.Conv2d(3, a, 11, stride=2),
        nn.BatchNorm2d(a),
        nn.MaxPool2d(3, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(a, b, 5),
        nn.BatchNorm2d(b),
        nn.MaxPool2d(3, stride=2),
        nn.ReLU(inplace=True),
        nn.Conv2d(b, c, 3),
        nn.BatchNorm2d(c),
        nn.ReLU(inplace=True),
        nn.Conv2d(c, d, 3),
        nn.BatchNorm2d(d),
        nn.ReLU(inplace=True),
        nn.Conv2d(d, e, 3),
        nn.BatchNorm2d(e),
    )


class AlexNetLegacy(nn.Module):
    """The trunk in one piece: keys `features.0` to `features.15`.

    Args:
        widths: Channels after each convolution.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        self.features = trunk(widths)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, S, S) to one level (N, widths[-1], s, s)."""
        return (self.features(x),)


class AlexNet(nn.Module):
    """The same trunk in five named pieces: keys `layer1.0` to `layer5.1`.

    Args:
        widths: Channels after each convolution.
    """

    def __init__(self, widths: Sequence[int] = WIDTHS) -> None:
        super().__init__()
        whole = trunk(widths)
        self.layer1 = whole[0:4]
        self.layer2 = whole[4:8]
        self.layer3 = whole[8:11]
        self.layer4 = whole[11:14]
        self.layer5 = whole[14:16]

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, S, S) to one level (N, widths[-1], s, s)."""
        return (self.layer5(self.layer4(self.layer3(self.layer2(self.layer1(x))))),)
