"""Tracking as a Markov decision process (paper, Section 3.2): actions, transition and reward on torch tensors.

Boxes are (x, y, w, h), 0-based pixels, and actions (Δx, Δy, Δw, Δh), both of shape (..., 4), on any device, in
float32 or float64; what is computed from them keeps dtype and device, and carries gradients. The state ρ, a
pair of crops, is made by `trainer.crops`. ψ, φ and the authors' conventions (top-left corner, linear
sizes, no "+1 pixel") are those of their published `utils.py`; their appendix A.1 is not public.
"""

from __future__ import annotations

import torch
from torch import Tensor

_EPSILON = 1e-10
"""Keeps φ finite about a box without area, as the authors' code does."""

_STEPS = 20
"""The reward has twenty steps of 0.05."""


def transition(action: Tensor, box: Tensor) -> Tensor:
    """ψ: the box that an action makes of the last one.

    The corner moves by (Δx w, Δy h), the size changes by (Δw w, Δh h). Nothing is clipped: Δw = -1 leaves no
    width (see `clip_box`).

    Args:
        action: (..., 4), relative to the box's size; the student's own are clamped to [-1, 1] by the caller.
        box: b_{t-1}, (..., 4).

    Returns:
        b_t, (..., 4).
    """
    return box + action * torch.cat([box[..., 2:], box[..., 2:]], dim=-1)


def action_between(box: Tensor, reference: Tensor) -> Tensor:
    """φ: the action that moves `reference` into `box`, the inverse of ψ.

    Not clipped: fast motion, or a target that more than doubles, gives components beyond 1.

    Args:
        box: Where to go, (..., 4).
        reference: b_{t-1}, (..., 4), with positive sizes.

    Returns:
        (..., 4).
    """
    size = reference[..., 2:] + _EPSILON
    return (box - reference) / torch.cat([size, size], dim=-1)


def clip_box(box: Tensor, width: Tensor | float, height: Tensor | float, smallest: float = 1.0) -> Tensor:
    """What the student does to its box after ψ: the corner within the image, the size at most the image's.

    Each of the four numbers is clipped by itself, so that the box may still reach beyond the image.

    Args:
        box: (..., 4).
        width: Of the image, in pixels, a number or shape (...).
        height: Of the image.
        smallest: Least width and height, in pixels. The authors' code has 0, which lets a box vanish for good: no
            action makes anything of a box without area.

    Returns:
        (..., 4), finite where `box` is.
    """
    far = torch.stack(
        [torch.as_tensor(side, dtype=box.dtype, device=box.device) for side in (width, height)], dim=-1
    )
    corner = torch.minimum(box[..., :2].clamp_min(0.0), far)
    # The image bounds the size from above; an image smaller than `smallest` bounds that too.
    size = torch.minimum(box[..., 2:].clamp_min(smallest), far)
    return torch.cat([corner, size], dim=-1)


def seen_box(box: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """The box that crops are made around: no larger than the image, its centre within it.

    A box whose centre is in the image is its own. For others the authors' `get_crop_bb` does this, so that a student
    that strays still sees the image's border.

    Args:
        box: b_{t-1}, (..., 4).
        width: Of the image, in pixels, shape (...).
        height: Of the image.

    Returns:
        (..., 4).
    """
    far = torch.stack([width, height], dim=-1).to(box.dtype)
    size = torch.minimum(box[..., 2:], far)
    centre = box[..., :2] + box[..., 2:] / 2
    inside = torch.minimum(centre.clamp_min(0.0), far)
    own = (size == box[..., 2:]) & (inside == centre)
    # The box itself where it may stay, to the bit, not what a detour over its centre makes of it.
    moved = torch.cat([inside - size / 2, size], dim=-1)
    return torch.where(own.all(dim=-1, keepdim=True), box, moved)


def is_valid(boxes: Tensor) -> Tensor:
    """Tell which boxes are finite and have a positive width and height, bool (...)."""
    return boxes.isfinite().all(dim=-1) & (boxes[..., 2:] > 0).all(dim=-1)


def overlap(a: Tensor, b: Tensor) -> Tensor:
    """Intersection over union (Eq. 1) of boxes, broadcast; 0 where either is not valid.

    The same rule as `datasets.boxes.overlap`, on the device.

    Returns:
        (...), in [0, 1].
    """
    both = is_valid(a) & is_valid(b)
    a, b = (torch.where(both[..., None], boxes, torch.ones_like(boxes)) for boxes in (a, b))
    low = torch.maximum(a[..., :2], b[..., :2])
    high = torch.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    intersection = (high - low).clamp_min(0.0).prod(dim=-1)
    union = a[..., 2:].prod(dim=-1) + b[..., 2:].prod(dim=-1) - intersection
    # A box and itself may come out a rounding above 1.
    return torch.where(both, (intersection / union).clamp_max(1.0), torch.zeros_like(union))


def reward(overlap: Tensor) -> Tensor:
    """The reward r (Eq. 2): 2 ⌊IoU⌋₀.₀₅ - 1 from IoU 0.5 on, else -1.

    The floor is taken of 100 IoU in steps of 5: in binary arithmetic ⌊0.6 / 0.05⌋ is 11, whereas ⌊60 / 5⌋ is 12.

    Args:
        overlap: IoU, (...); NaN counts as none.

    Returns:
        (...), one of -1, 0, 0.1, ..., 1, each the float nearest to that decimal.
    """
    steps = torch.floor(overlap * 100.0 / (100 // _STEPS))
    half = _STEPS // 2
    return torch.where(overlap >= 0.5, (steps - half) / half, torch.full_like(overlap, -1.0))
