"""DaSiamRPN's network: AlexNet, and a head that raises channels instead of correlating depth-wise.

Zhu et al., Distractor-aware Siamese Networks, ECCV 2018, on the network of SiamRPN (Li et al., CVPR 2018).
Keys are those of DaSiamRPN's `net.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor, nn

from teachers.siamrpn.anchors import RATIOS
from teachers.siamrpn.backbones.alexnet import WIDTHS, trunk

if TYPE_CHECKING:
    from teachers.siamrpn.head import Kernels


def correlate(search: Tensor, kernels: Tensor) -> Tensor:
    """Correlate each video's features with its own bank of kernels, without padding.

    Args:
        search: (N, C, h, w).
        kernels: (N, K, C, k, k).

    Returns:
        (N, K, h - k + 1, w - k + 1).
    """
    n, c, h, w = search.shape
    count, k = kernels.shape[1], kernels.shape[-1]
    out = F.conv2d(search.reshape(1, n * c, h, w), kernels.reshape(n * count, c, k, k), groups=n)
    return out.reshape(n, count, h - k + 1, w - k + 1)


class DaSiamRPN(nn.Module):
    """SiamRPNvot and SiamRPNotb (width 1), SiamRPNBIG (width 2).

    Args:
        width: Factor on the trunk's channels.
        features: Channels of the correlation.
    """

    def __init__(self, width: int = 1, features: int = 256) -> None:
        super().__init__()
        widths = [channels * width for channels in WIDTHS]
        self.featureExtract = trunk(widths)
        self.conv_r1 = nn.Conv2d(widths[-1], features * 4 * len(RATIOS), 3)
        self.conv_r2 = nn.Conv2d(widths[-1], features, 3)
        self.conv_cls1 = nn.Conv2d(widths[-1], features * 2 * len(RATIOS), 3)
        self.conv_cls2 = nn.Conv2d(widths[-1], features, 3)
        self.regress_adjust = nn.Conv2d(4 * len(RATIOS), 4 * len(RATIOS), 1)

    def template(self, exemplar: Tensor) -> Kernels:
        """(N, 3, 127, 127) to kernels (N, 2 A, C, 4, 4) and (N, 4 A, C, 4, 4)."""
        z = self.featureExtract(exemplar)
        classes, boxes = self.conv_cls1(z), self.conv_r1(z)
        n, k = len(z), classes.shape[-1]
        return (
            classes.reshape(n, 2 * len(RATIOS), -1, k, k),
            boxes.reshape(n, 4 * len(RATIOS), -1, k, k),
        )

    def forward(self, search: Tensor, kernels: Kernels) -> tuple[Tensor, Tensor]:
        """(N, 3, S, S) to classes (N, 2 A, s, s) and boxes (N, 4 A, s, s)."""
        x = self.featureExtract(search)
        boxes = self.regress_adjust(correlate(self.conv_r2(x), kernels[1]))
        return correlate(self.conv_cls2(x), kernels[0]), boxes
