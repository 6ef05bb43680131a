"""Training of the classifiers: hard negative mining, dropout, and momentum SGD (notes: mdnet.md, 5).

The gradient is written out: for three layers and two classes that is short, and it runs for all slots at once. The
order of the operations is that of PyTorch's own SGD, because mining and dropout turn a difference in the fifth digit
into another classifier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from teachers.gpu.upload import uploaded
from teachers.mdnet.classifier import TARGET, Layers, linear, scores
from teachers.mdnet.memory import Rows

POSITIVES = 32
"""Positives per iteration."""

NEGATIVES = 96
"""Hard negatives per iteration."""

CANDIDATES = 1024
"""Negatives per iteration that the hard ones are chosen from."""

MOMENTUM, DECAY, LONGEST = 0.9, 5e-4, 10.0
"""Of SGD; the L2 norm of a classifier's whole gradient is cut at `LONGEST`."""

FC6, FIRST_OF_FC6 = 10.0, 4
"""Learning rate of fc6 in units of the others', and its first tensor in `Layers.tensors`."""


@dataclass(frozen=True)
class Examples:
    """What one video's classifier learns from.

    Attributes:
        positives: At least one.
        negatives: At least one.
        rng: The video's generator of orders.
        dropout: The video's generator of dropout masks, on the features' device.
    """

    positives: Rows
    negatives: Rows
    rng: np.random.RandomState
    dropout: torch.Generator


@dataclass(frozen=True)
class Lesson:
    """Examples, and all that chance decides of some iterations I on them.

    Attributes:
        positives, negatives: The examples.
        easy: int64 (I, 32), positives of each iteration.
        candidates: int64 (I, 1024), its negatives that the hard ones are chosen from.
        kept: uint8 (I, 128, w), what dropout leaves in front of fc5 and, to the right of that, of fc6; or the generator
            that each iteration draws its masks with.
    """

    positives: Rows
    negatives: Rows
    easy: Tensor
    candidates: Tensor
    kept: Tensor | torch.Generator


@torch.inference_mode()
def train(
    layers: Layers, momenta: Layers, examples: Sequence[Examples], iterations: int, rate: float
) -> None:
    """Train the classifiers of S videos in lockstep, each on its own examples, in place.

    Args:
        layers: Of S slots.
        momenta: Of the same S slots; zeros where SGD starts anew.
        examples: S of them.
        iterations: Steps of SGD.
        rate: Learning rate of fc4 and fc5.
    """
    descend(layers, momenta, [lesson(layers, e, iterations) for e in examples], rate)


def lesson(layers: Layers, examples: Examples, iterations: int) -> Lesson:
    """Draw what one video's training needs; on a GPU the masks of all iterations at once."""
    device = layers.w4.device
    easy, candidates = (
        uploaded(order[: iterations * count].reshape(iterations, count), device)
        for order, count in zip(
            _orders(
                examples.rng,
                (len(examples.positives), POSITIVES * iterations),
                (len(examples.negatives), CANDIDATES * iterations),
            ),
            (POSITIVES, CANDIDATES),
            strict=True,
        )
    )
    kept: Tensor | torch.Generator = examples.dropout
    if device.type != "cpu":
        width = layers.w5.shape[2] + layers.w6.shape[2]
        masks = torch.empty(iterations, POSITIVES + NEGATIVES, width, dtype=torch.uint8, device=device)
        kept = masks.bernoulli_(0.5, generator=examples.dropout)
    return Lesson(examples.positives, examples.negatives, easy, candidates, kept)


def descend(layers: Layers, momenta: Layers, lessons: Sequence[Lesson], rate: float) -> None:
    """Train as `train` does, in place; nothing is left to chance, but for masks that are not drawn yet."""
    for i in range(len(lessons[0].easy)):
        hard = _hardest(layers, lessons, [own.candidates[i] for own in lessons])
        easy = [own.positives.take(own.easy[i]) for own in lessons]
        x = torch.stack([torch.cat(pair) for pair in zip(easy, hard, strict=True)])
        masks = [_masks(own.kept, i, layers) for own in lessons]
        _step(
            layers, momenta, x, (torch.stack([m[0] for m in masks]), torch.stack([m[1] for m in masks])), rate
        )


