"""The protocol of a teacher: one video at a time (`Teacher`), or many in lockstep (`BatchTeacher`).

Boxes are (x, y, w, h) in pixels, 0-based, floats that nobody rounds. Images are uint8 (H, W, 3) in **BGR**
order, as OpenCV decodes them. A video's boxes are a function of (teacher, options, video) alone: they
depend neither on the video's neighbours in a batch, nor on the number of workers, nor on what ran before. A
teacher that draws random numbers seeds its generator from the video's name in `start`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import is_valid

if TYPE_CHECKING:
    from collections.abc import Mapping

Image = NDArray[np.uint8]
"""uint8 (H, W, 3), BGR."""

Box = NDArray[np.float32]
"""float32 (4,): (x, y, w, h), 0-based pixels."""


class TeacherError(RuntimeError):
    """A teacher cannot track this video: the video fails, the run goes on."""


class NoRecordingError(TeacherError):
    """A recorded teacher has no (usable) result for this video."""


def checked_box(box: object, where: str) -> Box:
    """Return what a teacher returned as a box: float32 (4,), finite, with a positive width and height.

    Args:
        box: An array or sequence of four numbers.
        where: Begins the message: "video Woman_01, frame 3".

    Raises:
        TeacherError: If it is anything else; the message holds the value.
    """
    try:
        # A number too large for float32 becomes infinite, and is refused below.
        with np.errstate(over="ignore"):
            values = np.asarray(box, dtype=np.float32)
    except (TypeError, ValueError) as error:
        raise TeacherError(f"{where}: the teacher returned {box!r}, not four numbers (x, y, w, h)") from error
    if values.shape != (4,):
        raise TeacherError(
            f"{where}: the teacher returned {box!r} of shape {values.shape}, not a box (x, y, w, h)"
        )
    if not is_valid(values):
        raise TeacherError(
            f"{where}: the teacher returned (x, y, w, h) = {tuple(values.tolist())}, "
            "which is not finite with a positive size"
        )
    return values


@dataclass(frozen=True)
class Task:
    """What a teacher may know of a video before its first frame.

    Attributes:
        name: The video's name, for results folders and random seeds.
        length: Number of frames; where it is not known, more than there can be.
    """

    name: str
    length: int


@runtime_checkable
class Teacher(Protocol):
    """Tracks one video at a time; an instance is used for many videos, one after the other.

    Attributes:
        needs_images: False for a teacher that never looks at an image; the caller then decodes none and
            passes None.
    """

    needs_images: ClassVar[bool]

    @property
    def version(self) -> int:
        """Raised whenever the teacher's boxes change, so that journals of earlier runs are not reused.

        An attribute of the class; of the instance as well where it depends on more than the code.
        """
        ...

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """Forget the previous video and learn the target of this one.

        Args:
            image: Frame 0.
            box: The target in frame 0.
            task: The video's name and length.

        Returns:
            The teacher's own box for frame 0, float32 (4,); usually `box` itself.

        Raises:
            TeacherError: If the target cannot be tracked (too small for the features, no result recorded).
        """
        ...

    def track(self, image: Image | None) -> Box:
        """Return the box in the next frame, float32 (4,). Any exception fails this video."""
        ...


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device had no memory left."""
    torch = sys.modules.get("torch")  # whoever has not loaded it cannot raise its errors
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


@runtime_checkable
class BatchTeacher(Protocol):
    """Tracks up to `slots` videos in lockstep: one call of a network serves them all.

    The caller starts a video in any free slot at any time, steps every busy slot at once, and frees a slot
    the moment its video ends or is abandoned. Where `start`, `step` or a slot's answer is a
    `torch.OutOfMemoryError`, the caller drops the teacher and begins again with one of fewer slots.

    It may have a method `prepare(image)` as well, whose result `start` and `step` take in place of the image: see
    `Preparing`.
    """

    version: ClassVar[int]
    slots: int

    def start(self, slot: int, image: Image, box: Box, task: Task) -> Box:
        """Begin a video in a free slot; the same contract as `Teacher.start`."""
        ...

    def step(self, images: Mapping[int, Image]) -> Mapping[int, Box | Exception]:
        """Track the next frame of each slot given; a slot that fails answers with its exception."""
        ...

    def release(self, slot: int) -> None:
        """Forget the video in a slot."""
        ...


@runtime_checkable
class Preparing(Protocol):
    """A `BatchTeacher` that wants something done with an image ahead of time, such as its way to a GPU."""

    def prepare(self, image: Image) -> object:
        """What `start` and `step` take instead of an image; where there was no time, they are handed the image itself.

        Called by several threads at once, those that decode, and before the image's turn. It depends on the image
        alone, and another teacher of the same network takes it as well.
        """
        ...

    def room(self, shape: tuple[int, ...]) -> Image:
        """An array (H, W, 3) that an image which will be prepared may be decoded into; for several threads at once."""
        ...


@runtime_checkable
class Batchable(Protocol):
    """A `Teacher` that can be had for many videos at once."""

    def batch(self, slots: int) -> BatchTeacher:
        """The same network and options for up to so many videos."""
        ...
