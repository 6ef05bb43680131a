"""The teacher: checks what it is given, and hands boxes to and from the model.

Source: M. Danelljan, G. Bhat, F. S. Khan, M. Felsberg, "ECO: Efficient Convolution Operators for Tracking",
CVPR 2017, as pytracking runs it (`eco/default`), which differs from the paper: features of ResNet-18 and VGG-M, a
memory of 200 samples without mixture, each kind of features with a filter of its own, augmented samples in frame 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import ClassVar

from pydantic import FilePath

from teachers.base import Box, Image, Task, TeacherError
from teachers.devices import usable, use_threads
from teachers.eco.deep.beginning import Start
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.model import Model
from teachers.eco.deep.network import read
from teachers.eco.deep.patch import Division
from teachers.eco.deep.pose import Pose
from teachers.eco.deep.slots import Slots
from teachers.eco.deep.together.tracker import EcoDeepTogether
from teachers.eco.target import generator_of, target_of
from teachers.target import colour


class EcoDeep:
    """ECO on features of ResNet-18 and VGG-M, as pytracking's eco/default.

    It never reports failure, and its box may leave the image.

    Args:
        weights: pytracking's resnet18_vggmconv1.pth, or the same tensors as safetensors.
        dropout: Whether frame 0 gives seven more samples with a fifth of the channels left out at random.
        seed: Seed of these, with the video's name.
        division: "floor" cuts search regions as the published results' PyTorch did, "true" as today's does with
            the same code: of even size, they are then a pixel larger and half a pixel off.
        device: Where the network runs: "cpu", "cuda", "cuda:1" ... One video's filters are on the CPU, those of many
            videos at once are where the network is.
        threads: Threads of one network call on the CPU, for the whole process; 0 leaves PyTorch's setting alone.
        together: Whether many videos at once are stepped by operations on all of them (`EcoDeepTogether`) instead of
            one after the other (`EcoDeepBatch`). By default that is so on a GPU alone: on a CPU it is slower.

    Raises:
        DataError: If the checkpoint cannot be read or is another network's.
        TeacherConfigError: If there is no such device here, or `threads` is negative.
    """

    version: ClassVar[int] = Slots.version
    needs_images: ClassVar[bool] = True
    # Four on an H100 were not seen to gain anything (docs/benchmarks.md).
    workers_on_gpu: ClassVar[int] = 1

    def __init__(
        self,
        weights: FilePath,
        *,
        dropout: bool = True,
        seed: int = 0,
        division: Division = "floor",
        device: str = "cpu",
        threads: int = 0,
        together: bool | None = None,
    ) -> None:
        usable("eco-deep", device)
        use_threads("eco-deep", threads)
        self._extractor = Extractor(read(weights), device)
        self._dropout, self._seed, self._division = dropout, seed, division
        self._together = self._extractor.device.type == "cuda" if together is None else together
        self._model: Model | None = None

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
        self._model = Model(self._extractor, self._begin(image, box, task))
        return self._model.pose.target.box

    def track(self, image: Image | None) -> Box:
        """Return the target's box in the next frame.

        Raises:
            TeacherError: If no video was started, or the network's responses are not finite.
            ValueError: If the image is not a colour image.
        """
        if self._model is None:
            raise TeacherError("eco-deep: track() before start()")
        self._model.step(colour(image, "eco-deep"))
        return self._model.pose.target.box

    def batch(self, slots: int) -> EcoDeepBatch | EcoDeepTogether:
        """The same network and options for many videos at once."""
        kind = EcoDeepTogether if self._together else EcoDeepBatch
        return kind(self._extractor, self._begin, slots)

    def _begin(self, image: Image | None, box: Box, task: Task) -> Start:
        frame = colour(image, f"video {task.name}: eco-deep")
        target = target_of(frame, box, task, "eco-deep")
        pose = Pose((frame.shape[0], frame.shape[1]), target, self._division)
        return Start(frame, pose, generator_of(self._seed, task) if self._dropout else None)


class EcoDeepBatch(Slots):
    """A `BatchTeacher` whose slots are stepped one after the other; boxes are those of `EcoDeep` to the last bit.

    See `Slots` for the arguments.
    """

    def __init__(
        self, extractor: Extractor, begin: Callable[[Image | None, Box, Task], Start], slots: int
    ) -> None:
        super().__init__(extractor, begin, slots)
        self._models: dict[int, Model] = {}

    def step(self, images: Mapping[int, Image]) -> dict[int, Box | Exception]:
        """Track the next frame of each slot given, see `BatchTeacher.step`."""
        answers: dict[int, Box | Exception] = {}
        for slot, image in images.items():
            model = self._models[slot]
            try:
                model.step(image)
                answers[slot] = model.pose.target.box
            except TeacherError as error:
                answers[slot] = error
        return answers

    def release(self, slot: int) -> None:
        """Forget the video in a slot."""
        self._models.pop(slot, None)

    def _learn(self, slot: int, start: Start) -> None:
        self._models[slot] = Model(self._extractor, start)
