"""The student's crop at any box, out of stored pixels.

Geometry and filter are those of PIL's `Image.crop` and `Image.resize(..., BILINEAR)`, which the paper's
authors used (torchvision's `Resize` on PIL images): corners rounded to whole source pixels, black outside
the image, a triangle filter widened when reducing and cut at the crop's border, weights of 22 bits, the
horizontal pass rounded to 8 bits. On whole stored images (`source`) the result is PIL's within one grey
level (recent PIL sometimes takes the vertical pass first); on reduced windows (`region`) the same filter runs
over stored pixels at the crop's exact place among them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numba
import numpy as np

from datasets.boxes import is_valid, scaled, to_corners

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from datasets.transfer.jpeg import RGB

_BITS = 22
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
    corners = np.rint(to_corners(scaled(box, context)))
    if corners.shape != (4,) or not is_valid(box) or np.abs(corners).max() > _LARGEST:
        raise ValueError(
            f"cannot crop around the box {np.asarray(box).tolist()}: it must be finite, with area"
        )
    left, top = int(corners[0]), int(corners[1])
    right, bottom = max(int(corners[2]), left + 1), max(int(corners[3]), top + 1)
    x, y, w, h = (float(v) for v in np.asarray(window))
    W, H = (int(v) for v in np.asarray(image_size))
    out = np.empty((size, size, 3), dtype=np.uint8)
    _resample(image, x, y, w, h, W, H, left, top, right, bottom, out)
    inside = x <= max(left, 0) and y <= max(top, 0) and min(right, W) <= x + w and min(bottom, H) <= y + h
    return Crop(out, inside)


@numba.njit(cache=True, nogil=True)
def _taps(
    n: int, start: int, stop: int, origin: float, extent: float, stored: int, limit: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:  # pragma: no cover - compiled
    """Filter weights of one axis: output j is the sum over i < count[j] of weight[j, i] * pixel[first[j]+i].

    The crop covers source pixels start ... stop; `stored` pixels lie over [origin, origin + extent) of
    `limit`.
    """
    step = extent / stored
    a = (start - origin) / step
    b = (stop - origin) / step
    base = int(np.floor(a + 1e-9))
    shift = a - base
    pixels = int(np.ceil(b - 1e-9)) - base
    scale = (b - a) / n
    support = max(scale, 1.0)
    narrow = 1.0 / support
    most = int(np.ceil(support)) * 2 + 1
    first = np.zeros(n, np.int32)
    count = np.zeros(n, np.int32)
    weight = np.zeros((n, min(most, stored)), np.int32)
    taps = np.empty(most)
    for j in range(n):
        centre = shift + (j + 0.5) * scale
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), pixels)
        total = 0.0
        for i in range(low, high):
            taps[i - low] = max(0.0, 1.0 - abs((i - centre + 0.5) * narrow))
            total += taps[i - low]
        first[j] = min(max(low + base, 0), stored - 1)
        count[j] = max(min(max(high - 1 + base, 0), stored - 1) - first[j] + 1, 0)
        for i in range(low, high):
            place = origin + (base + i + 0.5) * step
            if 0.0 <= place < limit and total > 0.0:
                slot = min(max(base + i, 0), stored - 1) - first[j]
                weight[j, slot] += int(0.5 + taps[i - low] / total * (1 << _BITS))
    return first, count, weight


@numba.njit(cache=True, nogil=True)
def _resample(
    image: RGB,
    x: float,
    y: float,
    w: float,
    h: float,
    W: int,
    H: int,
    left: int,
    top: int,
    right: int,
    bottom: int,
    out: RGB,
) -> None:  # pragma: no cover - compiled
    rows, columns, _ = image.shape
    n = out.shape[0]
    first, count, weight = _taps(n, left, right, x, w, columns, W)
    top_first, top_count, top_weight = _taps(n, top, bottom, y, h, rows, H)
    begin = rows
    end = 0
    for j in range(n):
        begin = min(begin, top_first[j])
        end = max(end, top_first[j] + top_count[j])
    half = np.int32(1 << (_BITS - 1))
    reduced = np.empty((max(end - begin, 0), 3 * n), np.uint8)
    for r in range(begin, end):
        for j in range(n):
            red = half
            green = half
            blue = half
            for i in range(count[j]):
                k = weight[j, i]
                p = first[j] + i
                red += k * np.int32(image[r, p, 0])
                green += k * np.int32(image[r, p, 1])
                blue += k * np.int32(image[r, p, 2])
            reduced[r - begin, 3 * j] = min(max(red >> _BITS, 0), 255)
            reduced[r - begin, 3 * j + 1] = min(max(green >> _BITS, 0), 255)
            reduced[r - begin, 3 * j + 2] = min(max(blue >> _BITS, 0), 255)
    flat = out.reshape(n, 3 * n)
    total = np.empty(3 * n, np.int32)
    for j in range(n):
        total[:] = half
        for i in range(top_count[j]):
            k = top_weight[j, i]
            row = reduced[top_first[j] + i - begin]
            for c in range(3 * n):
                total[c] += k * np.int32(row[c])
        for c in range(3 * n):
            flat[j, c] = min(max(total[c] >> _BITS, 0), 255)
