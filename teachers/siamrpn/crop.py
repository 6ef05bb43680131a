"""The exemplar and the search region: a square window of the image, resized; outside the image, one colour.

Only the window is ever copied, never a padded image. Two routes give the same pixels: `patch` (OpenCV, on
the CPU) and `resample` (many windows at once on any device, OpenCV's own fixed-point arithmetic with
integers).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, NamedTuple

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.gpu.kernels import fused
from teachers.gpu.upload import fetched, uploaded

if TYPE_CHECKING:
    from collections.abc import Sequence

    from teachers.base import Image

Rounding = Literal["up", "even"]
"""Where a half goes when a window's corner is rounded: up (pysot), or to the even number (DaSiamRPN)."""


class Whole(NamedTuple):
    """An image that was brought to the device.

    Attributes:
        pixels: uint8 (H W, 3), BGR, row by row.
        shape: (H, W).
    """

    pixels: Tensor
    shape: tuple[int, ...]


def brought(image: Image, device: torch.device) -> Whole:
    """An image on the device; the copy runs while the caller goes on."""
    return Whole(uploaded(image.reshape(-1, 3), device), image.shape[:2])


Colour = NDArray[np.uint8]
"""uint8 (3,), BGR."""

_ONE = 2048
"""1 in OpenCV's interpolation coefficients (11 bits)."""


class Window(NamedTuple):
    """A square of whole pixels, which may lie partly or wholly outside the image.

    Attributes:
        x: Left column.
        y: Top row.
        side: Pixels along one side, at least 1.
    """

    x: int
    y: int
    side: int


def context_side(width: float, height: float) -> float:
    """The exemplar's side in image pixels: sqrt((w + p)(h + p)), p = (w + h) / 2 (SiamFC, Section 2.4)."""
    context = 0.5 * (width + height)
    return math.sqrt((width + context) * (height + context))


def window_at(centre: tuple[float, float], side: int, rounding: Rounding = "up") -> Window:
    """The window of that side around a centre (x, y); of a target far smaller than a pixel, that pixel."""
    side = max(side, 1)
    half = (side + 1) / 2
    corner = [c - half for c in centre]
    x, y = (math.floor(c + 0.5) if rounding == "up" else round(c) for c in corner)
    return Window(x, y, side)


