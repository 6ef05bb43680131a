"""The student's crops (ρ of Section 3.2) for a whole batch, on the device, normalised for the network.

Geometry and filter are those of `datasets.transfer.crop`: corners rounded to whole source pixels, black outside
the image, PIL's bilinear filter widened when reducing. On the CPU that module's compiled code does the work,
image by image and to the bit. On other devices `trainer.dense` does it for all images at once, without the
intermediate rounding to bytes: the difference is at most 1 grey level (tests/test_crops.py).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datasets.transfer.crop import crop_region
from trainer.dense import crop_packed, pack

MEAN = (0.485, 0.456, 0.406)
"""Of ImageNet's pixels, RGB, in units of white (paper, Section 4.1)."""
DEVIATION = (0.229, 0.224, 0.225)


def crop_batch(
    images: Sequence[Tensor],
    windows: Tensor,
    image_sizes: Tensor,
    boxes: Tensor,
    size: int = 128,
    context: float = 1.5,
    device: torch.device | str = "cpu",
) -> Tensor:
    """Crop B images around B boxes and resize each to a square.

    Args:
        images: B stored images, uint8 (h, w, 3), RGB, of any sizes, on `device`: whole frames, or stored windows.
        windows: Where each lies in its source image, (B, 4), (x, y, w, h) in source pixels; for a whole frame
            (0, 0, W, H).
        image_sizes: Width and height of the source images, (B, 2); beyond them a crop is black.
        boxes: (B, 4), (x, y, w, h) in source pixels, finite, with area; no gradient flows into them.
        size: Width and height of the crops.
        context: c, how many times its box a crop is wide and high.
        device: Where the crops are made and returned.

    Returns:
        float32 (B, 3, size, size), ImageNet's mean and deviation taken off, in channels-last memory.

    Raises:
        ValueError: If a box is not finite or has no area; not on a GPU, where asking would be to wait for it. There
            the crop around a box that is not finite is none of finite numbers.
    """
    device = torch.device(device)
    if not len(images) == len(windows) == len(image_sizes) == len(boxes):
        raise ValueError(
            f"{len(images)} images, {len(windows)} windows, {len(image_sizes)} image sizes and {len(boxes)} boxes"
        )
    if device.type == "cpu":
        pixels = _compiled(images, windows, image_sizes, boxes, size, context)
    else:
        pixels = crop_packed(pack(images, device), windows, image_sizes, boxes, size, context)
    return normalised(pixels)


def incomplete(boxes: Tensor, windows: Tensor, image_sizes: Tensor, context: float) -> Tensor:
    """Which crops show a part of their source image that was not stored, where border pixels stand in for it.

    Args:
        boxes: What is cropped around, (B, 4); this and what follows as for `crop_batch`.
        windows: (B, 4).
        image_sizes: (B, 2).
        context: c.

    Returns:
        bool (B,). `datasets.transfer.crop.Crop.inside` says the contrary, but for corners that round another way.
    """
    reach = boxes[:, 2:] * context
    corner = boxes[:, :2] + boxes[:, 2:] / 2 - reach / 2
    begins = windows[:, :2] > corner.round().clamp_min(0.0)
    ends = windows[:, :2] + windows[:, 2:] < torch.minimum((corner + reach).round(), image_sizes)
    return (begins | ends).any(dim=-1)


def normalised(pixels: Tensor) -> Tensor:
    """Grey levels (B, size, size, 3), which may be overwritten, as the network takes them: (B, 3, size, size)."""
    size = pixels.shape[1]
    mean, scale = _colours(size, pixels.device)
    # Whole lines at a time: a last dimension of three colours would be ten times slower.
    lines = pixels.view(-1, 3 * size).float()
    return lines.sub_(mean).mul_(scale).view(pixels.shape).permute(0, 3, 1, 2)


@functools.lru_cache(maxsize=16)
def _colours(size: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """ImageNet's mean and one over its deviation of a line of pixels, (3 size,): sent to a device once."""
    with torch.inference_mode(False):  # whoever asks first, training uses them as well
        mean, deviation = (torch.tensor(v, device=device).repeat(size) * 255 for v in (MEAN, DEVIATION))
        return mean, 1 / deviation


def _compiled(
    images: Sequence[Tensor], windows: Tensor, image_sizes: Tensor, boxes: Tensor, size: int, context: float
) -> Tensor:
    out = np.empty((len(images), size, size, 3), dtype=np.uint8)
    rows = [t.detach().cpu().numpy() for t in (windows, image_sizes, boxes)]
    for i, (image, window, image_size, box) in enumerate(zip(images, *rows, strict=True)):
        out[i] = crop_region(image.numpy(), window, image_size, box, size, context).pixels
    return torch.from_numpy(out)
