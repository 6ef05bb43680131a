"""The convolutional part of the student: the paper's ResNet-18, and smaller ones for small machines.

Every backbone makes numbers of a pair of crops (`pair`). But for `matching` they see either crop by itself, and map
crops (N, 3, S, S) to features (N, channels, S / 32, S / 32). ResNet-18's parameters have torchvision's names, so that
published weights fit.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal
from urllib.error import URLError

import torch
from torch import Tensor, nn

from datasets.errors import DataError
from teachers.weights import fit, load_state
from trainer.matching import Matching
from trainer.winograd import Convolution

BackboneName = Literal["resnet18", "small", "tiny", "matching"]
"""resnet18 is the paper's; the others learn from scratch on a CPU: small and tiny are plain convolutions, matching
compares the two crops cell by cell."""

STRIDE = 32
"""Of every backbone: a crop of 128 pixels gives 4 x 4 cells."""

IMAGENET_URL = "https://download.pytorch.org/models/resnet18-f37072fd.pth"
"""Torchvision's ResNet18_Weights.IMAGENET1K_V1; the name ends with the file's SHA-256."""


class Branch(nn.Module):
    """Two branches of the same weights, one for each crop (paper, Section 3.2): `forward` is one of them.

    Args:
        channels: Of its features.
        crop_size: S, a multiple of 32.

    Attributes:
        channels: As given.
        outputs: Numbers that it makes of a pair of crops.
    """

    def __init__(self, channels: int, crop_size: int) -> None:
        super().__init__()
        self.channels = channels
        self.outputs = 2 * channels * (crop_size // STRIDE) ** 2

    def pair(self, previous: Tensor, current: Tensor) -> Tensor:
        """Crops (B, 3, S, S) each to (B, outputs): the previous crop's features, and then the current one's."""
        before, now = self(torch.cat([previous, current])).flatten(1).chunk(2)
        return torch.cat([before, now], dim=1)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and the shortcut around them (He et al., CVPR 2016)."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = Convolution(inputs, outputs, stride)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = Convolution(outputs, outputs)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.downsample = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride != 1 or inputs != outputs
            else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h / stride, w / stride)."""
        y = torch.relu_(self.bn1(self.conv1(x)))
        y = self.bn2(self.conv2(y))
        return torch.relu_(y.add_(x if self.downsample is None else self.downsample(x)))


class ResNet18(Branch):
    """ResNet-18 without average pooling and classifier, of 512 channels.

    Args:
        crop_size: S, a multiple of 32.
    """

    def __init__(self, crop_size: int = 128) -> None:
        super().__init__(512, crop_size)
        self.conv1 = nn.Conv2d(3, 64, 7, 2, 3, bias=False)
        self.bn1 = nn.BatchNorm2d(64)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.layer1 = nn.Sequential(BasicBlock(64, 64, 1), BasicBlock(64, 64, 1))
        self.layer2 = nn.Sequential(BasicBlock(64, 128, 2), BasicBlock(128, 128, 1))
        self.layer3 = nn.Sequential(BasicBlock(128, 256, 2), BasicBlock(256, 256, 1))
        self.layer4 = nn.Sequential(BasicBlock(256, 512, 2), BasicBlock(512, 512, 1))
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, 512, S / 32, S / 32)."""
        x = self.maxpool(torch.relu_(self.bn1(self.conv1(x))))
        x = self.layer1(x)
        x = self.layer2(x)
        x = self.layer3(x)
        return torch.as_tensor(self.layer4(x))


class Plain(Branch):
    """Four convolutions of strides 4, 2, 2 and 2 with ReLU; no normalisation.

    The first sees 8x8 pixels at stride 4, which costs a fiftieth of ResNet-18's multiplications.

    Args:
        widths: Channels after each.
        crop_size: S, a multiple of 32.
    """

    def __init__(self, widths: tuple[int, int, int, int], crop_size: int) -> None:
        super().__init__(widths[-1], crop_size)
        self.conv1 = nn.Conv2d(3, widths[0], 8, 4, 2)
        self.conv2 = nn.Conv2d(widths[0], widths[1], 3, 2, 1)
        self.conv3 = nn.Conv2d(widths[1], widths[2], 3, 2, 1)
        self.conv4 = nn.Conv2d(widths[2], widths[3], 3, 2, 1)
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # these layers have a bias

    def forward(self, x: Tensor) -> Tensor:
        """(N, 3, S, S) to (N, channels, S / 32, S / 32)."""
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            x = torch.relu_(layer(x))
        return x


Backbone = ResNet18 | Plain | Matching

_MAKERS: dict[BackboneName, Callable[[int], Backbone]] = {
    "resnet18": ResNet18,
    "small": lambda size: Plain((32, 64, 96, 128), size),
    "tiny": lambda size: Plain((16, 32, 64, 64), size),
    "matching": Matching,
}


def make_backbone(name: BackboneName, crop_size: int = 128) -> Backbone:
    """A backbone with random weights, for crops of a multiple of 32 pixels."""
    return _MAKERS[name](crop_size)


def load_imagenet(backbone: Backbone, path: Path | None = None) -> None:
    """Give a ResNet-18 the weights that torchvision publishes for ImageNet classification.

    Args:
        backbone: Any `ResNet18`.
        path: A copy of the published file; None downloads it once, into torch.hub's folder.

    Raises:
        ValueError: If the backbone is another, for which nothing is published.
        DataError: If the file is damaged or another network's, or cannot be downloaded.
    """
    if not isinstance(backbone, ResNet18):
        raise ValueError(  # noqa: TRY004  # to the user it is an option of a wrong value
            "ImageNet weights are published for the backbone resnet18 alone: give --imagenet none"
        )
    path = path or _downloaded()
    state = load_state(path)
    fit(backbone, {k: v for k, v in state.items() if not k.startswith("fc.")}, path, whole=True)


def _downloaded() -> Path:
    path = Path(torch.hub.get_dir()) / "checkpoints" / IMAGENET_URL.rpartition("/")[2]
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        digest = path.stem.rpartition("-")[2]
        try:
            torch.hub.download_url_to_file(IMAGENET_URL, str(path), hash_prefix=digest)
        except (URLError, OSError, RuntimeError) as error:  # RuntimeError: the digest does not match
            remedy = (
                f"Fetch {IMAGENET_URL} where there is a network and give --imagenet FILE, or train from random "
                "weights with --imagenet none"
            )
            raise DataError(
                path, f"the ImageNet weights could not be downloaded ({error})", remedy
            ) from error
    return path
