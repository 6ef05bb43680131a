"""Patches: what the network sees of a box and a little around it (notes: mdnet.md, 2).

A patch is an exact affine crop (no rounding of the box) that OpenCV resamples bilinearly and rounds to uint8. Outside
the image the authors' code leaves (128, 0, 0) in RGB, an oversight that the published networks were trained with.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.boxes import Boxes
from teachers.mdnet.network import PATCH
from teachers.upload import uploaded

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
    """An image on a device with a border of one pixel of what lies outside: uint8 (H + 2, W + 2, 3)."""
    bordered = cv2.copyMakeBorder(image, 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=OUTSIDE)
    return uploaded(np.asarray(bordered, np.uint8), device)


def crop_on_device(image: Tensor, boxes: Boxes) -> Tensor:
    """Cut patches out of an image where it lies; within one grey level of `crop`.

    Args:
        image: What `padded` returned.
        boxes: float32 (N, 4).

    Returns:
        What `as_input` returns, on the image's device.
    """
    inverse = np.linalg.inv(_to_patch(boxes))
    steps = np.arange(PATCH)
    x_low, x_part = _neighbours(steps * inverse[:, 0, :1] + inverse[:, 0, 2:], image.shape[1], image.device)
    y_low, y_part = _neighbours(steps * inverse[:, 1, 1:2] + inverse[:, 1, 2:], image.shape[0], image.device)
    x_part, y_part = x_part[:, None, :, None], y_part[:, :, None, None]

    def row(y: Tensor) -> Tensor:
        left, right = (image[y[:, :, None], x[:, None, :]].float() for x in x_low)
        return left + x_part * (right - left)

    above, below = (row(y) for y in y_low)
    patches = (above + y_part * (below - above)).round_()
    return patches.sub_(MEAN).permute(0, 3, 1, 2)


def _neighbours(
    coordinates: NDArray[np.float64], size: int, device: torch.device
) -> tuple[tuple[Tensor, Tensor], Tensor]:
    """Indices of the two pixels (of a padded image of that size) around each coordinate, and the second's share."""
    low = np.floor(coordinates)
    share = uploaded((coordinates - low).astype(np.float32), device)
    first, second = (uploaded(np.clip(low + shift, 0, size - 1).astype(np.int64), device) for shift in (1, 2))
    return (first, second), share


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
