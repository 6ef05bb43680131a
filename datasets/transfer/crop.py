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

from datasets.boxes import is_valid
from datasets.images import RGB
from datasets.transfer.resample import resample_region

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
    # Plain numbers: NumPy's functions on four of them would take as long as the pixels.
    left, top, right, bottom = _corners(box, context)
    x, y, w, h = np.asarray(window, np.float64).tolist()
    W, H = np.asarray(image_size, np.float64).tolist()
    inside = x <= max(left, 0) and y <= max(top, 0) and min(right, W) <= x + w and min(bottom, H) <= y + h
    across, down = (float(left), float(right), x, w, W), (float(top), float(bottom), y, h, H)
    return Crop(resample_region(image, across, down, size), inside)


def _corners(box: ArrayLike, context: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the crop in whole source pixels; it is at least one wide and high."""
    given = np.asarray(box, np.float64)
    if given.shape == (4,) and is_valid(given):
        x, y, w, h = given.tolist()
        wide, high = w * context, h * context
        begin_x, begin_y = x + w / 2 - wide / 2, y + h / 2 - high / 2
        corners = begin_x, begin_y, begin_x + wide, begin_y + high
        if all(abs(corner) <= _LARGEST for corner in corners):
            left, top, right, bottom = map(round, corners)
            return left, top, max(right, left + 1), max(bottom, top + 1)
    raise ValueError(f"cannot crop around the box {np.asarray(box).tolist()}: it must be finite, with area")
