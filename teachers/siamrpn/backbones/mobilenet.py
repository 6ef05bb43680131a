"""MobileNetV2 with dilated last stages, 1.4 times as wide as the original (pysot `mobile_v2.py`)."""

from __future__ import annotations

from torch import Tensor, nn

_STAGES = (
    # expansion, channels, blocks, stride, dilation
    (1, 16, 1, 1, 1),
    (6, 24, 2, 2, 1),
    (6, 32, 3, 2, 1),
    (6, 64, 4, 1, 2),
    (6, 96, 3, 1, 2),
    (6, 160, 3, 1, 4),
    (6, 320, 1, 1, 4),
)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; added to the input where the shapes allow.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the channel-wise convolution; 2 goes without padding.
        expansion: How many times wider the middle is. Even 1 has its 1x1 convolution here.
        dilation: Of the channel-wise convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int, dilation: int) -> None:
        super().__init__()
        self.shortcut = stride == 1 and inputs == outputs
        middle = inputs * expansion
        padding = dilation if dilation > 1 else 2 - stride
        self.conv = nn.Sequential(
            nn.Conv2d(inputs, middle, 1, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU6(inplace=True),
            nn.Conv2d(middle, middle, 3, stride, padding, dilation, groups=middle, bias=False),
            nn.BatchNorm2d(middle),
            nn.ReLU6(inplace=True),
            nn.Conv2d(middle, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h', w')."""
        y: Tensor = self.conv(x)
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """Stages 3, 5 and 7, each of stride 8: 127 pixels give 15 cells, 255 give 31.

    Args:
        width: Factor on every number of channels.
    """

    def __init__(self, width: float = 1.4) -> None:
        super().__init__()
        inputs = int(32 * width)
        self.layer0 = nn.Sequential(
            nn.Conv2d(3, inputs, 3, stride=2, bias=False), nn.BatchNorm2d(inputs), nn.ReLU6(inplace=True)
        )
        before = 1
        for number, (expansion, channels, blocks, stride, dilation) in enumerate(_STAGES, start=1):
            outputs = int(channels * width)
            # Where the dilation grows, the first block takes the step half-way.
            first = dilation if dilation == before else max(dilation // 2, 1)
            layers = [InvertedResidual(inputs, outputs, stride, expansion, first)]
            layers += [InvertedResidual(outputs, outputs, 1, expansion, dilation) for _ in range(blocks - 1)]
            self.add_module(f"layer{number}", nn.Sequential(*layers))
            inputs, before = outputs, dilation
        self.channels = tuple(int(_STAGES[stage - 1][1] * width) for stage in (3, 5, 7))

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        """(N, 3, S, S) to three levels (N, channels[i], s, s)."""
        levels = []
        for number, layer in enumerate(self.children()):
            x = layer(x)
            if number in (3, 5, 7):
                levels.append(x)
        return tuple(levels)
