"""Precise RoI pooling in plain PyTorch, for any device and without a compiler.

Jiang et al., Acquisition of Localization Confidence for Accurate Object Detection, ECCV 2018, Equations 4 to 6: a bin's
value is the mean, over the bin's area, of the feature map interpolated bilinearly between its samples. The bilinear
kernel is the product of two hats, so the double integral is a product of two single ones:

    out[i, j] = sum_yx  Wy[i, y] F[y, x] Wx[j, x] / area,      W[i, y] = integral over bin i of max(0, 1 - |t - y|)

which is two matrix products, exact, and differentiable in the features and in the corners of the region (what the box
refinement of ATOM and DiMP climbs along). Outside the feature map its samples count as zero, as in the original.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


def hat_integrals(low: Tensor, high: Tensor, bins: int, size: int) -> Tensor:
    """Integrals of the hats at 0, 1, ..., size - 1 over equal bins between two ends.

    Args:
        low: Beginnings of N intervals in samples, shape (N,).
        high: Their ends, not below them.
        bins: How many bins each interval is cut into.
        size: How many hats there are.

    Returns:
        (N, bins, size).
    """
    steps = torch.arange(bins + 1, dtype=low.dtype, device=low.device) / bins
    edges = low[:, None] + (high - low)[:, None] * steps
    samples = torch.arange(size, dtype=low.dtype, device=low.device)
    # The integral of max(0, 1 - |u|) from -1 to t is 1/2 + t - t|t|/2 between -1 and 1, and constant beyond.
    t = (edges[:, :, None] - samples).clamp(-1, 1)
    primitive = t - t * t.abs() / 2
    return primitive[:, 1:] - primitive[:, :-1]


class PrRoIPool2D(nn.Module):
    """Mean of a feature map over each bin of each region.

    Args:
        pooled_height, pooled_width: Bins along y and x.
        spatial_scale: Samples of the feature map per unit of the regions' coordinates.
    """

    def __init__(self, pooled_height: int, pooled_width: int, spatial_scale: float) -> None:
        super().__init__()
        self.pooled_height = int(pooled_height)
        self.pooled_width = int(pooled_width)
        self.spatial_scale = float(spatial_scale)

    def forward(self, features: Tensor, rois: Tensor) -> Tensor:
        """Pool.

        Args:
            features: (B, C, H, W).
            rois: (N, 5): the image's number in the batch, and the corners x0, y0, x1, y1. A region turned
                inside out or without area gives zeros.

        Returns:
            (N, C, pooled_height, pooled_width).
        """
        height, width = features.shape[-2:]
        left, top, right, bottom = (rois[:, 1:] * self.spatial_scale).unbind(1)
        right, bottom = torch.max(left, right), torch.max(top, bottom)
        rows = hat_integrals(top, bottom, self.pooled_height, height)
        columns = hat_integrals(left, right, self.pooled_width, width)
        area = (right - left) * (bottom - top) / (self.pooled_height * self.pooled_width)
        inverse = torch.where(
            area > 0, 1 / torch.where(area > 0, area, torch.ones_like(area)), torch.zeros_like(area)
        )
        if features.shape[0] == 1:
            # One image with many regions is ATOM's and DiMP's case: the features are read once for all.
            wide = torch.einsum("chw,nqw->ncqh", features[0], columns)
        else:
            wide = torch.einsum("nchw,nqw->ncqh", features[rois[:, 0].long()], columns)
        return torch.einsum("ncqh,nph->ncpq", wide, rows) * inverse[:, None, None, None]
