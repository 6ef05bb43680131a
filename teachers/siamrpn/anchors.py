"""The anchors and the cosine window over the response map (SiamRPN, Sections 3.3 and 4.3)."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from torch import Tensor

STRIDE = 8
RATIOS = (0.33, 0.5, 1.0, 2.0, 3.0)
_SCALE = 8

Origin = Literal["floor", "true"]
"""How the grid's first cell is found: -(S // 2) * 8, or -(S / 2) * 8.

The first is what the authors mean. DaSiamRPN's code under Python 3 does the second, which shifts every box
of an odd map by 4 pixels of the search region.
"""


@lru_cache(maxsize=16)
def anchors(side: int, device: torch.device, origin: Origin = "floor") -> Tensor:
    """All anchors of a response map, float32 (4, A * side * side): centre x, centre y, width, height.

    Pixels of the search region, relative to its centre; ordered by anchor, row, column.

    Args:
        side: Cells of the map along one side.
        device: Where they are wanted.
        origin: See `Origin`.
    """
    sizes = []
    for ratio in RATIOS:
        width = int(np.sqrt(STRIDE * STRIDE / ratio))
        sizes.append((width * _SCALE, int(width * ratio) * _SCALE))
    first = -(side // 2 if origin == "floor" else side / 2) * STRIDE
    line = first + STRIDE * np.arange(side, dtype=np.float64)
    y, x = np.meshgrid(line, line, indexing="ij")
    rows = [np.stack([x, y, np.full_like(x, w), np.full_like(x, h)]).reshape(4, -1) for w, h in sizes]
    return torch.from_numpy(np.concatenate(rows, axis=1).astype(np.float32)).to(device)


@lru_cache(maxsize=16)
def cosine_window(side: int, device: torch.device) -> Tensor:
    """A Hanning window, zero at the border, the same for every anchor: float64 (A * side * side,)."""
    line = np.hanning(side)
    return torch.from_numpy(np.tile(np.outer(line, line).ravel(), len(RATIOS))).to(device)
