"""The region proposal heads with depth-wise cross-correlation (SiamRPN++, Section 4.3; pysot `rpn.py`).

The exemplar's side of a head depends on the first frame alone: `kernels` computes it once per video,
`forward` takes it for every search region. (Upstream computes it again for every frame.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor, nn

from teachers.siamrpn.anchors import RATIOS

if TYPE_CHECKING:
    from collections.abc import Sequence

Kernels = tuple[Tensor, ...]
"""What a head keeps of an exemplar; the first dimension of each tensor counts videos."""


def correlate_depthwise(search: Tensor, kernel: Tensor) -> Tensor:
    """Correlate each channel of each video with its own kernel, without padding.

    Args:
        search: (N, C, h, w).
        kernel: (N, C, k, k).

    Returns:
        (N, C, h - k + 1, w - k + 1).
    """
    n, c, h, w = search.shape
    k = kernel.shape[-1]
    if n == 1:  # stays in channels-last order
        return F.conv2d(search, kernel.reshape(c, 1, k, k), groups=c)
    out = F.conv2d(search.reshape(1, n * c, h, w), kernel.reshape(n * c, 1, k, k), groups=n * c)
    return out.reshape(n, c, h - k + 1, w - k + 1)


class DepthwiseXCorr(nn.Module):
    """One branch, class or box: adjust both sides, correlate, predict.

    Args:
        inputs: Channels of the features.
        hidden: Channels of the correlation.
        outputs: 2 or 4 per anchor.
    """

    def __init__(self, inputs: int, hidden: int, outputs: int) -> None:
        super().__init__()
        self.conv_kernel = nn.Sequential(
            nn.Conv2d(inputs, hidden, 3, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True)
        )
        self.conv_search = nn.Sequential(
            nn.Conv2d(inputs, hidden, 3, bias=False), nn.BatchNorm2d(hidden), nn.ReLU(inplace=True)
        )
        self.head = nn.Sequential(
            nn.Conv2d(hidden, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, outputs, 1),
        )

    def forward(self, search: Tensor, kernel: Tensor) -> Tensor:
        """Features (N, inputs, h, w) and kernels (N, hidden, k, k) to (N, outputs, S, S)."""
        out: Tensor = self.head(correlate_depthwise(self.conv_search(search), kernel))
        return out


class DepthwiseRPN(nn.Module):
    """Both branches on one level.

    Args:
        inputs: Channels of the features, and of the correlation.
    """

    def __init__(self, inputs: int = 256) -> None:
        super().__init__()
        self.cls = DepthwiseXCorr(inputs, inputs, 2 * len(RATIOS))
        self.loc = DepthwiseXCorr(inputs, inputs, 4 * len(RATIOS))

    def kernels(self, levels: Sequence[Tensor]) -> Kernels:
        """The exemplar's features, one level, to its two kernels."""
        (features,) = levels
        return self.cls.conv_kernel(features), self.loc.conv_kernel(features)

    def forward(self, levels: Sequence[Tensor], kernels: Kernels) -> tuple[Tensor, Tensor]:
        """Search features, one level, to classes (N, 2 A, S, S) and boxes (N, 4 A, S, S)."""
        (features,) = levels
        return self.cls(features, kernels[0]), self.loc(features, kernels[1])


class MultiRPN(nn.Module):
    """A `DepthwiseRPN` per level (`rpn2`, `rpn3` ...), averaged.

    Args:
        inputs: Channels, one number per level.
        weighted: Average with learned weights (a softmax of `cls_weight` and `loc_weight`) instead of equal ones.
    """

    def __init__(self, inputs: Sequence[int], weighted: bool) -> None:
        super().__init__()
        self._names = [f"rpn{number}" for number in range(2, 2 + len(inputs))]
        for name, channels in zip(self._names, inputs, strict=True):
            self.add_module(name, DepthwiseRPN(channels))
        self.weighted = weighted
        if weighted:
            self.cls_weight = nn.Parameter(torch.ones(len(inputs)))
            self.loc_weight = nn.Parameter(torch.ones(len(inputs)))

    def _level(self, index: int) -> DepthwiseRPN:
        level = getattr(self, self._names[index])
        assert isinstance(level, DepthwiseRPN)
        return level

    def kernels(self, levels: Sequence[Tensor]) -> Kernels:
        """The exemplar's features to two kernels per level: class, box, class, box ..."""
        pairs = [self._level(i).kernels((features,)) for i, features in enumerate(levels)]
        return tuple(kernel for pair in pairs for kernel in pair)

    def forward(self, levels: Sequence[Tensor], kernels: Kernels) -> tuple[Tensor, Tensor]:
        """Search features to classes (N, 2 A, S, S) and boxes (N, 4 A, S, S)."""
        pairs = [self._level(i)((features,), kernels[2 * i : 2 * i + 2]) for i, features in enumerate(levels)]
        classes = torch.stack([pair[0] for pair in pairs])
        boxes = torch.stack([pair[1] for pair in pairs])
        if not self.weighted:
            return classes.mean(0), boxes.mean(0)
        cls_weight, loc_weight = self.cls_weight.softmax(0), self.loc_weight.softmax(0)
        return torch.einsum("l,l...->...", cls_weight, classes), torch.einsum(
            "l,l...->...", loc_weight, boxes
        )
