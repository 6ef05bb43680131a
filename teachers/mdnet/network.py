"""The shared layers of MDNet: three convolutions of VGG-M and two fully connected layers (notes: mdnet.md, 1).

The convolutions are fixed after training; what they say of a 107 x 107 patch (the *feature*) is all that the tracker
keeps of it. The fully connected layers are where every video's own classifier starts, see `classifier`.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from teachers import weights
from teachers.gpu.space_to_depth import SpaceToDepth, fold_first
from teachers.mdnet.normalised_pool import normalised_pool

PATCH = 107
"""Side of a patch in pixels; conv3 then has 3 x 3 positions."""


@dataclass(frozen=True)
class Widths:
    """Channels of each layer; the defaults are those of the published network.

    Attributes:
        conv1, conv2, conv3: Channels of the convolutions.
        fc4, fc5: Outputs of the fully connected layers.
    """

    conv1: int = 96
    conv2: int = 256
    conv3: int = 512
    fc4: int = 512
    fc5: int = 512

    @property
    def feature(self) -> int:
        """Length of the feature of a patch."""
        return self.conv3 * 9


class Network(nn.Module):
    """The shared layers under the names of the published checkpoints (`conv1.0.weight` ... `fc5.1.bias`).

    Args:
        widths: Channels of each layer.
    """

    def __init__(self, widths: Widths | None = None) -> None:
        super().__init__()
        w = widths or Widths()
        self.widths = w
        self.conv1 = nn.Sequential(nn.Conv2d(3, w.conv1, 7, stride=2))
        self.conv2 = nn.Sequential(nn.Conv2d(w.conv1, w.conv2, 5, stride=2))
        self.conv3 = nn.Sequential(nn.Conv2d(w.conv2, w.conv3, 3))
        self.fc4 = nn.Sequential(nn.Linear(w.feature, w.fc4))
        # Element 0 is the dropout in front of the layer; it is what gives the layer its published name.
        self.fc5 = nn.Sequential(OrderedDict([("0", nn.Dropout(0.5)), ("1", nn.Linear(w.fc4, w.fc5))]))

    @property
    def device(self) -> torch.device:
        """Where it runs."""
        return next(self.parameters()).device

    @torch.inference_mode()
    def features(self, patches: Tensor) -> Tensor:
        """The output of conv3 after its ReLU, flattened in the order (channel, row, column).

        Args:
            patches: float32 (N, 3, 107, 107), RGB minus 128, fastest in channels_last; on a GPU also
                `space_to_depth.folded`.

        Returns:
            float32 (N, 9 x conv3).
        """
        first, second = self.conv1[0], cast("nn.Conv2d", self.conv2[0])
        if isinstance(first, SpaceToDepth):
            x = normalised_pool(first.without_bias(patches), first.bias)
            x = normalised_pool(functional.conv2d(x, second.weight, stride=2), second.bias)
        else:
            x = normalised_pool(second(normalised_pool(first(patches))))
        return functional.relu_(self.conv3(x)).flatten(1)

    def forward(self, patches: Tensor) -> Tensor:
        """The same as `features`."""
        return self.features(patches)


def load_network(path: Path | str, device: torch.device | str = "cpu") -> Network:
    """Read a checkpoint of the shared layers: the published ones, or a slimmer network under the same names.

    Args:
        path: `mdnet_imagenet_vid.pth`, `mdnet_vot-otb.pth`, or any file that `teachers.weights` reads.
        device: Where it shall run.

    Raises:
        DataError: If the file cannot be read, or is not one of this network.
    """
    state = weights.load_state(path, inside=("shared_layers", "state_dict"))
    network = Network(_widths(state))
    weights.fit(network, state, path)
    network = network.to(device).eval().requires_grad_(False)
    network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stub
    if network.device.type == "cuda":
        fold_first(network)
    return network


def _widths(state: Mapping[str, Tensor]) -> Widths:
    """The widths that a checkpoint's own tensors say, the published ones where it does not say."""
    found = {
        layer: len(state[key])
        for layer, key in (
            ("conv1", "conv1.0.weight"),
            ("conv2", "conv2.0.weight"),
            ("conv3", "conv3.0.weight"),
            ("fc4", "fc4.0.weight"),
            ("fc5", "fc5.1.weight"),
        )
        if key in state and state[key].ndim > 0
    }
    return Widths(**found)
