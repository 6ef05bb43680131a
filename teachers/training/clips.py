"""Short clips of the training scenes: consecutive frames with the target's box."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Boxes, as_boxes, from_corners, to_corners
from teachers.training.scenes import plan


@dataclass(frozen=True, eq=False)
class Clip:
    """A short video.

    Attributes:
        images: uint8 (T, H, W, 3), BGR.
        boxes: float32 (T, 4), (x, y, w, h), 0-based pixels, cut by the image; at least a pixel wide and high.
    """

    images: NDArray[np.uint8]
    boxes: Boxes


def clip(seed: int, index: int, length: int = 16, size: tuple[int, int] = (320, 240)) -> Clip:
    """Draw a clip: a function of its arguments.

    Args:
        seed: Another seed gives other clips.
        index: Which clip, from 0.
        length: Frames, at least 3.
        size: (W, H) of the images, at most 640 each.
    """
    if length < 3:
        raise ValueError(f"length = {length}: a clip has at least three frames")
    scene = plan(seed, index, length, size)
    images = np.stack([scene.draw(t) for t in range(length)])
    corners = to_corners(scene.boxes)
    width, height = size
    low = np.minimum(corners[:, :2].clip(0), [width - 1, height - 1])
    high = np.maximum(np.minimum(corners[:, 2:], [width, height]), low + 1)
    return Clip(images, as_boxes(from_corners(np.concatenate([low, high], axis=1))))
