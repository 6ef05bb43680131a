"""The teacher: checks what it is given, and hands boxes to and from the model.

Source: M. Danelljan, G. Bhat, F. S. Khan, M. Felsberg, "ECO: Efficient Convolution Operators for Tracking",
CVPR 2017, as pytracking runs it (`eco/default`), which differs from the paper: features of ResNet-18 and VGG-M, a
memory of 200 samples without mixture, each kind of features with a filter of its own, augmented samples in frame 0.
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import FilePath

from teachers.base import Box, Image, Task, TeacherError
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.model import Model
from teachers.eco.deep.network import read
from teachers.eco.deep.patch import Division
from teachers.eco.target import colour, generator_of, target_of


class EcoDeep:
    """ECO on features of ResNet-18 and VGG-M, as pytracking's eco/default.

    It never reports failure, and its box may leave the image.

    Args:
        weights: pytracking's resnet18_vggmconv1.pth, or the same tensors as safetensors.
        dropout: Whether frame 0 gives seven more samples with a fifth of the channels left out at random.
        seed: Seed of these, with the video's name.
        division: "floor" cuts search regions as the published results' PyTorch did, "true" as today's does with
            the same code: of even size, they are then a pixel larger and half a pixel off.
        threads: Threads of one network call, for the whole process; 0 leaves PyTorch's setting alone.

    Raises:
        DataError: If the checkpoint cannot be read or is another network's.
    """

    version: ClassVar[int] = 1
    needs_images: ClassVar[bool] = True

    def __init__(
        self,
        weights: FilePath,
        *,
        dropout: bool = True,
        seed: int = 0,
        division: Division = "floor",
        threads: int = 0,
    ) -> None:
        if threads:
            torch.set_num_threads(threads)
        self._extractor = Extractor(read(weights))
        self._dropout, self._seed, self._division = dropout, seed, division
        self._model: Model | None = None

    @property
    def score(self) -> float:
        """The highest response in the latest frame; 1 before the first."""
        return 1.0 if self._model is None else self._model.score

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Learn the target of a video's first frame.

        Args:
            image: Frame 0.
            box: The target, (x, y, w, h), 0-based.
            task: The video's name and length.

        Returns:
            The box given.

        Raises:
            TeacherError: If the box is not valid, lies outside the image, or is too thin.
            ValueError: If the image is not a colour image.
        """
        self._model = None
        frame = colour(image, "eco-deep")
        target = target_of(frame, box, task)
        generator = generator_of(self._seed, task) if self._dropout else None
        self._model = Model(self._extractor, frame, target, self._division, generator)
        return target.box

    def track(self, image: Image | None) -> Box:
        """Return the target's box in the next frame.

        Raises:
            TeacherError: If no video was started.
            ValueError: If the image is not a colour image.
        """
        if self._model is None:
            raise TeacherError("eco-deep: track() before start()")
        self._model.step(colour(image, "eco-deep"))
        return self._model.target.box
