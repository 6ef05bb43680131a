"""The classifiers of many videos side by side: fc4, fc5 and fc6, stacked along a first dimension of slots.

Every video trains its own copy of the fully connected layers. Stacked, the copies of all videos are one batched matrix
product per layer. Dropout belongs to training alone, see `training`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from teachers.gpu.upload import uploaded
from teachers.mdnet.network import Network, Widths

TARGET = 1
"""Column of the scores that says target; column 0 says background."""


@dataclass(frozen=True)
class Layers:
    """One tensor per parameter: weights (S, out, in) and biases (S, out); also momenta of the same shapes."""

    w4: Tensor
    b4: Tensor
    w5: Tensor
    b5: Tensor
    w6: Tensor
    b6: Tensor

    def tensors(self) -> tuple[Tensor, ...]:
        """All six, in the order of the layers."""
        return tuple(getattr(self, f.name) for f in fields(self))

    def at(self, slots: Sequence[int]) -> Layers:
        """Those of some slots, (len(slots), ...): a view where the slots are consecutive, else a copy."""
        if (row := _in_a_row(slots)) is not None:
            return Layers(*(t[row] for t in self.tensors()))
        index = uploaded(np.array(slots), self.w4.device)
        return Layers(*(t.index_select(0, index) for t in self.tensors()))

    def put(self, slots: Sequence[int], values: Layers) -> None:
        """Store what `at` gave for the same slots, or other values; nothing to do for a view."""
        row = _in_a_row(slots)
        index = None if row else uploaded(np.array(slots), self.w4.device)
        for own, new in zip(self.tensors(), values.tensors(), strict=True):
            if index is not None:
                own.index_copy_(0, index, new)
            elif new.data_ptr() != own[row].data_ptr():
                own[row] = new

    def zeros(self) -> Layers:
        """Zeros of the same shapes."""
        return Layers(*(torch.zeros_like(t) for t in self.tensors()))


def _in_a_row(slots: Sequence[int]) -> slice | None:
    """The slots as a slice, where they are consecutive: an index would have to travel to the device."""
    first, after = slots[0], slots[0] + len(slots)
    return slice(first, after) if list(slots) == list(range(first, after)) else None


def empty(slots: int, widths: Widths, device: torch.device) -> Layers:
    """Uninitialised layers for so many slots."""
    w = widths
    shapes = ((w.fc4, w.feature), (w.fc4,), (w.fc5, w.fc4), (w.fc5,), (2, w.fc5), (2,))
    return Layers(*(torch.empty(slots, *shape, device=device) for shape in shapes))


def initial(network: Network, generator: torch.Generator) -> Layers:
    """A new video's layers: fc4 and fc5 of the network, fc6 drawn from N(0, 0.01), biases zero; one slot.

    Args:
        network: The shared layers.
        generator: On the CPU. The authors' code draws default values for every layer of a new model, overwrites all but
            fc6, and goes on with the same generator; what comes out depends on these draws, so they are made here too.
    """
    w = network.widths
    for out, count in (
        (w.conv1, 3 * 7 * 7),
        (w.conv2, w.conv1 * 5 * 5),
        (w.conv3, w.conv2 * 3 * 3),
        (w.fc4, w.feature),
        (w.fc5, w.fc4),
        (2, w.fc5),
    ):
        torch.empty(out, count).uniform_(generator=generator)
        torch.empty(out).uniform_(generator=generator)
    for out, count in ((w.fc4, w.feature), (w.fc5, w.fc4)):
        torch.empty(out, count).normal_(generator=generator)
    w6 = torch.empty(1, 2, w.fc5).normal_(0, 0.01, generator=generator)
    state = network.state_dict()
    w4, b4, w5, b5 = (
        state[key][None] for key in ("fc4.0.weight", "fc4.0.bias", "fc5.1.weight", "fc5.1.bias")
    )
    return Layers(w4, b4, w5, b5, w6.to(w4.device), torch.zeros(1, 2, device=w4.device))


def scores(layers: Layers, x: Tensor) -> Tensor:
    """Logits of (background, target) without dropout.

    Args:
        layers: Of S slots.
        x: float32 (S, N, F), features.

    Returns:
        float32 (S, N, 2).
    """
    x = linear(x, layers.w4, layers.b4).relu_()
    x = linear(x, layers.w5, layers.b5).relu_()
    return linear(x, layers.w6, layers.b6)


def linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Give x w' + b for each slot: (S, N, in), (S, out, in), (S, out) to (S, N, out)."""
    if len(x) == 1 and x.device.type == "cpu" and _worth_onednn(x, weight):
        # oneDNN multiplies twice as fast as MKL on processors that are not Intel's, and as fast on those that are.
        product = torch.nn.functional.linear(x[0].to_mkldnn(), weight[0].to_mkldnn(), bias[0].to_mkldnn())
        return product.to_dense()[None]
    return torch.baddbmm(bias[:, None], x, weight.transpose(1, 2))


def _worth_onednn(x: Tensor, weight: Tensor) -> bool:
    """Whether the product is large enough (2^26 multiplications, milliseconds) to pay for copying its operands."""
    available: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]  # torch's own lack
    return available and math.prod(x.shape) * weight.shape[1] >= 1 << 26
