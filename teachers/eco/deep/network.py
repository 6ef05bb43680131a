"""ResNet-18 up to its third stage beside VGG-M's first layer, with the names of the published checkpoint.

He et al., Deep Residual Learning for Image Recognition, CVPR 2016; Chatfield et al., Return of the Devil in the
Details, BMVC 2014. pytracking publishes both in one file, `resnet18_vggmconv1.pth`, for its ECO.
"""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn
from torch.nn import functional

from teachers.weights import fit, load_state

SHALLOW_CHANNELS, DEEP_CHANNELS = 96, 256
SHALLOW_STRIDE, DEEP_STRIDE = 4, 16
"""Pixels per cell; the shallow map is one of stride 2, averaged over 2 x 2 cells."""

_UNUSED = ("layer4.", "fc.")


class Block(nn.Module):
    """Two 3x3 convolutions and what they are added to.

    Args:
        inputs: Channels in.
        outputs: Channels out.
        stride: Of the first convolution.
    """

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride != 1 or inputs != outputs
            else nn.Sequential()
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h', w'), not negative."""
        y = functional.relu_(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return functional.relu_(y.add_(self.downsample(x)))


class TwoNetworks(nn.Module):
    """What the checkpoint holds, as far as the tracker uses it."""

    def __init__(self) -> None:
        super().__init__()
        self.vggmconv1 = nn.Conv2d(3, SHALLOW_CHANNELS, 7, 2, 3)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.layer1 = nn.Sequential(Block(64, 64, 1), Block(64, 64, 1))
        self.layer2 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
        self.layer3 = nn.Sequential(Block(128, DEEP_CHANNELS, 2), Block(DEEP_CHANNELS, DEEP_CHANNELS, 1))


def read(weights: Path | str) -> TwoNetworks:
    """The networks with a checkpoint's weights.

    Args:
        weights: A PyTorch file or safetensors. ResNet's fourth stage and classifier, which the published file
            also holds, are left out.

    Raises:
        DataError: If the checkpoint cannot be read or is another network's.
    """
    networks = TwoNetworks()
    state = load_state(weights)
    fit(networks, {key: value for key, value in state.items() if not key.startswith(_UNUSED)}, weights)
    return networks
