"""Separable resampling of uint8 images by PIL's method, compiled; black beyond the image.

An output pixel is the filter, widened by the reduction, over input pixels; weights are normalised over the
pixels within the crop and kept in 22 bits; each pass rounds to 8 bits. The vertical pass comes first and leaves less
to the other. Both run along rows, so that the compiler vectorises them: between them columns are made rows.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled_like_python

Taps = tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]
Axis = tuple[float, float, float, float, float]
"""What `taps` takes of one: start, stop, origin, extent and limit."""

TRIANGLE: Final = 1
"""PIL's BILINEAR; the number is the filter's support."""
LANCZOS: Final = 3
"""PIL's LANCZOS."""

_BITS = 22
_HALF = np.int32(1 << (_BITS - 1))

_LINES = 16
"""So many are stood up at a time: all that this reads and writes is then in the nearest memory."""


@compiled_like_python
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


@compiled_like_python
def _byte(total: np.int32) -> int:  # pragma: no cover - compiled
    value = int(total >> _BITS)
    if value < 0:
        return 0
    return 255 if value > 255 else value


@compiled_like_python
def _weigh(
    rows: NDArray[np.uint8],
    first: int,
    step: int,
    begin: int,
    weight: NDArray[np.int32],
    total: NDArray[np.int32],
    line: NDArray[np.uint8],
) -> None:  # pragma: no cover - compiled
    """The weighted sum of the rows `first`, `first + step` ... from column `begin` on, as long as `line`."""
    n = len(line)
    total[:n] = _HALF
    for i in range(len(weight)):
        k = weight[i]
        source = rows[first + step * i, begin : begin + n]
        for c in range(n):
            total[c] += k * np.int32(source[c])
    for c in range(n):
        line[c] = _byte(total[c])


@compiled_like_python
def _stand(
    lines: NDArray[np.uint8], count: int, target: NDArray[np.uint8], at: int
) -> None:  # pragma: no cover
    """Make the first `count` lines columns of the target, side by side from column `at` on."""
    for c in range(lines.shape[1]):
        row = target[c, at : at + count]
        for i in range(count):
            row[i] = lines[i, c]


@compiled_like_python
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
    total = np.empty(max(span, height), np.int32)
    standing = np.empty((span, height), np.uint8)
    lines = np.empty((_LINES, span), np.uint8)
    for r in range(0, height, _LINES):
        some = min(_LINES, height - r)
        for i in range(some):
            _weigh(image, top[r + i], 1, begin, row_weight[r + i, : rows[r + i]], total, lines[i])
        _stand(lines, some, standing, r)
    out = np.empty((height, 3 * width), np.uint8)
    lines = np.empty((_LINES, height), np.uint8)
    for q in range(0, 3 * width, _LINES):
        some = min(_LINES, 3 * width - q)
        for i in range(some):
            j, colour = divmod(q + i, 3)
            _weigh(standing, 3 * first[j] - begin + colour, 3, 0, weight[j, : count[j]], total, lines[i])
        _stand(lines, some, out, q)
    return out.reshape(height, width, 3)


@compiled_like_python
def _resample_region(
    image: NDArray[np.uint8], across: Axis, down: Axis, size: int
) -> NDArray[np.uint8]:  # pragma: no cover
    start, stop, origin, extent, limit = across
    columns = taps(size, start, stop, origin, extent, image.shape[1] // 3, limit, TRIANGLE)
    start, stop, origin, extent, limit = down
    return _resample(image, columns, taps(size, start, stop, origin, extent, len(image), limit, TRIANGLE))


def resample_region(image: NDArray[np.uint8], across: Axis, down: Axis, size: int) -> NDArray[np.uint8]:
    """Resample a part of an image to a square by the triangle filter.

    Args:
        image: Stored pixels, (h, w, 3).
        across: Of the columns, in source pixels.
        down: Of the rows.
        size: Width and height of the result.
    """
    result: NDArray[np.uint8] = _resample_region(_flat(image), across, down, size)
    return result


def reduce(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Reduce an image (h, w, 3) to (width, height) by the Lanczos filter, which keeps what detail fits."""
    h, w = image.shape[:2]
    across = taps(size[0], 0.0, float(w), 0.0, float(w), w, float(w), LANCZOS)
    down = taps(size[1], 0.0, float(h), 0.0, float(h), h, float(h), LANCZOS)
    result: NDArray[np.uint8] = _resample(_flat(image), across, down)
    return result


def _flat(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(image).reshape(len(image), -1)
