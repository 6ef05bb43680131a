"""Where training starts: the first convolution with edges and blobs, which it would otherwise have to find."""

from __future__ import annotations

import numpy as np
import torch
from torch import nn


def gabor_filters(count: int, size: int, seed: int) -> torch.Tensor:
    """Gabor filters of all orientations and wavelengths, two in three of them grey: (count, 3, size, size).

    The scale is that of inputs from 0 to 255 and outputs of about unit variance; filters for edges have no
    response to a uniform area.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:size, :size] - (size - 1) / 2
    filters = np.empty((count, 3, size, size))
    for i in range(count):
        angle, wave = np.pi * i * 0.618, np.exp(rng.uniform(np.log(4), np.log(16)))
        along = x * np.cos(angle) + y * np.sin(angle)
        across = y * np.cos(angle) - x * np.sin(angle)
        spread = min(0.45 * wave, size / 4)
        envelope = np.exp(-(along**2 + (0.7 * across) ** 2) / (2 * spread**2))
        shape = envelope * np.cos(2 * np.pi * along / wave + rng.uniform(0, 2 * np.pi))
        coloured = i % 3 == 0
        edge = shape - envelope * shape.sum() / envelope.sum()
        shape = envelope if coloured and i % 2 else edge
        tint = rng.normal(0, 1, 3)
        tint = tint - tint.mean() if coloured else np.ones(3)
        kernel = tint[:, None, None] * shape
        filters[i] = kernel / np.linalg.norm(kernel) / 40
    return torch.from_numpy(filters).float()


def start(network: nn.Module, seed: int) -> None:
    """Give an untrained network its first values, in place: Gabor filters first, He's for the others."""
    generator = torch.Generator().manual_seed(seed)
    first = True
    for module in network.modules():
        if not isinstance(module, nn.Conv2d):
            continue
        with torch.no_grad():
            if first:
                filters = gabor_filters(module.out_channels, module.kernel_size[0], seed)
                noise = torch.randn(filters.shape, generator=generator)
                module.weight.copy_(filters + noise * filters.std() * 0.1)
                first = False
            else:
                fan = module.in_channels * module.kernel_size[0] * module.kernel_size[1]
                module.weight.copy_(torch.randn(module.weight.shape, generator=generator) * (2 / fan) ** 0.5)
            if module.bias is not None:
                module.bias.zero_()
