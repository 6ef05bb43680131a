"""The teacher: checks what it is given, and hands boxes to and from the model.

Source: M. Danelljan, G. Bhat, F. S. Khan, M. Felsberg, "ECO: Efficient Convolution Operators for Tracking",
CVPR 2017, with the authors' hand-crafted features and settings for OTB.
"""

from __future__ import annotations

import math
from typing import ClassVar

import numpy as np
from pydantic import FilePath

from teachers.base import Box, Image, Task, TeacherError
from teachers.eco.features import Noise
from teachers.eco.model import Model
from teachers.eco.target import Target, generator_of, target_of
from teachers.features.colours import basic_colours, intensities, read_table
from teachers.options import TeacherConfigError
from teachers.target import colour


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
        TeacherConfigError: If an option has no meaning.
        DataError: If `colour_names` holds no such table.
    """

    version: ClassVar[int] = 1
    needs_images: ClassVar[bool] = True

    def __init__(self, *, colour_names: FilePath | None = None, noise: float = 0.0, seed: int = 0) -> None:
        if not (math.isfinite(noise) and 0 <= noise <= 1):
            raise TeacherConfigError(f"eco: noise = {noise}: give a share from 0 to 1")
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
        frame = colour(image, f"video {task.name}: eco")
        target = target_of(frame, box, task, "eco")
        grey = np.array_equal(frame[..., 1], frame[..., 2])
        table = intensities() if grey else self._colours
        self._model = Model(frame, target.centre, target.size, task.length, table, grey, self._noise_of(task))
        return self._box(self._model)

    def track(self, image: Image | None) -> Box:
        """Return the target's box in the next frame.

        Raises:
            TeacherError: If no video was started.
            ValueError: If the image is not a colour image.
        """
        if self._model is None:
            raise TeacherError("eco: track() before start()")
        self._model.step(colour(image, "eco"))
        return self._box(self._model)

    def _noise_of(self, task: Task) -> Noise | None:
        """The video's own generator."""
        if self._noise == 0:
            return None
        return Noise(self._noise, generator_of(self._seed, task))

    @staticmethod
    def _box(model: Model) -> Box:
        return Target(model.centre, model.size).box
