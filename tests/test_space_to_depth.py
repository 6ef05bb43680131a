"""A first convolution of stride 2 as one of stride 1, against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from mdnet_samples import SLIM, weighted
from torch import nn

from teachers.gpu.space_to_depth import SpaceToDepth, fold_first, folded
from teachers.mdnet.network import Network
from teachers.siamrpn.variants import VARIANTS


@pytest.mark.parametrize(
    ("kernel", "height", "width"), [(11, 287, 127), (7, 107, 107), (3, 20, 31), (1, 4, 5)]
)
def test_it_is_the_same_convolution(kernel: int, height: int, width: int):
    torch.manual_seed(0)
    convolution = nn.Conv2d(3, 8, kernel, stride=2).double()
    images = torch.rand(2, 3, height, width, dtype=torch.float64)
    replaced = SpaceToDepth(convolution)
    expected = convolution(images)
    torch.testing.assert_close(replaced(images), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(replaced(folded(images)), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "convolution",
    [
        nn.Conv2d(4, 8, 3, stride=2),
        nn.Conv2d(3, 8, 3),
        nn.Conv2d(3, 8, 4, stride=2),
        nn.Conv2d(3, 8, 3, stride=2, padding=1),
        nn.Conv2d(3, 8, (3, 5), stride=2),
        nn.Conv2d(3, 8, 3, stride=(2, 1)),
        nn.Conv2d(3, 8, 3, stride=2, dilation=2),
        nn.Conv2d(3, 9, 3, stride=2, groups=3),
    ],
    ids=str,
)
def test_other_convolutions_are_refused(convolution: nn.Conv2d):
    with pytest.raises(ValueError, match="is not one of three channels"):
        SpaceToDepth(convolution)


@pytest.mark.parametrize("name", [*sorted(VARIANTS), "mdnet"])
def test_the_first_convolution_of_every_network_is_of_the_kind(name: str):
    with torch.device("meta"):
        network = Network() if name == "mdnet" else VARIANTS[name].build()
    fold_first(network)
    firsts = [m for m in network.modules() if isinstance(m, SpaceToDepth | nn.Conv2d)]
    assert isinstance(firsts[0], SpaceToDepth)
    assert not any(isinstance(m, SpaceToDepth) for m in firsts[1:])


def test_mdnets_features_are_the_same():
    network = weighted(SLIM)
    patches = torch.rand(3, 3, 107, 107, generator=torch.Generator().manual_seed(0)) * 255 - 128
    expected = network.features(patches)
    fold_first(network)
    for images in (patches, folded(patches)):
        torch.testing.assert_close(network.features(images), expected, rtol=1e-4, atol=1e-4)
