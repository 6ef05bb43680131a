"""Separable resampling of uint8 images by PIL's method, compiled; black beyond the image.

An output pixel is the filter, widened by the reduction, over input pixels; weights are normalised over the
pixels within the crop and kept in 22 bits; each pass rounds to 8 bits. The vertical pass comes first: it runs
along rows, so the compiler vectorises it, and it leaves less to the other.
"""

from __future__ import annotations

from typing import Final

import numba
import numpy as np
from numpy.typing import NDArray

Taps = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]


TRIANGLE: Final = 1
"""PIL's BILINEAR; the number is the filter's support."""
LANCZOS: Final = 3
"""PIL's LANCZOS."""

_BITS = 22
_HALF = np.int32(1 << (_BITS - 1))


@numba.njit(cache=True, nogil=True)
def taps(
    n: int, start: float, stop: float, origin: float, extent: float, stored: int, limit: float, kernel: int
) -> Taps:  # pragma: no cover - compiled
    """Filter weights of one axis: output j is the sum over i < count[j] of weight[j, i] * pixel[first[j]+i].

    Args:
        n: Output pixels.
        start: Where the crop begins, in source pixels.
        stop: Where it ends.
        origin: Where the stored pixels begin.
        extent: Source pixels that they cover.
        stored: How many stored pixels there are.
        limit: Source pixels of the image; crop beyond 0 ... limit is black. Elsewhere, what was not stored is
            replaced by the nearest stored pixel.
        kernel: TRIANGLE or LANCZOS.

    Returns:
        first (n,), count (n,), weight (n, most), int32, weights in units of 2^-22.
    """
    step = extent / stored
    a = (start - origin) / step
    b = (stop - origin) / step
    base = int(np.floor(a + 1e-9))
    shift = a - base
    pixels = int(np.ceil(b - 1e-9)) - base
    scale = (b - a) / n
    widened = max(scale, 1.0)
    support = kernel * widened
    narrow = 1.0 / widened
    most = int(np.ceil(support)) * 2 + 1
    first = np.zeros(n, np.int32)
    count = np.zeros(n, np.int32)
    weight = np.zeros((n, min(most, stored)), np.int32)
    values = np.empty(most)
    for j in range(n):
        centre = shift + (j + 0.5) * scale
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), pixels)
        total = 0.0
        for i in range(low, high):
            t = abs((i - centre + 0.5) * narrow)
            value = 0.0
            if kernel == TRIANGLE:
                value = max(0.0, 1.0 - t)
            elif t < kernel:
                value = np.sinc(t) * np.sinc(t / kernel)
            values[i - low] = value
            total += value
        first[j] = min(max(low + base, 0), stored - 1)
        count[j] = max(min(max(high - 1 + base, 0), stored - 1) - first[j] + 1, 0)
        for i in range(low, high):
            place = origin + (base + i + 0.5) * step
            if 0.0 <= place < limit and total != 0.0:
                slot = min(max(base + i, 0), stored - 1) - first[j]
                weight[j, slot] += int(np.floor(0.5 + values[i - low] / total * (1 << _BITS)))
    return first, count, weight


@numba.njit(cache=True, nogil=True)
def _byte(total: np.int32) -> int:  # pragma: no cover - compiled
    value = int(total >> _BITS)
    if value < 0:
        return 0
    return 255 if value > 255 else value


@numba.njit(cache=True, nogil=True)
def _resample(image: NDArray[np.uint8], across: Taps, down: Taps) -> NDArray[np.uint8]:  # pragma: no cover
    first, count, weight = across
    top, rows, row_weight = down
    height = len(top)
    width = len(first)
    begin = image.shape[1]
    end = 0
    for j in range(width):
        begin = min(begin, 3 * first[j])
        end = max(end, 3 * (first[j] + count[j]))
    span = max(end - begin, 0)
    total = np.empty(span, np.int32)
    line = np.empty(span, np.uint8)
    out = np.empty((height, width, 3), np.uint8)
    for r in range(height):
        total[:] = _HALF
        for i in range(rows[r]):
            k = row_weight[r, i]
            source = image[top[r] + i, begin:end]
            for c in range(span):
                total[c] += k * np.int32(source[c])
        for c in range(span):
            line[c] = _byte(total[c])
        for j in range(width):
            red = _HALF
            green = _HALF
            blue = _HALF
            p = 3 * first[j] - begin
            for i in range(count[j]):
                k = weight[j, i]
                red += k * np.int32(line[p])
                green += k * np.int32(line[p + 1])
                blue += k * np.int32(line[p + 2])
                p += 3
            out[r, j, 0] = _byte(red)
            out[r, j, 1] = _byte(green)
            out[r, j, 2] = _byte(blue)
    return out


def resample(image: NDArray[np.uint8], across: Taps, down: Taps) -> NDArray[np.uint8]:
    """Apply the taps of both axes to an image (h, w, 3); returns uint8 (len(down), len(across), 3)."""
    flat = np.ascontiguousarray(image).reshape(len(image), -1)
    result: NDArray[np.uint8] = _resample(flat, across, down)
    return result


def reduce(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Reduce an image (h, w, 3) to (width, height) by the Lanczos filter, which keeps what detail fits."""
    h, w = image.shape[:2]
    across = taps(size[0], 0.0, float(w), 0.0, float(w), w, float(w), LANCZOS)
    down = taps(size[1], 0.0, float(h), 0.0, float(h), h, float(h), LANCZOS)
    return resample(image, across, down)
