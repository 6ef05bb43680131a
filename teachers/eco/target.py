"""What every ECO is given: a colour image, a target in it, and a generator of the video's own."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from blake3 import blake3

from datasets.boxes import is_valid
from teachers.base import Box, Image, Task, TeacherError

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


def target_of(image: Image, box: Box, task: Task) -> Target:
    """Check a video's first box.

    Raises:
        TeacherError: If the box is not valid, lies outside the image, or is too thin.
    """
    x, y, w, h = (float(value) for value in box)
    shown = f"{task.name}: the target ({x:g}, {y:g}, {w:g}, {h:g})"
    if not bool(is_valid(box)):
        raise TeacherError(f"{shown} is not a box with a width and a height")
    height, width = image.shape[:2]
    if x >= width or y >= height or x + w <= 0 or y + h <= 0:
        raise TeacherError(f"{shown} lies outside the image of {width} x {height} pixels")
    if min(w, h) < 1 or max(w, h) / min(w, h) > THINNEST:
        raise TeacherError(
            f"{shown} is too thin for ECO: give at least one pixel each way, and at most {THINNEST} : 1"
        )
    return Target((y + (h - 1) / 2, x + (w - 1) / 2), (h, w))


def colour(image: Image | None, teacher: str) -> Image:
    """Check a frame: uint8 (H, W, 3), C-contiguous.

    Raises:
        ValueError: If it is not a colour image; the message names the teacher.
    """
    if image is None:
        raise ValueError(f"{teacher} needs images, not annotations alone")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"{teacher} needs colour images, uint8 (H, W, 3) in BGR order, not {image.dtype} {image.shape}; "
            "decode grey files with cv2.IMREAD_COLOR"
        )
    return np.ascontiguousarray(image)


def generator_of(seed: int, task: Task) -> np.random.Generator:
    """A video's own random numbers, a function of the seed and its name."""
    digest = blake3(f"{seed}/{task.name}".encode()).digest(length=8)
    return np.random.default_rng(int.from_bytes(digest, "little"))
