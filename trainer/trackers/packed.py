"""Layers for inference on the CPU, their weights laid out once as the processor multiplies them fastest.

PyTorch keeps a layer's weights in their plain order and lays them out anew at every call; for one pair of
crops that takes as long as the products themselves. The operators are those that torch.compile emits; where this
PyTorch lacks them, plain ones do the same work. Values differ from the plain layers' by float32 rounding.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor, nn

from teachers.inference.folding import fold
from teachers.inference.products import has_onednn, packed, times


class PackedConv2d(nn.Module):
    """A convolution.

    Args:
        conv: With its weights; it is not kept.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.stride, self.padding, self.dilation = (
            [int(v) for v in values] for values in (conv.stride, conv.padding, conv.dilation)
        )
        self.groups = conv.groups
        weight = conv.weight.detach()
        self.bias = torch.zeros(conv.out_channels) if conv.bias is None else conv.bias.detach().clone()
        if has_onednn():
            reorder = torch._C._nn.mkldnn_reorder_conv2d_weight
            weight = reorder(weight.to_mkldnn(), self.padding, self.stride, self.dilation, self.groups)
        self.weight = weight

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, h, w) to (N, outputs, h', w'), in channels-last order."""
        geometry = (self.padding, self.stride, self.dilation, self.groups)
        if not has_onednn():
            padding, stride, dilation, groups = geometry
            return F.conv2d(x, self.weight, self.bias, stride, padding, dilation, groups)
        run = torch.ops.mkldnn._convolution_pointwise
        result: Tensor = run(x, self.weight, self.bias, *geometry, "none", [], "")
        return result


class PackedLinear(nn.Module):
    """A fully connected layer.

    Args:
        linear: With its weights; it is not kept.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.weight = packed(linear.weight.detach())
        self.bias = None if linear.bias is None else linear.bias.detach().clone()

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs) to (N, outputs)."""
        return times(x, self.weight, self.bias)


class PackedLSTM(nn.Module):
    """One step of an LSTM of one layer, as one product.

    Args:
        lstm: With its weights; it is not kept.
    """

    def __init__(self, lstm: nn.LSTM) -> None:
        super().__init__()
        tensors = dict(lstm.named_parameters())
        self.weight = packed(torch.cat([tensors["weight_ih_l0"], tensors["weight_hh_l0"]], dim=1).detach())
        self.bias = (tensors["bias_ih_l0"] + tensors["bias_hh_l0"]).detach()

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """As `nn.LSTM`'s for a sequence of one: x (1, N, inputs), states (1, N, width)."""
        hidden, cell = state
        gates = times(torch.cat([x[0], hidden[0]], dim=1), self.weight, self.bias)
        take, keep, new, show = gates.chunk(4, dim=1)
        after = torch.sigmoid(keep) * cell[0] + torch.sigmoid(take) * torch.tanh(new)
        out = torch.sigmoid(show) * torch.tanh(after)
        return out[None], (out[None], after[None])


def pack(network: nn.Module) -> nn.Module:
    """Make a network on the CPU ready for inference: batch normalisation folded, every layer packed, in place.

    Returns:
        The same network.
    """
    fold(network)
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d):
                setattr(module, name, PackedConv2d(child))
            elif isinstance(child, nn.Linear):
                setattr(module, name, PackedLinear(child))
            elif isinstance(child, nn.LSTM):
                setattr(module, name, PackedLSTM(child))
    return network
