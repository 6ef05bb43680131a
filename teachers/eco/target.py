"""What every ECO is given: a target in an image, and a generator of the video's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from blake3 import blake3

from teachers.base import Box, Image, Task
from teachers.target import checked_target, refusal

THINNEST = 100
"""Longest to shortest side of a target; a thinner one has no whole pixel in the search region."""


@dataclass(frozen=True)
class Target:
    """A target in an image.

    Attributes:
        centre: Row and column, 0-based: the middle of pixel i is i.
        size: Height and width in pixels.
    """

    centre: tuple[float, float]
    size: tuple[float, float]

    @property
    def box(self) -> Box:
        """(x, y, w, h), 0-based, float32 (4,)."""
        (row, column), (h, w) = self.centre, self.size
        return np.array([column - (w - 1) / 2, row - (h - 1) / 2, w, h], dtype=np.float32)


def target_of(image: Image, box: Box, task: Task, teacher: str) -> Target:
    """Check a video's first box, see `checked_target` for the arguments.

    Raises:
        TeacherError: If the box is not valid, lies outside the image, or is too thin.
    """
    x, y, w, h = checked_target(image, box, task, teacher)
    if min(w, h) < 1 or max(w, h) / min(w, h) > THINNEST:
        why = f"it is too thin; give at least one pixel each way, and at most {THINNEST} : 1"
        raise refusal(image, box, task, teacher, why)
    return Target((y + (h - 1) / 2, x + (w - 1) / 2), (h, w))


def generator_of(seed: int, task: Task) -> np.random.Generator:
    """A video's own random numbers, a function of the seed and its name."""
    digest = blake3(f"{seed}/{task.name}".encode()).digest(length=8)
    return np.random.default_rng(int.from_bytes(digest, "little"))
