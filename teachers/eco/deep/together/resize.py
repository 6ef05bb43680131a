"""Search regions resized on the device: the pixels travel as bytes, a fifth of what the resized ones would take."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from teachers.base import Image
from teachers.upload import uploaded


def resized(squares: Sequence[Image], side: int, device: torch.device) -> Tensor:
    """Resize bilinearly, as OpenCV does floating-point images, to within rounding.

    Args:
        squares: N images, each uint8 (rows, columns, 3); their sizes may differ.
        side: Side of the results.
        device: Where to work.

    Returns:
        float32 (N, side, side, 3).
    """
    pixels = uploaded(np.concatenate([s.reshape(-1, 3) for s in squares]), device)
    sizes = np.array([s.shape[:2] for s in squares])
    starts = np.cumsum(sizes.prod(axis=1)) - sizes.prod(axis=1)
    numbers = uploaded(np.column_stack([sizes, starts]), device)
    rows, columns, start = numbers.T[:, :, None]
    (above, below), down = _neighbours(rows, side)
    (left, right), across = _neighbours(columns, side)

    def line(row: Tensor) -> Tensor:
        first = (start + row * columns)[:, :, None]
        one, other = (pixels[first + column[:, None]].float() for column in (left, right))
        return torch.lerp(one, other, across[:, None, :, None])

    return torch.lerp(line(above), line(below), down[:, :, None, None])


def _neighbours(count: Tensor, side: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Both pixels, int64 (N, side), of `count` (N, 1) around each place of a result, and the second's share."""
    places = torch.arange(side, dtype=torch.float64, device=count.device)
    at = ((places + 0.5) * (count / side) - 0.5).clamp(min=0).minimum(count - 1)
    low = at.floor()
    first = low.long()
    return (first, (first + 1).minimum(count - 1)), (at - low).float()
