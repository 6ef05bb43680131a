"""A branch that compares the two crops cell by cell, for students that learn from few videos.

Where two branches meet only in a fully connected layer, as in the paper, what moved by how much has to be learnt for
every appearance anew. Here each cell of the previous crop is compared with the cells around it in the current
one, as in FlowNet's correlation layer (Dosovitskiy et al., ICCV 2015): what moves leaves the same traces whatever
it looks like.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor, nn

RADIUS = 4
"""Cells of 8 pixels that a comparison reaches: 32 pixels of the crop's 128, three eighths of the target's width."""


def surroundings(side: int, radius: int) -> Tensor:
    """The cells around each cell of a square grid.

    Args:
        side: n, cells in a row.
        radius: r, how many cells in each direction.

    Returns:
        int64 (n², (2 r + 1)²): places in the grid, row by row; n² where there is none.
    """
    own, shift = torch.arange(side), torch.arange(-radius, radius + 1)
    along = own[:, None] + shift
    y, x = along[:, None, :, None], along[None, :, None, :]
    inside = (y >= 0) & (y < side) & (x >= 0) & (x < side)
    return torch.where(inside, y * side + x, side**2).reshape(side**2, -1)


def correlation(before: Tensor, now: Tensor, around: Tensor) -> Tensor:
    """Compare each cell with those around it in another crop.

    Args:
        before: Descriptions of the previous crop's cells, (B, channels, n, n).
        now: Of the current crop's.
        around: See `surroundings`.

    Returns:
        Inner products, (B, K, n, n), K the cells around one; 0 beyond the crop.
    """
    batch, _, side, _ = before.shape
    products = torch.bmm(before.flatten(2).transpose(1, 2), now.flatten(2))
    found = F.pad(products, (0, 1)).gather(2, around.expand(batch, -1, -1))
    return found.view(batch, side, side, -1).permute(0, 3, 1, 2)


class Matching(nn.Module):
    """Convolutions of strides 4 and 2 on either crop, their correlation, and convolutions of strides 2 and 2 on that.

    Args:
        crop_size: S, a multiple of 32.

    Attributes:
        outputs: Numbers that it makes of a pair of crops.
    """

    def __init__(self, crop_size: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 24, 8, 4, 2)
        self.conv2 = nn.Conv2d(24, 32, 3, 2, 1)
        self.describe = nn.Conv2d(32, 32, 3, 1, 1)
        self.conv3 = nn.Conv2d((2 * RADIUS + 1) ** 2 + 2 * 32, 64, 3, 2, 1)
        self.conv4 = nn.Conv2d(64, 64, 3, 2, 1)
        for layer in (self.conv1, self.conv2, self.describe, self.conv3, self.conv4):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]  # these layers have a bias
        self.outputs = 64 * (crop_size // 32) ** 2
        # Not a parameter, and no part of a student's file.
        self.register_buffer("around", surroundings(crop_size // 8, RADIUS), persistent=False)

    def pair(self, previous: Tensor, current: Tensor) -> Tensor:
        """Crops (B, 3, S, S) each to (B, outputs)."""
        features = torch.relu_(self.conv2(torch.relu_(self.conv1(torch.cat([previous, current])))))
        described = F.normalize(self.describe(features), dim=1)
        assert isinstance(self.around, Tensor)
        before, now = described.chunk(2)
        matches = correlation(before, now, self.around)
        x = torch.relu_(self.conv3(torch.cat([matches, *features.chunk(2)], dim=1)))
        return torch.relu_(self.conv4(x)).flatten(1)
