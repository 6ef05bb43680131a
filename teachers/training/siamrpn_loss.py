"""What SiamRPN learns from a pair: which anchors are the target, and the way from them to its box.

SiamRPN (Li et al., CVPR 2018), Section 3.4: anchors that overlap the target by more than 0.6 are positive, by less
than 0.4 negative (there 0.3, which leaves the score too broad after a short training); at most 16 of those and 48
of these count for the class; cross-entropy for the classes, smooth L1 for the boxes. Negative pairs (an exemplar of
something else) come from DaSiamRPN (ECCV 2018), Section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor

from teachers.siamrpn.anchors import anchors

POSITIVE, NEGATIVE = 0.6, 0.4
BOXED = 0.45
"""Anchors that overlap the target by more than this learn its box: a tracker's cosine window often chooses them."""
POSITIVES, NEGATIVES = 16, 48
LIKE_BEST, LEAST = 0.8, 0.3
"""An anchor that overlaps the target by this share of what the best one does is positive as well, if by LEAST."""
BOX_WEIGHT = 3.0
"""Of the boxes' loss against the classes'. Position and class come by themselves; to measure a target's size has to
be asked for: with 1.2, as in pysot, a short training leaves it out, and the box slowly grows or shrinks."""


@dataclass(frozen=True, eq=False)
class Targets:
    """For N pairs and M anchors, in the order of `anchors.anchors`.

    Attributes:
        matched: bool (N, M), the anchors whose boxes count.
        positive: bool (N, M), those drawn from the ones that are the target: their classes count.
        negative: bool (N, M), the anchors drawn from the others.
        deltas: float32 (N, 4, M), from each anchor to the target: dx / w, dy / h, ln(w ratio), ln(h ratio).
    """

    matched: Tensor
    positive: Tensor
    negative: Tensor
    deltas: Tensor


def overlaps(boxes: Tensor, grid: Tensor) -> Tensor:
    """IoU of boxes (N, 4) with anchors (4, M), both centre x and y, width, height: (N, M)."""
    b, a = boxes[:, :, None], grid[None]
    low = torch.maximum(b[:, :2] - b[:, 2:] / 2, a[:, :2] - a[:, 2:] / 2)
    high = torch.minimum(b[:, :2] + b[:, 2:] / 2, a[:, :2] + a[:, 2:] / 2)
    common = (high - low).clamp(min=0).prod(dim=1)
    return common / (b[:, 2:].prod(dim=1) + a[:, 2:].prod(dim=1) - common)


def drawn(mask: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Keep at most `most` of each row's true entries, drawn at random: bool (N, M)."""
    keys = torch.rand(mask.shape, generator=generator).to(mask.device) * mask
    floor = keys.topk(min(most, mask.shape[1]), dim=1).values[:, -1:]
    return mask & (keys >= floor) & (keys > 0)


def targets(boxes: Tensor, search: int, side: int, strange: Tensor, generator: torch.Generator) -> Targets:
    """Label the anchors.

    Args:
        boxes: float32 (N, 4), (x, y, w, h) in pixels of the search region from its top-left corner.
        search: Side of the search region in pixels.
        side: Cells along one side of the response map.
        strange: bool (N,), pairs whose exemplar is of something else: nothing is positive, and what looks like
            their target is negative.
        generator: Source of randomness, on the CPU.
    """
    grid = anchors(side, boxes.device)
    centred = torch.cat([boxes[:, :2] + boxes[:, 2:] / 2 - search / 2, boxes[:, 2:]], dim=1)
    iou = overlaps(centred, grid)
    # A target whose form or size no anchor has still has best anchors, if they are anything like it.
    best = (iou >= LIKE_BEST * iou.amax(dim=1, keepdim=True)) & (iou > LEAST)
    own = ~strange[:, None]
    target = ((iou > POSITIVE) | best) & own
    matched = target | ((iou > BOXED) & own)
    negative = torch.where(own, (iou < NEGATIVE) & ~target, iou > NEGATIVE)
    deltas = torch.cat(
        [
            (centred[:, :2, None] - grid[None, :2]) / grid[None, 2:],
            (centred[:, 2:, None] / grid[None, 2:]).log(),
        ],
        dim=1,
    )
    positive = drawn(target, POSITIVES, generator)
    return Targets(matched, positive, drawn(negative, NEGATIVES, generator), deltas)


def loss(classes: Tensor, boxes: Tensor, wanted: Targets) -> tuple[Tensor, Tensor]:
    """The two losses, to be added with `BOX_WEIGHT`.

    Args:
        classes: float32 (N, 2 A, S, S), background first.
        boxes: float32 (N, 4 A, S, S).
        wanted: See `targets`.

    Returns:
        Cross-entropy, half of it the positives' mean and half the negatives'; smooth L1 summed over the four
        numbers, the mean over all that match.
    """
    n = len(classes)
    logs = classes.float().reshape(n, 2, -1).log_softmax(dim=1)
    some = wanted.positive.sum().clamp(min=1)
    hits = -(logs[:, 1] * wanted.positive).sum() / some
    rest = -(logs[:, 0] * wanted.negative).sum() / wanted.negative.sum().clamp(min=1)
    error = F.smooth_l1_loss(boxes.float().reshape(n, 4, -1), wanted.deltas, reduction="none", beta=0.05)
    matches = wanted.matched.sum().clamp(min=1)
    return (hits + rest) / 2, (error.sum(dim=1) * wanted.matched).sum() / matches