def average_colour(image: Image | Whole) -> Colour:
    """The image's mean colour, cut to whole grey levels as upstream's assignment into a uint8 array does."""
    if isinstance(image, Whole):
        sums = fetched(image.pixels.sum(0, dtype=torch.int64))
        return (sums // len(image.pixels)).astype(np.uint8)
    colour: Colour = np.mean(image, axis=(0, 1)).astype(np.uint8)
    return colour


def inside(window: Window, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """The part of a window within an image of that shape: (left, top, right, bottom), perhaps empty."""
    left, right = (min(max(v, 0), shape[1]) for v in (window.x, window.x + window.side))
    top, bottom = (min(max(v, 0), shape[0]) for v in (window.y, window.y + window.side))
    return left, top, right, bottom


def patch(image: Image, window: Window, size: int, fill: Colour) -> Image:
    """Cut one window and resize it.

    Args:
        image: uint8 (H, W, 3).
        window: Which part.
        size: Side of the result.
        fill: Colour outside the image.

    Returns:
        uint8 (size, size, 3).
    """
    left, top, right, bottom = inside(window, image.shape)
    whole = right - left == window.side and bottom - top == window.side
    if not whole and window.side**2 > 4 * (image.shape[0] * image.shape[1] + size * size):
        # Far larger than the image (a target that exploded): do not build what is nearly all one colour.
        far = resample([image], [window], size, [fill], torch.device("cpu"))[0]
        return far.permute(1, 2, 0).to(torch.uint8).numpy()
    cut = image[top:bottom, left:right]
    if not whole:
        beyond_x, beyond_y = window.x + window.side - right, window.y + window.side - bottom
        border = (top - window.y, beyond_y, left - window.x, beyond_x)
        colour = tuple(int(v) for v in fill)
        if right > left and bottom > top:
            cut = np.asarray(cv2.copyMakeBorder(cut, *border, cv2.BORDER_CONSTANT, value=colour), np.uint8)
        else:
            cut = np.full((window.side, window.side, 3), fill, np.uint8)
    if window.side == size:
        return cut
    resized: Image = np.asarray(cv2.resize(cut, (size, size), interpolation=cv2.INTER_LINEAR), np.uint8)
    return resized


def resample(
    images: Sequence[Image | Whole],
    windows: Sequence[Window],
    size: int,
    fills: Sequence[Colour],
    device: torch.device,
) -> Tensor:
    """Cut and resize one window of each image, on the device.

    Args:
        images: N images, uint8 (H, W, 3), of any sizes: where one of them is on the device already, all are brought
            there whole, else their windows' pixels travel end to end in one transfer.
        windows: One per image.
        size: Side of the results.
        fills: Colour outside each image.
        device: Where to work.

    Returns:
        float32 (N, 3, size, size) in channels_last on the device, whole grey levels equal to `patch`'s; where one
        kernel makes them, they are `space_to_depth.folded`, (N, 16, h, h).
    """
    boxes = [inside(w, i.shape) for w, i in zip(windows, images, strict=True)]
    here = [image for image in images if not isinstance(image, Whole)]
    if len(here) < len(images):
        whole = [image if isinstance(image, Whole) else brought(image, device) for image in images]
        pixels = torch.cat([uploaded(np.stack(fills), device), *(image.pixels for image in whole)])
        lengths = [image.shape[0] * image.shape[1] for image in whole]
        strides = [image.shape[1] for image in whole]
        first = [0] * len(images)
    else:
        cuts = [i[t:b, le:r].reshape(-1, 3) for i, (le, t, r, b) in zip(here, boxes, strict=True)]
        pixels = uploaded(np.concatenate([np.stack(fills), *cuts]), device)
        lengths = [len(cut) for cut in cuts]
        strides = [r - le for le, _, r, _ in boxes]
        first = [t * (r - le) + le for le, t, r, _ in boxes]
    # The fill colours are the first pixels of all, so that one gather reads both.
    starts = np.cumsum([len(images), *lengths[:-1]]) - first
    numbers = np.column_stack([windows, boxes, range(len(images)), starts, strides])
    facts = uploaded(np.ascontiguousarray(numbers.T), device)
    x, y, side = facts[:3, :, None]
    low, weight = _taps(side, size)
    # OpenCV drops the weight of a column beyond the window, but keeps that of a row and repeats the row.
    beyond = (low < 0) | (low >= side - 1)
    across = torch.where(beyond, 0, weight)
    columns = torch.stack([x + low.clamp(min=0), x + torch.minimum(low.clamp(min=0) + 1, side - 1)])
    rows = torch.stack([y + low.clamp(min=0), y + torch.minimum(low + 1, side - 1)])
    kernels = fused("teachers.siamrpn.fused_crop", device)
    mixed = kernels.resampled if kernels else by_operators
    found: Tensor = mixed(pixels, facts[3:], rows, weight, columns, across)
    return found


def by_operators(
    pixels: Tensor, facts: Tensor, rows: Tensor, down: Tensor, columns: Tensor, across: Tensor
) -> Tensor:
    """What `fused_crop.resampled` does, by PyTorch's operators, (N, 3, size, size)."""
    left, top, right, bottom, fill, start, stride = facts[:, :, None]
    out = torch.zeros((), dtype=torch.int32, device=pixels.device)
    for row, lower in zip(rows, (_ONE - down, down), strict=True):
        line = torch.zeros((), dtype=torch.int32, device=pixels.device)
        for column, factor in zip(columns, (_ONE - across, across), strict=True):
            seen = ((row >= top) & (row < bottom))[:, :, None] & ((column >= left) & (column < right))[
                :, None
            ]
            at = (start + row * stride)[:, :, None] + column[:, None]
            grey = pixels[torch.where(seen, at, fill[:, :, None])].int()
            line = line + grey * factor[:, None, :, None]
        out = out + ((lower[:, :, None, None] * (line >> 4)) >> 16)
    return ((out + 2) >> 2).float().permute(0, 3, 1, 2)


def _taps(side: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """OpenCV's first neighbour (N, size) of each output pixel, and the weight of the second in 1/2048."""
    step = side.double() / size
    at = ((torch.arange(size, device=side.device) + 0.5) * step - 0.5).float()
    low = at.floor()
    return low.long(), torch.round((at - low) * _ONE).int()
