"""The grey window around a place in a colour frame, at full size or halved, with the border replicated."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datasets.compiled import compiled

Levels = NDArray[np.uint8]


@compiled
def _repeat_borders(out: Levels, first: int, last: int) -> None:
    """Fill the rows before the first and after the last with these."""
    # Number by number: see `datasets.compiled`.
    for row in range(len(out)):
        if row < first or row > last:
            source = out[first if row < first else last]
            for x in range(out.shape[1]):
                out[row, x] = source[x]


@compiled
def grey_window(image: Levels, top: int, left: int, out: Levels) -> None:
    """Fill `out` with the grey levels of a window of the image; outside the image its border is replicated.

    The weights are OpenCV's (0.299 R + 0.587 G + 0.114 B in 15 bits, rounded), so the result is that of
    `cv2.cvtColor` on the whole frame.

    Args:
        image: uint8 (H, W, 3), BGR.
        top: Row of the image that becomes row 0 of the window; may be negative.
        left: Likewise for the columns.
        out: uint8 (rows, columns); overwritten.
    """
    height, width = image.shape[0], image.shape[1]
    rows, columns = out.shape
    # The columns of the window that lie in the image; one at the border if none does.
    first = min(max(-left, 0), columns - 1)
    last = max(min(width - left, columns), first + 1)
    begin = min(max(left, 0), width - 1)
    # The same for the rows; the others are copies.
    upper = min(max(-top, 0), rows - 1)
    lower = max(min(height - top, rows), upper + 1)
    for row in range(upper, lower):
        source, target = image[min(max(top + row, 0), height - 1), begin:], out[row]
        inside = target[first:last]
        for x in range(last - first):
            blue, green, red = np.int32(source[x, 0]), np.int32(source[x, 1]), np.int32(source[x, 2])
            inside[x] = (3735 * blue + 19235 * green + 9798 * red + 16384) >> 15
        target[:first] = inside[0]
        target[last:] = inside[-1]
    _repeat_borders(out, upper, lower - 1)


@compiled
def halve(
    grey: Levels,
    first_row: int,
    first_column: int,
    last_row: int,
    last_column: int,
    middle: Levels,
    out: Levels,
) -> None:
    """Halve a grey window as old Matlabs' `imresize(., 0.5)`: antialiased bicubic, rows first, rounded twice.

    Args:
        grey: uint8 (2 R + 6, 2 C + 6): the window at full size, three pixels more on each side.
        first_row: Rows of `out` before this one replicate it (they lie outside the halved image).
        first_column: Likewise for the columns.
        last_row: Rows of `out` after this one replicate it.
        last_column: Likewise for the columns.
        middle: uint8 (2 C + 6,): scratch.
        out: uint8 (R, C); overwritten.
    """
    columns = out.shape[1]
    for row in range(first_row, last_row + 1):
        a, b, c, d = grey[2 * row], grey[2 * row + 1], grey[2 * row + 2], grey[2 * row + 3]
        e, f, g, h = grey[2 * row + 4], grey[2 * row + 5], grey[2 * row + 6], grey[2 * row + 7]
        for x in range(middle.size):
            outer = 29 * (np.int32(c[x]) + np.int32(f[x])) - 9 * (np.int32(b[x]) + np.int32(g[x]))
            inner = 111 * (np.int32(d[x]) + np.int32(e[x])) - 3 * (np.int32(a[x]) + np.int32(h[x]))
            middle[x] = min(max(int(inner + outer + 128) >> 8, 0), 255)
        target = out[row]
        m1, m2, m3, m4, m5, m6, m7 = (
            middle[1:], middle[2:], middle[3:], middle[4:], middle[5:], middle[6:], middle[7:],
        )  # fmt: skip
        for x in range(columns):
            outer = 29 * (np.int32(m2[2 * x]) + np.int32(m5[2 * x])) - 9 * (
                np.int32(m1[2 * x]) + np.int32(m6[2 * x])
            )
            inner = 111 * (np.int32(m3[2 * x]) + np.int32(m4[2 * x])) - 3 * (
                np.int32(middle[2 * x]) + np.int32(m7[2 * x])
            )
            target[x] = min(max(int(inner + outer + 128) >> 8, 0), 255)
        target[:first_column] = target[first_column]
        target[last_column + 1 :] = target[last_column]
    _repeat_borders(out, first_row, last_row)


class Window:
    """Cuts grey windows of one size out of frames; its buffers are reused.

    Args:
        height: Rows of the window.
        width: Columns of the window.
        halved: Cut the window out of the frame halved in both directions; only the window's pixels are
            halved.
    """

    def __init__(self, height: int, width: int, halved: bool) -> None:
        self._patch = np.empty((height, width), dtype=np.uint8)
        self._halved = halved
        self._grey = np.empty((2 * height + 6, 2 * width + 6) if halved else (0, 0), dtype=np.uint8)
        self._middle = np.empty(2 * width + 6, dtype=np.uint8)

    def __call__(self, image: Levels, top: int, left: int) -> Levels:
        """Return the window whose first pixel is (top, left), 0-based, of the (halved) frame.

        Args:
            image: uint8 (H, W, 3), BGR.
            top: May lie outside the frame, where the border is replicated.
            left: Likewise.

        Returns:
            uint8 (height, width), valid until the next call.
        """
        patch = self._patch
        if not self._halved:
            grey_window(image, top, left, patch)
            return patch
        height, width = patch.shape
        bottom, right = -(-image.shape[0] // 2) - 1, -(-image.shape[1] // 2) - 1
        # A window beyond the frame holds what one that overlaps its border by a single row or column holds.
        top, left = min(max(top, 1 - height), bottom), min(max(left, 1 - width), right)
        grey_window(image, 2 * top - 3, 2 * left - 3, self._grey)
        first_row, first_column = max(-top, 0), max(-left, 0)
        last_row, last_column = min(bottom - top, height - 1), min(right - left, width - 1)
        halve(self._grey, first_row, first_column, last_row, last_column, self._middle, patch)
        return patch
