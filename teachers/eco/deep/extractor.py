"""The two feature maps of search regions, as fast as a processor allows.

Five regions of 240 x 240 pixels take 18 GFLOP. The convolutions run at a processor's peak in channels-last order,
batch normalisation is folded into them, and both networks' first layers, which see the same pixels, are one. What
follows that layer walks its 9 MB once (`teachers.eco.deep.front`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from teachers.eco.deep.front import front, front_by_operators
from teachers.eco.deep.network import TwoNetworks
from teachers.gpu.upload import uploaded
from teachers.inference.acceleration import accelerate
from teachers.inference.folding import fold

Regions = Tensor | Sequence[NDArray[np.float32]]

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)
"""Of red, green and blue, from 0 to 1."""


class Extractor:
    """Computes the maps.

    Args:
        networks: With their weights; changed in place.
        device: Where they run: "cpu", "cuda", "cuda:1" ... On the CPU, each region's maps are to the last bit what
            they are whatever other calls there are; on a GPU regions of one call go through together, and which
            kernels serve them depends on their number.
    """

    def __init__(self, networks: TwoNetworks, device: str = "cpu") -> None:
        self.device = torch.device(device)
        with torch.inference_mode():
            fold(networks)
            first, other = networks.vggmconv1, networks.conv1
            assert first.bias is not None and other.bias is not None
            # Regions are BGR, 0 to 255, minus the mean: the deviation is the weights' business. The mean is not,
            # for what lies outside the region is the mean.
            deviation = 255 * torch.tensor(_DEVIATION)[:, None, None]
            weight = torch.cat([first.weight, other.weight]) / deviation
            self._weight = weight.flip(1).to(self.device).contiguous(memory_format=torch.channels_last)
            self._bias = torch.cat([first.bias, other.bias]).to(self.device)
            self._mean = (255 * torch.tensor(_MEAN).flip(0)[:, None, None]).to(self.device)
            for layer in (networks.layer1, networks.layer2, networks.layer3):
                layer.to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
                if self.device.type == "cpu":
                    accelerate(layer)
            self._rest = torch.nn.Sequential(networks.layer1, networks.layer2, networks.layer3)

    def __call__(self, regions: Regions) -> tuple[Tensor, Tensor]:
        """Shallow and deep maps, float32 (N, cells, cells, channels), each of mean square 1.

        Args:
            regions: Each float32 (side, side, 3), BGR, 0 to 255; the side is a multiple of 4. A tensor of them is where
                the network is.
        """
        shallow, pooled = self._one_by_one(regions) if self.device.type == "cpu" else self._together(regions)
        deep = self._rest(pooled.permute(0, 3, 1, 2)).permute(0, 2, 3, 1).contiguous()
        return _normalised(shallow), _normalised(deep)

    def _one_by_one(self, regions: Regions) -> tuple[Tensor, Tensor]:
        """Both networks' first layers; the result of one region stays in the processor's cache."""
        side = regions[0].shape[0]
        shallow = torch.empty(len(regions), side // 4, side // 4, len(self._bias) - 64)
        pooled = torch.empty(len(regions), side // 4, side // 4, 64)
        for region, one, other in zip(regions, shallow, pooled, strict=True):
            x = torch.as_tensor(region).permute(2, 0, 1)[None] - self._mean
            front(functional.conv2d(x, self._weight, self._bias, 2, 3), one, other)
        return shallow, pooled

    def _together(self, regions: Regions) -> tuple[Tensor, Tensor]:
        """The same in one call."""
        if not isinstance(regions, Tensor):
            regions = uploaded(np.stack(regions), self.device)
        x = regions.permute(0, 3, 1, 2) - self._mean
        return front_by_operators(functional.conv2d(x, self._weight, self._bias, 2, 3))


def _normalised(maps: Tensor) -> Tensor:
    """Scale each of the maps, in place."""
    count = maps[0].numel()
    norms = torch.linalg.vector_norm(maps.view(len(maps), -1), dim=1)
    maps *= torch.rsqrt(norms * norms / count + 1e-10)[:, None, None, None]
    return maps
