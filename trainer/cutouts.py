"""Crops on a GPU of images that are in the computer's memory, around boxes that are known there.

Only what a crop shows of its image travels, all of a step in one copy from pinned memory, and its numbers in another.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.gpu.upload import uploaded
from trainer.crops import normalised
from trainer.dense import crop_packed, described

Image = NDArray[np.uint8]
Numbers = NDArray[np.floating[Any]]


def crop_uploaded(
    images: Sequence[Image],
    windows: Numbers,
    image_sizes: Numbers,
    boxes: Numbers,
    size: int,
    context: float,
    device: torch.device,
    bgr: bool = False,
) -> Tensor:
    """`trainer.crops.crop_batch` for a device that the images are not on.

    Args:
        images: B stored images, uint8 (h, w, 3), of any sizes.
        windows: Where each lies in its source image, (B, 4), in source pixels.
        image_sizes: Width and height of the source images, (B, 2).
        boxes: To crop around, float32 (B, 4), finite, with area.
        size: Width and height of the crops.
        context: How many times its box a crop is wide and high.
        device: Where the crops are made.
        bgr: The images' colours are in that order; the crops' are RGB.

    Returns:
        float32 (B, 3, size, size), normalised.
    """
    windows, image_sizes, boxes = (np.asarray(a, np.float64) for a in (windows, image_sizes, boxes))
    stored = np.array([image.shape[1::-1] for image in images], np.int64)
    low, high = _shown(stored, windows, boxes, context)
    shapes = high - low
    ends = np.cumsum(shapes.prod(axis=1))
    pixels = torch.empty(int(ends[-1]), 3, dtype=torch.uint8, pin_memory=device.type == "cuda")
    flat, begin = pixels.numpy(), 0
    for image, (left, top), (right, bottom), end in zip(
        images, low.tolist(), high.tolist(), ends.tolist(), strict=True
    ):
        flat[begin:end].reshape(bottom - top, right - left, 3)[:] = image[top:bottom, left:right]
        begin = end
    step = windows[:, 2:] / stored
    numbers = np.concatenate([windows[:, :2] + low * step, shapes * step, image_sizes, boxes], axis=1)
    there = pixels.to(device, non_blocking=True)
    packed = described(there.flip(-1) if bgr else there, shapes, device)
    window, image_size, box = torch.split(uploaded(numbers, device), [4, 2, 4], dim=1)
    return normalised(crop_packed(packed, window, image_size, box, size, context))


def _shown(
    stored: NDArray[np.int64], windows: Numbers, boxes: Numbers, context: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The stored pixels that crops show: the first column and row of each, and those behind the last, (B, 2).

    At least one pixel, and the nearest where a crop lies beyond all.
    """
    reach = boxes[:, 2:] * context
    start = boxes[:, :2] + boxes[:, 2:] / 2 - reach / 2
    left_top = np.rint(start)
    right_bottom = np.maximum(np.rint(start + reach), left_top + 1)
    step = windows[:, 2:] / stored
    low = np.floor((left_top - windows[:, :2]) / step + 1e-9).clip(0, stored - 1)
    high = np.ceil((right_bottom - windows[:, :2]) / step - 1e-9).clip(low + 1, stored)
    return low.astype(np.int64), high.astype(np.int64)
