"""Matrix products on the CPU, by oneDNN where this PyTorch has it.

PyTorch gives float32 products to MKL, which on another maker's processor leaves the wide registers unused; oneDNN's
are twice as fast there. The operators are those that torch.compile emits for linear layers.
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=1)
def has_onednn() -> bool:
    """Whether the operators are there (PyTorch 2.13 has them)."""
    names = (
        "_reorder_linear_weight",
        "_linear_pointwise",
        "_reorder_convolution_weight",
        "_convolution_pointwise",
        "_get_mkldnn_serialized_md",
    )
    return torch._C._has_mkldnn and all(hasattr(torch.ops.mkldnn, name) for name in names)


def packed(weight: Tensor) -> Tensor:
    """A matrix (outputs, inputs) in the order that multiplies fastest; only `times` can read it."""
    if not has_onednn():
        return weight.contiguous()
    result: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous())
    return result


def times(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """X @ weight.T + bias.

    Args:
        x: (rows, inputs).
        weight: (outputs, inputs), packed or not.
        bias: (outputs,) or None.
    """
    if not has_onednn():
        return torch.nn.functional.linear(x, weight, bias)
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return result
