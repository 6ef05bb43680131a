"""ResNet-50 whose last stages dilate instead of striding, so that all levels used have stride 8.

SiamRPN++ (Li et al., CVPR 2019, Section 4.1); padding follows pysot's `resnet_atrous.py`, whose checkpoints
need it exactly: the first convolution has none, a strided one has none, and the first block of a dilated
stage dilates half as much as its others.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

_EXPANSION = 4


def _conv3(inputs: int, outputs: int, stride: int, dilation: int) -> nn.Conv2d:
    padding = dilation if stride == 1 else 0
    return nn.Conv2d(inputs, outputs, 3, stride, padding, dilation, bias=False)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1, and the shortcut around them.

    Args:
        inputs: Channels in.
        planes: Channels of the 3x3 convolution; four times as many come out.
        stride: Of the 3x3 convolution.
        dilation: Of the 3x3 convolution.
        downsample: The shortcut's own convolution where shapes differ, or None.
    """

    def __init__(
        self,
        inputs: int,
        planes: int,
        stride: int = 1,
        dilation: int = 1,
        downsample: nn.Sequential | None = None,
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, planes, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = _conv3(planes, planes, stride, dilation)
        self.bn2 = nn.BatchNorm2d(planes)
        self.conv3 = nn.Conv2d(planes, planes * _EXPANSION, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(planes * _EXPANSION)
        self.downsample = downsample

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, 4 planes, h', w')."""
        y = torch.relu_(self.bn1(self.conv1(x)))
        y = torch.relu_(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        return torch.relu_(y + (x if self.downsample is None else self.downsample(x)))


def _stage(inputs: int, planes: int, blocks: int, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    outputs = planes * _EXPANSION
    first = max(dilation // 2, 1)
    if stride == 1 and dilation == 1:
        shortcut = nn.Conv2d(inputs, outputs, 1, bias=False)
    else:
        shortcut = _conv3(inputs, outputs, stride, first)
    downsample = nn.Sequential(shortcut, nn.BatchNorm2d(outputs))
    rest = [Bottleneck(outputs, planes, dilation=dilation) for _ in range(blocks - 1)]
    return nn.Sequential(Bottleneck(inputs, planes, stride, first, downsample), *rest)


class ResNet50(nn.Module):
    """Stages 2, 3 and 4, each of stride 8: 127 pixels give 15 cells, 255 give 31.

    Attributes:
        channels: Of the three levels: 512, 1024, 2048.
    """

    channels = (512, 1024, 2048)

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 64, 7, stride=2, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)
        self.layer1 = _stage(64, 64, 3)
        self.layer2 = _stage(256, 128, 4, stride=2)
        self.layer3 = _stage(512, 256, 6, dilation=2)
        self.layer4 = _stage(1024, 512, 3, dilation=4)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, S, S) to three levels (N, channels[i], s, s)."""
        x = self.layer1(self.maxpool(torch.relu_(self.bn1(self.conv1(x)))))
        second = self.layer2(x)
        third = self.layer3(second)
        return second, third, self.layer4(third)
