"""From the network's answer to the chosen proposal (SiamRPN, Section 4.3): decode, penalise, choose."""

from __future__ import annotations

import torch
from torch import Tensor


def choose(
    classes: Tensor,
    boxes: Tensor,
    anchors: Tensor,
    window: Tensor,
    sizes: Tensor,
    penalty_k: float,
    influence: Tensor,
) -> Tensor:
    """Choose one proposal for each of N videos.

    A proposal's score is punished for a change of scale or aspect ratio, exp(-k (r s - 1)), then mixed with
    the cosine window. Proposals that are not finite (an overflow of the exponential) cannot be chosen.

    Args:
        classes: float32 (N, 2 A, S, S), background first.
        boxes: float32 (N, 4 A, S, S), the regression from the anchors.
        anchors: float32 (4, A S S), see `anchors.anchors`.
        window: float64 (A S S,), see `anchors.cosine_window`.
        sizes: float64 (N, 2), the targets' present (w, h) in pixels of the search region.
        penalty_k: k.
        influence: float64 (N,), the window's share.

    Returns:
        float64 (N, 7), in pixels of the search region relative to its centre: centre x and y, width, height,
        the penalty, the score without penalty or window, and 1 if there was any finite proposal.
    """
    n = len(classes)
    score = classes.reshape(n, 2, -1).softmax(dim=1)[:, 1]
    d = boxes.reshape(n, 4, -1)
    decoded = torch.cat([d[:, :2] * anchors[2:] + anchors[:2], d[:, 2:].exp() * anchors[2:]], dim=1)
    width, height = decoded[:, 2], decoded[:, 3]
    w, h = sizes[:, :1], sizes[:, 1:]
    scale = _either_way(_context_side(width, height) / _context_side(w, h))
    ratio = _either_way((w / h) / (width / height))
    penalty = torch.exp(-(ratio * scale - 1) * penalty_k)
    share = influence[:, None]
    merit = penalty * score * (1 - share) + window * share
    usable = merit.isfinite() & decoded.isfinite().all(dim=1)
    best = torch.where(usable, merit, -torch.inf).argmax(dim=1, keepdim=True)
    facts = torch.stack([*decoded.unbind(1), penalty, score, usable], dim=1)
    return facts.gather(2, best[:, None].expand(n, 7, 1))[:, :, 0]


def _either_way(ratio: Tensor) -> Tensor:
    return torch.maximum(ratio, 1 / ratio)


def _context_side(width: Tensor, height: Tensor) -> Tensor:
    context = (width + height) * 0.5
    return torch.sqrt((width + context) * (height + context))
