"""The teacher: checks what it is given, and hands boxes to and from the model.

Source: M. Danelljan, G. Bhat, F. S. Khan, M. Felsberg, "ECO: Efficient Convolution Operators for Tracking",
CVPR 2017, as pytracking runs it (`eco/default`), which differs from the paper: features of ResNet-18 and VGG-M, a
memory of 200 samples without mixture, each kind of features with a filter of its own, augmented samples in frame 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

import torch
from pydantic import FilePath

from teachers.base import Box, Image, Task, TeacherError
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.model import Model
from teachers.eco.deep.network import read
from teachers.eco.deep.patch import Division
from teachers.eco.target import colour, generator_of, target_of
from teachers.options import TeacherConfigError

_MOST = 16
"""Videos that one call on a GPU takes: their 80 regions fill it, and take 4 GB."""


class EcoDeep:
    """ECO on features of ResNet-18 and VGG-M, as pytracking's eco/default.

    It never reports failure, and its box may leave the image.

    Args:
        weights: pytracking's resnet18_vggmconv1.pth, or the same tensors as safetensors.
        dropout: Whether frame 0 gives seven more samples with a fifth of the channels left out at random.
        seed: Seed of these, with the video's name.
        division: "floor" cuts search regions as the published results' PyTorch did, "true" as today's does with
            the same code: of even size, they are then a pixel larger and half a pixel off.
        device: Where the network runs: "cpu", "cuda", "cuda:1" ...; what is learned stays on the CPU.
        threads: Threads of one network call on the CPU, for the whole process; 0 leaves PyTorch's setting alone.

    Raises:
        DataError: If the checkpoint cannot be read or is another network's.
        TeacherConfigError: If there is no such device here.
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
        device: str = "cpu",
        threads: int = 0,
    ) -> None:
        try:
            torch.empty(0, device=device)
        except (RuntimeError, AssertionError) as error:
            reason = str(error).partition("\n")[0]
            raise TeacherConfigError(
                f"eco-deep: device = {device!r} cannot be used here: {reason}"
            ) from error
        if threads:
            torch.set_num_threads(threads)
        self._extractor = Extractor(read(weights), device)
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
        self._model = self._begin(image, box, task)
        return self._model.target.box

    def track(self, image: Image | None) -> Box:
        """Return the target's box in the next frame.

        Raises:
            TeacherError: If no video was started, or the network's responses are not finite.
            ValueError: If the image is not a colour image.
        """
        if self._model is None:
            raise TeacherError("eco-deep: track() before start()")
        self._model.step(colour(image, "eco-deep"))
        return self._model.target.box

    def batch(self, slots: int) -> EcoDeepBatch:
        """The same network and options for many videos at once."""
        return EcoDeepBatch(self._extractor, self._begin, slots)

    def _begin(self, image: Image | None, box: Box, task: Task) -> Model:
        frame = colour(image, "eco-deep")
        target = target_of(frame, box, task)
        generator = generator_of(self._seed, task) if self._dropout else None
        return Model(self._extractor, frame, target, self._division, generator)


class EcoDeepBatch:
    """A `BatchTeacher`: up to `slots` videos, whose search regions go through the network in one call.

    That pays on a GPU; on a CPU each video's go through alone, and its boxes are those of `EcoDeep` to the last bit.

    Args:
        extractor: The network.
        begin: Learns a target in frame 0.
        slots: How many videos at once.
        together: Videos that one network call takes at most; None for what suits the device.
    """

    version: ClassVar[int] = EcoDeep.version

    def __init__(
        self,
        extractor: Extractor,
        begin: Callable[[Image | None, Box, Task], Model],
        slots: int,
        together: int | None = None,
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots = {slots}: there has to be at least one")
        self.slots = slots
        self._extractor, self._begin = extractor, begin
        self._together = together or (1 if extractor.device.type == "cpu" else _MOST)
        self._models: dict[int, Model] = {}

    def start(self, slot: int, image: Image, box: Box, task: Task) -> Box:
        """Begin a video in a free slot, see `BatchTeacher.start`."""
        if not 0 <= slot < self.slots:
            raise ValueError(f"video {task.name}: there is no slot {slot}, there are {self.slots}")
        self._models[slot] = self._begin(image, box, task)
        return self._models[slot].target.box

    def step(self, images: Mapping[int, Image]) -> dict[int, Box | Exception]:
        """Track the next frame of each slot given, see `BatchTeacher.step`."""
        answers: dict[int, Box | Exception] = {}
        # Regions of one call have the same side.
        for side in sorted({self._models[slot].side for slot in images}):
            slots = [slot for slot in images if self._models[slot].side == side]
            for begin in range(0, len(slots), self._together):
                answers |= self._step({slot: images[slot] for slot in slots[begin : begin + self._together]})
        return {slot: answers[slot] for slot in images}

    def release(self, slot: int) -> None:
        """Forget the video in a slot."""
        self._models.pop(slot, None)

    def _step(self, images: Mapping[int, Image]) -> dict[int, Box | Exception]:
        """One network call."""
        answers: dict[int, Box | Exception] = {}
        regions = [r for slot, image in images.items() for r in self._models[slot].regions(image)]
        with torch.inference_mode():
            shallow, deep = self._extractor(regions)
        count = len(regions) // len(images)
        for number, (slot, image) in enumerate(images.items()):
            own = slice(number * count, (number + 1) * count)
            try:
                self._models[slot].update(image, (shallow[own], deep[own]))
                answers[slot] = self._models[slot].target.box
            except TeacherError as error:
                answers[slot] = error
        return answers
