"""Search regions cut out and resized on the device.

What travels are bytes, and the pixels of all scales but once: a twentieth of what the resized regions would take.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.base import Image
from teachers.eco.deep.patch import Square
from teachers.gpu.upload import uploaded


def resized(
    images: Sequence[Image], squares: Sequence[Sequence[Square]], side: int, device: torch.device
) -> Tensor:
    """Cut squares out of each of N images and resize them as `patch` does, to within 0.01 grey levels.

    Args:
        images: Each uint8 (H, W, 3); their sizes may differ.
        squares: For each image as many.
        side: Side of the results.
        device: Where to work.

    Returns:
        float32 (N squares, side, side, 3).
    """
    read, numbers = _read(images, squares)
    pixels = uploaded(read, device)
    rows, columns, start, stride = uploaded(numbers, device).T[:, :, None]
    (above, below), down = _neighbours(rows, side)
    (left, right), across = _neighbours(columns, side)

    def line(row: Tensor) -> Tensor:
        first = (start + row * stride)[:, :, None]
        one, other = (pixels[first + column[:, None]].float() for column in (left, right))
        return torch.lerp(one, other, across[:, None, :, None])

    return torch.lerp(line(above), line(below), down[:, :, None, None])


def _read(images: Sequence[Image], squares: Sequence[Sequence[Square]]) -> tuple[Image, NDArray[np.int64]]:
    """Pixels, uint8 (pixels, 3), and each square's rows, columns, first pixel and pixels from row to row."""
    parts: list[Image] = []
    numbers: list[tuple[int, int, int, int]] = []
    length = 0
    for image, own in zip(images, squares, strict=True):
        # Squares that count pixels alike, nearly always all of an image, are parts of one.
        read: dict[tuple[int, tuple[int, int]], tuple[Square, int]] = {}
        for one in own:
            key = one.step, one.first
            if key not in read:
                whole = _around([other for other in own if (other.step, other.first) == key])
                parts.append(whole.of(image).reshape(-1, 3))
                read[key] = whole, length
                length += len(parts[-1])
            whole, start = read[key]
            stride = whole.shape[1]
            start += (one.begin[0] - whole.begin[0]) * stride + one.begin[1] - whole.begin[1]
            numbers.append((*one.shape, start, stride))
    return np.concatenate(parts), np.array(numbers, dtype=np.int64)


def _around(squares: Sequence[Square]) -> Square:
    """The smallest that holds squares which count pixels alike."""
    top, left = (min(s.begin[axis] for s in squares) for axis in (0, 1))
    bottom, right = (max(s.end[axis] for s in squares) for axis in (0, 1))
    return Square(squares[0].step, squares[0].first, (top, left), (bottom, right))


def _neighbours(count: Tensor, side: int) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Both pixels, int64 (N, side), of `count` (N, 1) around each place of a result, and the second's share."""
    places = torch.arange(side, dtype=torch.float64, device=count.device)
    at = ((places + 0.5) * (count / side) - 0.5).clamp(min=0).minimum(count - 1)
    low = at.floor()
    first = low.long()
    return (first, (first + 1).minimum(count - 1)), (at - low).float()
