"""The student's crops (ρ of Section 3.2) for a whole batch, on the device, normalised for the network.

Geometry and filter are those of `datasets.transfer.crop`: corners rounded to whole source pixels, black outside
the image, PIL's bilinear filter widened when reducing. On the CPU that module's compiled code does the work,
image by image and to the bit. On other devices the same filter is two batched matrix products in
float32 without the intermediate rounding to bytes: the difference is at most 1 grey level (docs/benchmarks.md).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from datasets.transfer.crop import crop_region

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
        ValueError: If a box is not finite or has no area.
    """
    device = torch.device(device)
    if not len(images) == len(windows) == len(image_sizes) == len(boxes):
        raise ValueError(
            f"{len(images)} images, {len(windows)} windows, {len(image_sizes)} image sizes and {len(boxes)} boxes"
        )
    if device.type == "cpu":
        pixels = _compiled(images, windows, image_sizes, boxes, size, context)
    else:
        pixels = crop_dense(images, windows, image_sizes, boxes, size, context, device)
    # Whole lines at a time: a last dimension of three colours would be ten times slower.
    mean, deviation = (torch.tensor(v, device=device).repeat(size) * 255 for v in (MEAN, DEVIATION))
    lines = pixels.view(-1, 3 * size).float()
    return lines.sub_(mean).mul_(1 / deviation).view(pixels.shape).permute(0, 3, 1, 2)


def _compiled(
    images: Sequence[Tensor], windows: Tensor, image_sizes: Tensor, boxes: Tensor, size: int, context: float
) -> Tensor:
    out = np.empty((len(images), size, size, 3), dtype=np.uint8)
    rows = [t.detach().cpu().numpy() for t in (windows, image_sizes, boxes)]
    for i, (image, window, image_size, box) in enumerate(zip(images, *rows, strict=True)):
        out[i] = crop_region(image.numpy(), window, image_size, box, size, context).pixels
    return torch.from_numpy(out)


def crop_dense(
    images: Sequence[Tensor],
    windows: Tensor,
    image_sizes: Tensor,
    boxes: Tensor,
    size: int,
    context: float,
    device: torch.device,
) -> Tensor:
    """The crops as grey levels, float32 (B, size, size, 3), by two matrix products per image.

    The images are laid into one zero-padded batch; the matrices have zeros wherever a pixel does not count.
    Arguments are `crop_batch`'s.
    """
    if not bool((boxes.isfinite().all(dim=-1) & (boxes[:, 2:] > 0).all(dim=-1)).all()):
        raise ValueError(f"cannot crop around the boxes {boxes.tolist()}: they must be finite, with area")
    # In float64, because a corner that falls on half a pixel has to round as the CPU's does.
    windows, limits, boxes = (t.to(device, torch.float64) for t in (windows, image_sizes, boxes))
    stored = torch.tensor([image.shape[1::-1] for image in images], dtype=torch.float64, device=device)
    reach = boxes[:, 2:] * context
    start = boxes[:, :2] + boxes[:, 2:] / 2 - reach / 2
    left_top = start.round()
    right_bottom = torch.maximum((start + reach).round(), left_top + 1)

    most = [max(image.shape[side] for image in images) for side in (1, 0)]
    across, down = (
        _weights(
            size,
            left_top[:, side],
            right_bottom[:, side],
            windows[:, side],
            windows[:, side + 2],
            stored[:, side],
            limits[:, side],
            most[side],
        )
        for side in (0, 1)
    )
    batch = torch.zeros(len(images), most[1], most[0], 3, dtype=torch.float32, device=device)
    for i, image in enumerate(images):
        batch[i, : image.shape[0], : image.shape[1]] = image.to(device)
    rows = torch.matmul(down, batch.flatten(2)).view(len(images), size, most[0], 3)
    return torch.einsum("bjx,bixc->bijc", across, rows).clamp_(0, 255)


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

    Args:
        n: Output pixels.
        start: Where the crop begins, (B,), in source pixels, as everything but `stored` and `most`.
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
    shift = a - base
    count = torch.ceil(b - 1e-9) - base
    scale = (b - a) / n
    widened = scale.clamp_min(1.0)
    out = torch.arange(n, dtype=torch.float64, device=start.device)
    centre = shift[:, None] + (out + 0.5) * scale[:, None]
    low = (centre - widened[:, None] + 0.5).trunc().clamp_min(0)
    high = torch.minimum((centre + widened[:, None] + 0.5).trunc(), count[:, None])
    # Every pixel of the crop, stored or not: as many as the widest crop of the batch has.
    inner = torch.arange(int(count.max()), dtype=torch.float64, device=start.device)
    distance = (inner - centre[..., None] + 0.5).abs() / widened[:, None, None]
    value = (1.0 - distance).clamp_min(0.0)
    value = value * ((inner >= low[..., None]) & (inner < high[..., None]))
    value = value / value.sum(dim=-1, keepdim=True).clamp_min(1e-12)
    place = origin[:, None] + (base[:, None] + inner + 0.5) * step[:, None]
    value = value * ((place >= 0) & (place < limit[:, None]))[:, None]
    # What was not stored is replaced by the nearest stored pixel.
    slot = (base[:, None] + inner).clamp_min(0).minimum(stored[:, None] - 1).long()
    matrix = torch.zeros(len(start), n, most, dtype=torch.float64, device=start.device)
    matrix.scatter_add_(2, slot[:, None].expand_as(value), value)
    return matrix.float()
