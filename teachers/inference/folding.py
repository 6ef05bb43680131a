"""Inference without batch normalisation: it is folded into the convolution before it."""

from __future__ import annotations

import torch
from torch import nn


def fold(network: nn.Module) -> nn.Module:
    """Fold every batch normalisation that follows a convolution, in place, and switch to inference.

    In the teachers' networks and the student's, the order of registration is the order of execution, so the
    convolution before a normalisation is the child before it. Factors are computed in float64: values differ from
    the unfolded network by float32 rounding only.

    Returns:
        The same network.

    Raises:
        ValueError: If a normalisation does not follow a convolution.
    """
    network.eval().requires_grad_(False)
    for module in list(network.modules()):
        before: nn.Module | None = None
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                if not isinstance(before, nn.Conv2d):
                    raise ValueError(  # noqa: TRY004 - a fault of the network's structure
                        f"batch normalisation {name} of {type(module).__name__} follows no convolution"
                    )
                _fold_one(before, child)
                setattr(module, name, nn.Identity())
            before = child
    return network


def _fold_one(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    assert norm.running_mean is not None and norm.running_var is not None
    factor = norm.weight.double() / torch.sqrt(norm.running_var.double() + norm.eps)
    bias = torch.zeros_like(factor) if conv.bias is None else conv.bias.double()
    weight = conv.weight.double() * factor[:, None, None, None]
    bias = (bias - norm.running_mean.double()) * factor + norm.bias.double()
    conv.weight = nn.Parameter(weight.to(conv.weight.dtype), requires_grad=False)
    conv.bias = nn.Parameter(bias.to(conv.weight.dtype), requires_grad=False)
