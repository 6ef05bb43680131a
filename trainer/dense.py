"""Crops of many images at once as matrix products, for devices that launch a few large kernels best.

The filter of `datasets.transfer.resample` along either axis is a matrix, with zeros wherever a pixel does not count;
images of any sizes lie in one piece of memory, from which they are gathered into one batch. Nothing here loops over
images, and nothing waits for the device: what sizes the work has is known where it is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.gpu.upload import uploaded
from trainer.mdp import is_valid

_PIXELS = 1 << 26
"""Of one pass: float32 in three colours, 0.8 GB. Only whole frames of many videos take several."""


class Packed(NamedTuple):
    """B images of any sizes.

    Attributes:
        pixels: uint8 (N, 3), RGB: row after row, image after image.
        first: int64 (B,), the place of each image's first pixel.
        stored: int64 (B, 2), each one's width and height.
        largest: The greatest width and the greatest height.
    """

    pixels: Tensor
    first: Tensor
    stored: Tensor
    largest: tuple[int, int]


def pack(images: Sequence[Tensor], device: torch.device) -> Packed:
    """Lay images, uint8 (h, w, 3) each on the device, side by side: a copy for every 128 of them."""
    shapes = np.array([image.shape[1::-1] for image in images], np.int64).reshape(-1, 2)
    return described(torch.cat([image.view(-1, 3) for image in images]), shapes, device)


def described(pixels: Tensor, shapes: NDArray[np.int64], device: torch.device) -> Packed:
    """Images that lie side by side already.

    Args:
        pixels: uint8 (N, 3), on the device.
        shapes: int64 (B, 2), width and height of each.
        device: Of the pixels.
    """
    ends = np.cumsum(shapes.prod(axis=1))
    first = np.concatenate([[0], ends[:-1]])
    numbers = uploaded(np.concatenate([first[:, None], shapes], axis=1), device)
    width, height = shapes.max(axis=0).tolist()
    return Packed(pixels, numbers[:, 0], numbers[:, 1:], (width, height))


def crop_packed(
    images: Packed, windows: Tensor, image_sizes: Tensor, boxes: Tensor, size: int, context: float
) -> Tensor:
    """The crops as grey levels, float32 (B, size, size, 3).

    Args:
        images: B of them.
        windows: Where each lies in its source image, (B, 4); this and what follows on the images' device.
        image_sizes: Width and height of the source images, (B, 2).
        boxes: What to crop around, (B, 4).
        size: Width and height of the crops.
        context: How many times its box a crop is wide and high.

    Raises:
        ValueError: On the CPU, if a box is not finite or has no area.
    """
    if boxes.device.type == "cpu" and not bool(is_valid(boxes).all()):
        raise ValueError(f"cannot crop around the boxes {boxes.tolist()}: they must be finite, with area")
    # In float64, because a corner that falls on half a pixel has to round as the CPU's does.
    windows, limits, boxes, stored = (t.double() for t in (windows, image_sizes, boxes, images.stored))
    reach = boxes[:, 2:] * context
    corner = boxes[:, :2] + boxes[:, 2:] / 2 - reach / 2
    left_top = corner.round()
    right_bottom = torch.maximum((corner + reach).round(), left_top + 1)
    # Both axes at once: half as many kernels, and their number is what a small batch waits for.
    start, stop, origin, extent, held, limit = (
        t.T.flatten() for t in (left_top, right_bottom, windows[:, :2], windows[:, 2:], stored, limits)
    )
    both = _weights(size, start, stop, origin, extent, held, limit, max(images.largest))
    width, height = images.largest
    across, down = both[: len(boxes), :, :width], both[len(boxes) :, :, :height]
    most = max(_PIXELS // (width * height), 1)
    parts = [slice(n, n + most) for n in range(0, len(boxes), most)]
    made = [_products(images, part, across[part], down[part]) for part in parts]
    return made[0] if len(made) == 1 else torch.cat(made)


def _products(images: Packed, part: slice, across: Tensor, down: Tensor) -> Tensor:
    """Resample some of the images by their matrices (B, size, width) and (B, size, height)."""
    width, height = images.largest
    size, device = across.shape[1], across.device
    x, y = torch.arange(width, device=device), torch.arange(height, device=device)
    first, own = images.first[part], images.stored[part, 0]
    # Column by column, so that the first product is one of plain matrices. Beyond an image lies another's pixel,
    # or the last of all: its weight is zero.
    place = first[:, None, None] + x[:, None] + own[:, None, None] * y
    place = place.clamp_max_(len(images.pixels) - 1).flatten()
    batch = images.pixels.index_select(0, place).float().view(len(across), width, 3 * height)
    columns = torch.bmm(across, batch).view(-1, size, height, 3)
    lines = columns.transpose(1, 2).reshape(-1, height, 3 * size)
    return torch.bmm(down, lines).clamp_(0, 255).view(-1, size, size, 3)


def _weights(
    n: int,
    start: Tensor,
    stop: Tensor,
    origin: Tensor,
    extent: Tensor,
    stored: Tensor,
    limit: Tensor,
    most: int,
) -> Tensor:
    """One axis of every image as a matrix, float32 (B, n, most): `datasets.transfer.resample.taps`, dense.

    A crop's pixels i are whole numbers from `base` on; the weight of stored pixel x is that of i = x - base, and the
    first and the last stored pixel also stand for those that were not stored. So each is a sum of the triangle over
    whole numbers between two bounds, which is the difference of two values of a function known in closed form.

    Args:
        n: Output pixels.
        start: Where the crop begins, float64 (B,), in source pixels, as everything but `stored` and `most`.
        stop: Where it ends.
        origin: Where the stored pixels begin.
        extent: What they cover.
        stored: How many there are.
        limit: Where the source image ends: black from there on, and before 0.
        most: Columns of the matrix.
    """
    step = extent / stored
    a, b = (start - origin) / step, (stop - origin) / step
    base = torch.floor(a + 1e-9)
    count = torch.ceil(b - 1e-9) - base
    scale = (b - a) / n
    widened = scale.clamp_min(1.0)[:, None]
    out = torch.arange(n, dtype=torch.float64, device=start.device)
    centre = (a - base)[:, None] + (out + 0.5) * scale[:, None]
    low = (centre - widened + 0.5).trunc().clamp_min(0)
    high = torch.minimum((centre + widened + 0.5).trunc(), count[:, None])
    # The first pixel whose middle lies in the source image, and the first one behind.
    inside, behind = (torch.ceil((end - origin) / step - 0.5 - base) for end in (0, limit))
    begin = torch.maximum(low, inside[:, None])
    end = torch.maximum(torch.minimum(high, behind[:, None]), begin)
    # Σ over i in [k, k + m) of |i - c|, c the triangle's peak and k the first whole number from there on, is
    # |m| ((m - 1) / 2 + k - c), counted negatively for m < 0.
    peak = centre - 0.5
    k = peak.ceil()

    def summed(m: Tensor, slope: Tensor, offset: Tensor) -> Tensor:
        return m - m.abs() * (m * slope + offset)

    slope, offset = 0.5 / widened, (k - peak - 0.5) / widened
    total = summed(high - k, slope, offset) - summed(low - k, slope, offset)
    place = torch.arange(most + 1, dtype=torch.float64, device=start.device)
    edge = place - base[:, None]
    edge = edge.masked_fill(place <= 0, -torch.inf).masked_fill(place >= stored[:, None], torch.inf)
    # From here on for every column, in float32: what counts are differences of a few dozen.
    begin, end, slope, offset, factor = (
        t.float()[..., None].expand(-1, n, 1)
        for t in (begin - k, end - k, slope, offset, 1 / total.clamp_min(1e-12))
    )
    bounds = edge.float()[:, None] - k.float()[..., None]
    found = summed(bounds.clamp(begin, end), slope, offset)
    return (found[..., 1:] - found[..., :-1]) * factor