def _orders(
    rng: np.random.RandomState, *pools: tuple[int, int]
) -> list[np.ndarray[tuple[int], np.dtype[np.int64]]]:
    """For each pool (size, wanted), random permutations of it end to end, at least as many as wanted.

    Every pool has its first permutation drawn before any has its second.
    """
    parts = [[rng.permutation(size)] for size, _ in pools]
    for part, (size, wanted) in zip(parts, pools, strict=True):
        part.extend(rng.permutation(size) for _ in range(-(-wanted // size) - 1))
    return [np.concatenate(part) for part in parts]


def _hardest(layers: Layers, lessons: Sequence[Lesson], candidates: Sequence[Tensor]) -> list[Tensor]:
    """For each slot, the candidates (of indices of its negatives) that look most like the target: (96, F)."""
    largest = max(len(e.negatives) for e in lessons)
    if largest <= CANDIDATES:
        # Fewer negatives than candidates: every negative is scored once, however often it stands among these.
        every = torch.stack([_at_least(e.negatives, largest) for e in lessons])
        logits = scores(layers, every)[..., TARGET]
        value = torch.stack([own[c] for own, c in zip(logits, candidates, strict=True)])
    else:
        chosen = torch.stack([e.negatives.take(c) for e, c in zip(lessons, candidates, strict=True)])
        value = scores(layers, chosen)[..., TARGET]
    hardest = value.topk(NEGATIVES, dim=1).indices
    return [e.negatives.take(c[h]) for e, c, h in zip(lessons, candidates, hardest, strict=True)]


def _at_least(rows: Rows, count: int) -> Tensor:
    """All the features of `rows`, with zeros appended up to a count: nothing refers to these."""
    features = rows.storage.index_select(0, rows.places)
    return torch.nn.functional.pad(features, (0, 0, 0, count - len(features)))


def _masks(kept: Tensor | torch.Generator, iteration: int, layers: Layers) -> tuple[Tensor, Tensor]:
    """Dropout masks in front of fc5 and of fc6 for one slot's positives and negatives, (128, width) each, of 0 and 2.

    Where they are drawn now: positives and negatives go through the authors' network one after the other, and so are
    their masks drawn.
    """
    widths = [layers.w5.shape[2], layers.w6.shape[2]]
    if isinstance(kept, Tensor):
        fc5, fc6 = torch.split(kept[iteration] * 2.0, widths, dim=1)
        return fc5, fc6
    parts = [
        [
            torch.empty(rows, width, device=layers.w4.device).bernoulli_(0.5, generator=kept)
            for width in widths
        ]
        for rows in (POSITIVES, NEGATIVES)
    ]
    fc5, fc6 = (torch.cat(pair).mul_(2) for pair in zip(*parts, strict=True))
    return fc5, fc6


def _step(layers: Layers, momenta: Layers, x: Tensor, masks: tuple[Tensor, Tensor], rate: float) -> None:
    """One step of SGD on the mean cross entropy of the examples x (S, 32 + 96, F), positives first."""
    count = POSITIVES + NEGATIVES
    # Forward. A mask of 0 and 2 and a ReLU have one joint derivative: the mask where the output is positive.
    h4 = linear(x, layers.w4, layers.b4).relu_().mul_(masks[0])
    h5 = linear(h4, layers.w5, layers.b5).relu_().mul_(masks[1])
    probability = linear(h5, layers.w6, layers.b6).softmax(-1)
    # Backward: d is the derivative of the loss by a layer's output.
    d6 = probability / count
    d6[:, :POSITIVES, TARGET] -= 1 / count
    d6[:, POSITIVES:, 1 - TARGET] -= 1 / count
    d5 = torch.where(h5 > 0, torch.bmm(d6, layers.w6).mul_(2), 0)
    d4 = torch.where(h4 > 0, torch.bmm(d5, layers.w5).mul_(2), 0)
    gradients: list[Tensor] = []
    for d, h in ((d4, x), (d5, h4), (d6, h5)):
        gradients += [torch.bmm(d.transpose(1, 2), h), d.sum(1)]
    norm = torch.stack([g.flatten(1).norm(dim=1) for g in gradients]).norm(dim=0)
    shrink = (LONGEST / (norm + 1e-6)).clamp(max=1)
    for i, (own, speed, g) in enumerate(zip(layers.tensors(), momenta.tensors(), gradients, strict=True)):
        g.mul_(shrink.view(-1, *[1] * (g.ndim - 1))).add_(own, alpha=DECAY)
        speed.mul_(MOMENTUM).add_(g)
        own.sub_(speed, alpha=rate * FC6 if i >= FIRST_OF_FC6 else rate)
