"""What MDNet is trained on: one domain per video, and from each the patches of targets and of their surroundings.

Everything is a function of (seed, number), never of what was drawn before, so a training can be resumed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from datasets.boxes import Boxes
from teachers.mdnet import regression
from teachers.mdnet.crop import crop
from teachers.mdnet.sampling import Sampler, Spread
from teachers.training.clips import clip

FRAMES = 8
"""Frames that an iteration draws its patches from."""

POSITIVES, NEGATIVES = 32, 96
"""Patches of an iteration."""

IS_TARGET, IS_BACKGROUND = (0.7, 1.0), (0.0, 0.5)
"""IoU of positives and of negatives with the target."""

AROUND, REGRESSED = Spread(0.1, 1.3), Spread(0.3, 1.6, 1.1)
"""Of the two halves of the positives: what the tracker draws online, and for its bounding-box regression."""

BESIDE, FARTHER = Spread(1.0, 1.6), Spread(2.0, 1.3)
"""Of the two halves of the negatives: what the tracker draws in frame 0, and later."""

SMALLEST = 8
"""Sides in pixels of the smallest target that is learnt from."""


@dataclass(frozen=True)
class Domain:
    """One video.

    Attributes:
        images: uint8 (T, H, W, 3), RGB.
        boxes: float32 (T, 4), the target in each; every frame has it.
    """

    images: NDArray[np.uint8]
    boxes: Boxes


@dataclass(frozen=True)
class Minibatch:
    """Patches of some frames of one domain.

    First come `POSITIVES` of the target, then `NEGATIVES` of what is around it, each part in the order of the frames.

    Attributes:
        patches: uint8 (POSITIVES + NEGATIVES, 107, 107, 3), RGB.
        shifts: float32 (POSITIVES, 4), what corrects each positive's box to the target's (`regression.shifts`).
    """

    patches: NDArray[np.uint8]
    shifts: NDArray[np.float32]


def generator(seed: int, purpose: str) -> np.random.RandomState:
    """Random numbers of one purpose, which no other draw moves; the kind that `Sampler` takes."""
    return np.random.RandomState(
        np.frombuffer(blake3(f"{seed}/mdnet/{purpose}".encode()).digest(16), np.uint32)
    )


def draw_domain(seed: int, index: int, length: int) -> Domain:
    """Draw video `index`, `length` frames of it without those in which next to nothing of the target is left."""
    drawn = clip(seed, index, length)
    seen = drawn.boxes[:, 2:].min(axis=1) >= SMALLEST
    seen = seen if seen.any() else ~seen
    return Domain(np.ascontiguousarray(drawn.images[seen][..., ::-1]), drawn.boxes[seen])


def order(seed: int, iteration: int, domains: int) -> int:
    """Which domain an iteration takes: every cycle visits each of them once, in an order of its own."""
    cycle, place = divmod(iteration, domains)
    return int(generator(seed, f"cycle/{cycle}").permutation(domains)[place])


def minibatch(domain: Domain, rng: np.random.RandomState) -> Minibatch:
    """Draw one; half of all are mirrored."""
    count, height, width = domain.images.shape[:3]
    frames = np.sort(rng.permutation(count)[:FRAMES])
    positives, negatives, shifts = [], [], []
    for share, frame in enumerate(frames):
        sampler, box, image = Sampler(rng, (width, height)), domain.boxes[frame], domain.images[frame]
        wanted = [_part(total, share, len(frames)) for total in (POSITIVES, NEGATIVES)]
        halves = [(n // 2, n - n // 2) for n in wanted]
        near = np.concatenate(
            [
                sampler.gaussian_within(box, halves[0][0], AROUND, IS_TARGET),
                sampler.uniform_within(box, halves[0][1], REGRESSED, IS_TARGET),
            ]
        )
        far = np.concatenate(
            [
                sampler.uniform_within(box, halves[1][0], BESIDE, IS_BACKGROUND),
                sampler.uniform_within(box, halves[1][1], FARTHER, IS_BACKGROUND),
            ]
        )
        # A target that fills its image leaves fewer places than wanted: they come several times.
        near = _repeated(near, box, wanted[0])
        far = _repeated(far, sampler.whole(box, 1)[0], wanted[1])
        positives.append(crop(image, near))
        negatives.append(crop(image, far))
        shifts.append(regression.shifts(near, box))
    patches, corrections = np.concatenate([*positives, *negatives]), np.concatenate(shifts)
    if rng.rand() < 0.5:
        return Minibatch(
            np.ascontiguousarray(patches[:, :, ::-1]), corrections * np.array([-1, 1, 1, 1], np.float32)
        )
    return Minibatch(patches, corrections)


def roles() -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """What the patches of every minibatch are.

    Returns:
        float32, 1 where one shows the target, else 0; and bool, whether it is of the earlier half of the frames.
    """
    target = np.concatenate([np.ones(POSITIVES, np.float32), np.zeros(NEGATIVES, np.float32)])
    earlier = np.concatenate([np.arange(n) < n // 2 for n in (POSITIVES, NEGATIVES)])
    return target, earlier


def _part(total: int, share: int, shares: int) -> int:
    """How many of a total one of several nearly equal shares holds."""
    return total * (share + 1) // shares - total * share // shares


def _repeated(boxes: Boxes, otherwise: Boxes, count: int) -> Boxes:
    """Exactly `count` of the boxes, again from the first where they end; copies of one other where there is none."""
    found = boxes if len(boxes) else otherwise[None]
    return found[np.arange(count) % len(found)]
