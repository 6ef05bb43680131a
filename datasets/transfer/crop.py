"""The student's crop at any box, out of stored pixels.

Geometry and filter are those of PIL's `Image.crop` and `Image.resize(..., BILINEAR)`, which the paper's
authors used (torchvision's `Resize` on PIL images): corners rounded to whole source pixels, black outside
the image, a triangle filter widened when reducing and cut at the crop's border. On whole stored images
(`source`) the result is PIL's within one grey level (PIL takes the horizontal pass first); on reduced windows
(`region`) the same filter runs over stored pixels at the crop's exact place among them.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from datasets.boxes import is_valid, scaled, to_corners
from datasets.transfer.jpeg import RGB
from datasets.transfer.resample import TRIANGLE, resample, taps

_LARGEST = 1 << 20


class Crop(NamedTuple):
    """A crop and whether it is complete.

    Attributes:
        pixels: uint8 (size, size, 3), RGB.
        inside: All source pixels that the crop covers were stored. Else the window's border pixels stand
            in for those that were not.
    """

    pixels: RGB
    inside: bool


def crop_region(
    image: RGB,
    window: ArrayLike,
    image_size: ArrayLike,
    box: ArrayLike,
    size: int = 128,
    context: float = 1.5,
) -> Crop:
    """Crop around a box and resize to a square.

    Args:
        image: Stored pixels, uint8 (h, w, 3).
        window: Where they lie in the source image, (x, y, w, h).
        image_size: Width and height of the source image; beyond it, the crop is black.
        box: (x, y, w, h) in source pixels, 0-based.
        size: Width and height of the result.
        context: The crop is so many times as wide and high as the box, about the same centre.

    Raises:
        ValueError: If the box is not finite, has no area, or reaches beyond 2^20 pixels.
    """
    valid = np.shape(box) == (4,) and bool(is_valid(box))
    corners = np.rint(to_corners(scaled(box, context))) if valid else np.array([np.inf])
    if np.abs(corners).max() > _LARGEST:
        raise ValueError(
            f"cannot crop around the box {np.asarray(box).tolist()}: it must be finite, with area"
        )
    left, top = int(corners[0]), int(corners[1])
    right, bottom = max(int(corners[2]), left + 1), max(int(corners[3]), top + 1)
    x, y, w, h = (float(v) for v in np.asarray(window))
    W, H = (float(v) for v in np.asarray(image_size))
    rows, columns = image.shape[:2]
    across = taps(size, float(left), float(right), x, w, columns, W, TRIANGLE)
    down = taps(size, float(top), float(bottom), y, h, rows, H, TRIANGLE)
    inside = x <= max(left, 0) and y <= max(top, 0) and min(right, W) <= x + w and min(bottom, H) <= y + h
    return Crop(resample(image, across, down), inside)
