"""Patches: what the network sees of a box and a little around it (notes: mdnet.md, 2).

A patch is an exact affine crop (no rounding of the box) that OpenCV resamples bilinearly and rounds to uint8. Outside
the image the authors' code leaves (128, 0, 0) in RGB, an oversight that the published networks were trained with.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.boxes import Boxes
from teachers.gpu.kernels import fused
from teachers.gpu.upload import uploaded
from teachers.mdnet.network import PATCH

PADDING = 16
"""Context on each side of the box, in 107ths of the box's own size."""

OUTSIDE = (128, 0, 0)
"""RGB outside the image."""

MEAN = 128.0
"""Taken off every channel."""


def crop(image: NDArray[np.uint8], boxes: Boxes) -> NDArray[np.uint8]:
    """Cut patches out of an image on the CPU.

    Args:
        image: uint8 (H, W, 3), RGB.
        boxes: float32 (N, 4), (x, y, w, h).

    Returns:
        uint8 (N, 107, 107, 3).
    """
    patches = np.empty((len(boxes), PATCH, PATCH, 3), np.uint8)
    for matrix, patch in zip(_to_patch(boxes), patches, strict=True):
        cv2.warpPerspective(
            image,
            matrix,
            (PATCH, PATCH),
            dst=patch,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=OUTSIDE,
        )
    return patches


def as_input(patches: NDArray[np.uint8]) -> Tensor:
    """Patches of `crop` as the network takes them: float32 (N, 3, 107, 107), channels_last, minus 128."""
    return torch.from_numpy(patches).permute(0, 3, 1, 2).float().sub_(MEAN)


def padded(image: NDArray[np.uint8], device: torch.device) -> Tensor:
    """A BGR image on a device, as RGB with a border of one pixel of what lies outside: uint8 (H + 2, W + 2, 3)."""
    height, width = image.shape[:2]
    bordered = _outside(device).repeat(height + 2, width + 2, 1)
    bordered[1:-1, 1:-1] = uploaded(image, device).flip(-1)
    return bordered


@lru_cache
def _outside(device: torch.device) -> Tensor:
    """`OUTSIDE` on a device: bringing it there anew would wait until the device has nothing else to do."""
    return torch.tensor(OUTSIDE, dtype=torch.uint8, device=device)


def crop_on_device(images: Sequence[Tensor], owner: NDArray[np.intp], boxes: Boxes) -> Tensor:
    """Cut patches out of images where these lie; within one grey level of `crop`.

    All patches go through each operation together, and of their places only seven numbers a box travel.

    Args:
        images: What `padded` returned, at least one, on one device; their sizes may differ.
        owner: Which of the images each box is in, (N,).
        boxes: float32 (N, 4).

    Returns:
        What `as_input` returns, on the images' device; where one kernel makes it, it is `space_to_depth.folded`.
    """
    device = images[0].device
    pixels = torch.cat([image.view(-1, 3) for image in images]) if len(images) > 1 else images[0].view(-1, 3)
    sizes = np.array([image.shape[:2] for image in images])
    starts = np.cumsum([0, *sizes.prod(axis=1)[:-1]])
    zoom, shift = (_to_patch(boxes)[:, (0, 1), at] for at in ((0, 1), 2))
    where = uploaded(np.stack([*(1 / zoom).T, *(-shift / zoom).T, *sizes[owner].T, starts[owner]]), device)
    across, down, left, top, height, width, start = where[:, :, None]
    steps = torch.arange(PATCH, dtype=torch.float64, device=device)
    columns, x_part = _neighbours(steps * across + left, width)
    rows, y_part = _neighbours(steps * down + top, height)
    lines = start.long() + rows * width.long()
    kernels = fused("teachers.mdnet.fused_crop", device)
    cropped = kernels.cropped if kernels else by_operators
    patches: Tensor = cropped(pixels, lines, y_part, columns, x_part, MEAN)
    return patches


def by_operators(
    pixels: Tensor, lines: Tensor, down: Tensor, columns: Tensor, across: Tensor, mean: float
) -> Tensor:
    """What `fused_crop.cropped` does, by PyTorch's operators, (N, 3, 107, 107)."""

    def line(begin: Tensor) -> Tensor:
        one, other = (pixels[begin[:, :, None] + column[:, None]].float() for column in columns)
        return one + across[:, None, :, None] * (other - one)

    above, below = (line(begin) for begin in lines)
    patches = (above + down[:, :, None, None] * (below - above)).round_()
    return patches.sub_(mean).permute(0, 3, 1, 2)


def _neighbours(coordinates: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Indices (2, N, 107) of the two pixels around each coordinate in padded images, and the second's share."""
    low = coordinates.floor()
    pair = [(low + shift).clamp(min=0).minimum(size - 1).long() for shift in (1, 2)]
    return torch.stack(pair), (coordinates - low).float()


def _to_patch(boxes: Boxes) -> NDArray[np.float64]:
    """Matrices (N, 3, 3) from the image to the patch; their factors are rounded to float32 as the authors' are."""
    b = np.asarray(boxes, np.float32)
    centre = b[:, :2] + b[:, 2:] / 2
    # In this order of roundings: one of them else, and a pixel in 30,000 differs by a grey level, which online
    # training turns into other boxes within a few frames.
    size = b[:, 2:] + np.float32(2 * PADDING) * b[:, 2:] / np.float32(PATCH)
    zoom = (np.float32(PATCH) / size).astype(np.float64)
    matrices = np.zeros((len(b), 3, 3))
    matrices[:, (0, 1), (0, 1)] = zoom
    matrices[:, :2, 2] = PATCH / 2 - zoom * centre
    matrices[:, 2, 2] = 1
    return matrices
