"""The two feature maps of search regions, as fast as a processor allows."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from teachers.eco.deep.network import TwoNetworks
from teachers.siamrpn.acceleration import accelerate
from teachers.siamrpn.folding import fold

Floats = NDArray[np.float32]

_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class Extractor:
    """Computes the maps.

    Args:
        networks: With their weights; changed in place.
    """

    def __init__(self, networks: TwoNetworks) -> None:
        networks.eval().requires_grad_(False)
        # bn1 is folded apart: the convolution registered before it is the other network's.
        self._net = accelerate(fold(networks).to(memory_format=torch.channels_last))

    def __call__(self, regions: list[Floats]) -> tuple[Tensor, Tensor]:
        """Shallow and deep maps, float32 (N, cells, cells, channels), each of mean square 1.

        Args:
            regions: Each float32 (side, side, 3), BGR, 0 to 255.
        """
        x = torch.from_numpy(np.stack(regions)).flip(-1) / 255
        x = ((x - torch.tensor(_MEAN)) / torch.tensor(_DEVIATION)).permute(0, 3, 1, 2)
        net = self._net
        shallow = functional.relu_(net.vggmconv1(x))
        square = functional.pad((shallow * shallow), (0, 0, 0, 0, 2, 2))
        mean = sum(square[:, i : i + 96] for i in range(5)) / 5
        shallow = functional.avg_pool2d(shallow / (2 + 5e-4 * mean) ** 0.75, 2)
        deep = functional.max_pool2d(functional.relu_(net.conv1(x)), 3, 2, 1)
        deep = net.layer3(net.layer2(net.layer1(deep)))
        return _normalised(shallow), _normalised(deep)


def _normalised(maps: Tensor) -> Tensor:
    maps = maps.permute(0, 2, 3, 1).contiguous()
    scale = torch.rsqrt((maps * maps).mean(dim=(1, 2, 3), keepdim=True) + 1e-10)
    return maps * scale
