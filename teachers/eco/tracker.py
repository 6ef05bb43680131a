"""The teacher: checks what it is given, and hands boxes to and from the model.

Source: M. Danelljan, G. Bhat, F. S. Khan, M. Felsberg, "ECO: Efficient Convolution Operators for Tracking",
CVPR 2017, with the authors' hand-crafted features and settings for OTB.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from blake3 import blake3
from pydantic import FilePath

from datasets.boxes import is_valid
from teachers.base import Box, Image, Task, TeacherError
from teachers.eco.features import Noise
from teachers.eco.model import Model
from teachers.features.colours import basic_colours, intensities, read_table

THINNEST = 100
"""Longest to shortest side of a target; a thinner one has no whole pixel in the search region."""


class Eco:
    """ECO with HOG and colour features: factorised convolution, sample space, scale filter; no weights.

    It never reports failure, and its box may leave the image. A video whose first frame has equal red and
    green channels is tracked as grey.

    Args:
        colour_names: A table of colour attributes to use in place of the eleven basic colours:
            32768 rows of 3 to 16 numbers, in a .npy, .mat or text file.
        noise: Standard deviation of a relative noise on HOG's values. A tracker that learns from its own boxes
            is chaotic; a noise of 0.001 shows how much of a score is chance.
        seed: Seed of that noise, with the video's name.

    Raises:
        ValueError: If an option has no meaning.
        DataError: If `colour_names` holds no such table.
    """

    version: ClassVar[int] = 1
    needs_images: ClassVar[bool] = True

    def __init__(self, *, colour_names: FilePath | None = None, noise: float = 0.0, seed: int = 0) -> None:
        if not (math.isfinite(noise) and 0 <= noise <= 1):
            raise ValueError(f"eco: noise is {noise}; give a share from 0 to 1")
        self._noise, self._seed = noise, seed
        self._colours = basic_colours() if colour_names is None else read_table(colour_names)
        self._model: Model | None = None

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Learn the target of a video's first frame.

        Args:
            image: Frame 0.
            box: The target, (x, y, w, h), 0-based.
            task: The video's name and length.

        Returns:
            The box given, with its scale brought within the tracker's limits.

        Raises:
            TeacherError: If the box is not valid, lies outside the image, or is too thin.
            ValueError: If the image is not a colour image.
        """
        self._model = None
        frame = _colour(image)
        x, y, w, h = (float(value) for value in box)
        shown = f"{task.name}: the target ({x:g}, {y:g}, {w:g}, {h:g})"
        if not bool(is_valid(box)):
            raise TeacherError(f"{shown} is not a box with a width and a height")
        height, width = frame.shape[:2]
        if x >= width or y >= height or x + w <= 0 or y + h <= 0:
            raise TeacherError(f"{shown} lies outside the image of {width} x {height} pixels")
        if min(w, h) < 1 or max(w, h) / min(w, h) > THINNEST:
            raise TeacherError(
                f"{shown} is too thin for ECO: give at least one pixel each way, and at most {THINNEST} : 1"
            )
        grey = np.array_equal(frame[..., 1], frame[..., 2])
        table = intensities() if grey else self._colours
        centre = (y + (h - 1) / 2, x + (w - 1) / 2)
        self._model = Model(frame, centre, (h, w), task.length, table, grey, self._noise_of(task))
        return self._box(self._model)

    def track(self, image: Image | None) -> Box:
        """Return the target's box in the next frame.

        Raises:
            TeacherError: If no video was started.
            ValueError: If the image is not a colour image.
        """
        if self._model is None:
            raise TeacherError("eco: track() before start()")
        self._model.step(_colour(image))
        return self._box(self._model)

    def _noise_of(self, task: Task) -> Noise | None:
        """The video's own generator."""
        if self._noise == 0:
            return None
        digest = blake3(f"{self._seed}/{task.name}".encode()).digest(length=8)
        return Noise(self._noise, np.random.default_rng(int.from_bytes(digest, "little")))

    @staticmethod
    def _box(model: Model) -> Box:
        """The target's box, 0-based."""
        (row, column), (h, w) = model.centre, model.size
        return np.array([column - (w - 1) / 2, row - (h - 1) / 2, w, h], dtype=np.float32)


def _colour(image: Image | None) -> Image:
    """Check a frame: uint8 (H, W, 3), C-contiguous."""
    if image is None:
        raise ValueError("eco needs images, not annotations alone")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise ValueError(
            f"eco needs colour images, uint8 (H, W, 3) in BGR order, not {image.dtype} {image.shape}; "
            "decode grey files with cv2.IMREAD_COLOR"
        )
    return np.ascontiguousarray(image)
