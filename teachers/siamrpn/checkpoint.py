"""A variant's network with its checkpoint's values; another variant's checkpoint is told by its names and shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from datasets.errors import DataError
from teachers.siamrpn.variants import VARIANTS
from teachers.weights import fit, fits, load_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor, nn


def loaded(variant: str, weights: Path | str) -> nn.Module:
    """Build a variant's network and give it a checkpoint's values.

    Args:
        variant: A name of `VARIANTS`.
        weights: The checkpoint, PyTorch's or safetensors.

    Raises:
        DataError: If the checkpoint cannot be read or does not fit, or is exactly another variant's.
    """
    state = load_state(weights)
    network = VARIANTS[variant].build()
    if not fits(network, state) and (others := owners(state)):
        raise DataError(
            weights,
            f"this checkpoint is the network of variant {' or '.join(others)}, not of {variant}",
            f"Give the option variant: {others[0]}, or name a checkpoint of {variant}",
        )
    fit(network, state, weights, name=f"siamrpn's variant {variant}")
    return network


def owners(state: Mapping[str, Tensor]) -> list[str]:
    """The variants whose networks have exactly these tensors."""
    with torch.device("meta"):
        return [name for name, variant in VARIANTS.items() if fits(variant.build(), state)]
