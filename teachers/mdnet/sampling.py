"""Candidate boxes around a target, drawn as the authors' Python code draws them (notes: mdnet.md, 3).

Every draw is one vectorised call of a legacy NumPy generator in a fixed order, because that order is what makes a track
reproducible. Arrays are float32 and each step is rounded to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from datasets.boxes import Boxes, overlap

MARGIN = 10
"""A sample is at least this wide and high, and at most as wide and high as the image less this."""


@dataclass(frozen=True)
class Spread:
    """How far samples lie from the target.

    Attributes:
        trans: Largest shift of the centre, in units of the mean of the target's width and height.
        scale: Largest factor of the size (and its inverse the smallest).
        aspect: Largest factor of width and of height on their own; None leaves the aspect ratio alone.
    """

    trans: float
    scale: float
    aspect: float | None = None


class Sampler:
    """Draws boxes in one image size with one generator.

    Args:
        rng: The video's own generator.
        image_size: (width, height) in pixels.
    """

    def __init__(self, rng: np.random.RandomState, image_size: tuple[int, int]) -> None:
        self.rng = rng
        self.image_size = np.array(image_size, np.float64)

    def gaussian(self, target: Boxes, n: int, spread: Spread) -> Boxes:
        """Boxes whose centre and size are normally distributed (cut at two sigma) around the target's.

        Args:
            target: float32 (4,), (x, y, w, h).
            n: How many.
            spread: Limits.

        Returns:
            float32 (n, 4).
        """
        boxes = self._tiled(target, n, spread.aspect)
        boxes[:, :2] += spread.trans * _mean_size(target) * np.clip(0.5 * self.rng.randn(n, 2), -1, 1)
        boxes[:, 2:] *= spread.scale ** np.clip(0.5 * self.rng.randn(n, 1), -1, 1)
        return self._placed(boxes)

    def uniform(self, target: Boxes, n: int, spread: Spread) -> Boxes:
        """Boxes whose centre and logarithm of size are uniformly distributed around the target's."""
        boxes = self._tiled(target, n, spread.aspect)
        boxes[:, :2] += spread.trans * _mean_size(target) * (self.rng.rand(n, 2) * 2 - 1)
        boxes[:, 2:] *= spread.scale ** (self.rng.rand(n, 1) * 2 - 1)
        return self._placed(boxes)

    def whole(self, target: Boxes, n: int) -> Boxes:
        """Boxes of the target's size at random places of a grid over the whole image."""
        boxes = self._tiled(target, n, None)
        side = int(2 * np.sqrt(n))
        steps = np.linspace(0, 1, side)
        grid = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(-1, 2)
        places = grid[self.rng.permutation(len(grid))[:n]]
        boxes[:, :2] = boxes[:, 2:] / 2 + places * (self.image_size - boxes[:, 2:] / 2 - 1)
        self.rng.rand(n, 1)  # the size's draw, which a scale of 1 leaves without effect
        return self._placed(boxes)

    def gaussian_within(self, target: Boxes, n: int, spread: Spread, overlaps: tuple[float, float]) -> Boxes:
        """At most n boxes of `gaussian` whose IoU with the target lies in a closed range."""
        return _accepted(lambda m: self.gaussian(target, m, spread), target, n, overlaps)

    def uniform_within(self, target: Boxes, n: int, spread: Spread, overlaps: tuple[float, float]) -> Boxes:
        """At most n boxes of `uniform` whose IoU with the target lies in a closed range."""
        return _accepted(lambda m: self.uniform(target, m, spread), target, n, overlaps)

    def whole_within(self, target: Boxes, n: int, overlaps: tuple[float, float]) -> Boxes:
        """At most n boxes of `whole` whose IoU with the target lies in a closed range."""
        return _accepted(lambda m: self.whole(target, m), target, n, overlaps)

    def _tiled(self, target: Boxes, n: int, aspect: float | None) -> Boxes:
        """The target n times as (centre x, centre y, w, h), with its aspect ratio varied if asked for."""
        t = np.asarray(target, np.float32)
        boxes = np.tile(np.array([t[0] + t[2] / 2, t[1] + t[3] / 2, t[2], t[3]], np.float32), (n, 1))
        if aspect is not None:
            boxes[:, 2:] *= aspect ** (self.rng.rand(n, 2) * 2 - 1)
        return boxes

    def _placed(self, boxes: Boxes) -> Boxes:
        """Keep sizes within limits and centres within the image; centre form to top-left form, in place."""
        boxes[:, 2:] = np.clip(boxes[:, 2:], MARGIN, self.image_size - MARGIN)
        boxes[:, :2] = np.clip(boxes[:, :2], 0, self.image_size)
        boxes[:, :2] -= boxes[:, 2:] / 2
        return boxes


def _mean_size(target: Boxes) -> np.float32:
    return np.float32(np.mean(np.asarray(target, np.float32)[2:]))


def _accepted(draw: Callable[[int], Boxes], target: Boxes, n: int, overlaps: tuple[float, float]) -> Boxes:
    """Draw 2, 4 and 8 times as many as still lack, and keep the first that lie in the range: n, or fewer."""
    low, high = overlaps
    kept: list[Boxes] = []
    lacking = n
    for factor in (2, 4, 8):
        if lacking <= 0:
            break
        boxes = draw(lacking * factor)
        iou = overlap(boxes, target)
        chosen = boxes[(iou >= low) & (iou <= high)][:lacking]
        kept.append(chosen)
        lacking -= len(chosen)
    return np.concatenate(kept) if kept else np.empty((0, 4), np.float32)
