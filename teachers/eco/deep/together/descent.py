"""Preconditioned conjugate gradients for many problems at once; `teachers.eco.descent` is the same for one.

Nothing comes back to the host: a problem that has ended early takes steps of length zero while the others go on.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Momentum:
    """What Polak-Ribiere steps keep from one update of a problem to the next.

    Attributes:
        direction: The latest direction, float32 (N, size).
        residual: The residual that it was made from, float32 (N, size).
        rho: That residual's size, float64 (N,).
    """

    direction: Tensor
    residual: Tensor
    rho: Tensor


def descend(
    x: Tensor,
    residual: Tensor,
    apply: Callable[[Tensor], Tensor],
    inverse: Tensor,
    weights: Tensor,
    steps: int,
    momentum: Momentum | None = None,
    forget: float = 1.0,
) -> tuple[Tensor, Momentum]:
    """Take the steps.

    Args:
        x: Where to begin, float32 (N, size).
        residual: The residual there, float32 (N, size).
        apply: The normal equations' matrices times vectors, float32 (N, size).
        inverse: The preconditioners' inverses, float32 (N, size).
        weights: Of each value in an inner product, float32 (size,).
        steps: How many.
        momentum: For Polak-Ribiere steps; without it they are Fletcher-Reeves steps from scratch.
        forget: Weight of its direction.

    Returns:
        The new x, and the new momentum.
    """
    r = residual
    if momentum is None:
        p, previous, kept = torch.zeros_like(r), r, torch.zeros(len(r), dtype=torch.float64, device=r.device)
    else:
        p, previous, kept = momentum.direction, momentum.residual, momentum.rho
    before = kept / forget
    going = torch.ones_like(kept, dtype=torch.bool)
    for _ in range(steps):
        z = r * inverse
        rho = _inner(r, z, weights)
        going = going & (rho > 0)
        shared = 0.0 if momentum is None else _inner(previous, z, weights)
        beta = torch.where(before > 0, ((rho - shared) / before).clamp(min=0), 0)
        p = torch.where(going[:, None], torch.addcmul(z, beta.float()[:, None], p), p)
        previous = torch.where(going[:, None], r, previous)
        before = kept = torch.where(going, rho, kept)
        q = apply(p)
        bend = _inner(p, q, weights)
        going = going & (bend > 0)
        alpha = torch.where(going, rho / bend, 0).float()[:, None]
        x = torch.addcmul(x, alpha, p)
        r = torch.addcmul(r, alpha, q, value=-1)
    return x, Momentum(p, previous, kept)


def _inner(a: Tensor, b: Tensor, weights: Tensor) -> Tensor:
    """Weighted inner products, float64 (N,)."""
    return (a * b * weights).sum(1, dtype=torch.float64)
