"""ResNet-18's 3x3 convolutions of stride 1 by Winograd's method beside PyTorch's own, on the CPU.

Example:
    python benchmarks/winograd.py --threads 1 2

Sizes are those of the four stages on crops of 128 pixels, two crops per student. Both take turns; the fastest of the
rounds counts. The error is the largest, as a share of the largest number, against PyTorch's in float64. Prints
Markdown.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
import tyro
from torch import Tensor

from trainer.winograd import convolve

STAGES = ((64, 32), (128, 16), (256, 8), (512, 4))
"""Channels, and width and height of the images."""


@dataclass(frozen=True)
class Benchmark:
    """Milliseconds forward and backward."""

    students: int = 24
    """With two crops each."""
    threads: tuple[int, ...] = (1, 2)
    """PyTorch's."""
    rounds: int = 9
    """Turns of each."""

    def run(self) -> int:
        """Measure and print."""
        print(
            "| channels | threads | forward, ms: PyTorch, ours | backward | error: output, image, filters |"
        )
        print("|---|---|---|---|---|")
        for threads in self.threads:
            torch.set_num_threads(threads)
            for channels, side in STAGES:
                print(f"| {channels} | {threads} | {self._stage(channels, side)} |", flush=True)
        return 0

    def _stage(self, channels: int, side: int) -> str:
        torch.manual_seed(0)
        shapes = (2 * self.students, channels, side, side), (channels, channels, 3, 3)
        x, weight = (torch.randn(s).to(memory_format=torch.channels_last).requires_grad_() for s in shapes)
        gradient = torch.randn_like(x)
        exact = values(plain, x.double(), weight.double(), gradient.double())
        ours = values(convolve, x, weight, gradient)
        errors = [float((a - b).abs().max() / b.abs().max()) for a, b in zip(ours, exact, strict=True)]
        times = [
            [min(turns) for turns in zip(*rounds, strict=True)] for rounds in self._turns(x, weight, gradient)
        ]
        cells = [f"{a * 1e3:.1f}, {b * 1e3:.1f} ({a / b:.1f} times)" for a, b in zip(*times, strict=True)]
        return " | ".join([*cells, ", ".join(f"{error:.0e}" for error in errors)])

    def _turns(self, x: Tensor, weight: Tensor, gradient: Tensor) -> list[list[tuple[float, float]]]:
        found: list[list[tuple[float, float]]] = [[], []]
        for _ in range(self.rounds + 1):
            for turns, convolution in zip(found, (plain, convolve), strict=True):
                began = time.perf_counter()
                y = convolution(x, weight)
                between = time.perf_counter()
                torch.autograd.grad(y, (x, weight), gradient)
                turns.append((between - began, time.perf_counter() - between))
        return [turns[1:] for turns in found]


def plain(x: Tensor, weight: Tensor) -> Tensor:
    """PyTorch's own."""
    return F.conv2d(x, weight, padding=1)


def values(
    convolution: Callable[[Tensor, Tensor], Tensor], x: Tensor, weight: Tensor, gradient: Tensor
) -> list[Tensor]:
    """The output, and the gradients of images and filters."""
    y = convolution(x, weight)
    return [y.detach(), *torch.autograd.grad(y, (x, weight), gradient)]


if __name__ == "__main__":
    sys.exit(tyro.cli(Benchmark, config=(tyro.conf.FlagCreatePairsOff,)).run())
