"""TRAS: the student alone (paper, Section 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from teachers.base import Box, Image, Task, TeacherError
from trainer.trackers.choice import GIVEN, STUDENT, Choice, Choices
from trainer.trackers.inference import Inference, View, checked_start
from trainer.trackers.memory import Memory


class TrasTracker(Choices):
    """b_t = ψ(s_π(s_t), b_{t-1}): one forward pass per frame.

    Both crops of a frame are new: the previous frame is cropped anew about the box found in it, so nothing
    of the last step can be used again.

    Args:
        inference: The student.
    """

    version: ClassVar[int] = 1
    needs_images: ClassVar[bool] = True

    def __init__(self, inference: Inference) -> None:
        super().__init__()
        self._inference = inference
        self._last: tuple[Image, Box, Memory] | None = None

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """See `Teacher.start`."""
        self._last = None
        first, own = checked_start(image, box, task)
        self._last = first, own, self._inference.begin()
        self.choices = [Choice(GIVEN)]
        return own

    def track(self, image: Image | None) -> Box:
        """See `Teacher.track`."""
        if image is None or self._last is None:
            raise TeacherError("TRAS needs an image, and a video that was started")
        before, box, memory = self._last
        (answer,) = self._inference.answer([View(before, image, box)], [memory])
        self._last = image, answer.box, memory
        self.choices.append(Choice(STUDENT, {STUDENT: answer.value}, {STUDENT: answer.box}))
        return answer.box


class TrasBatch:
    """TRAS on many videos at once, a `BatchTeacher`.

    Videos pass through the network in groups of one fixed size, the last group filled up. So a video's boxes
    depend neither on its neighbours nor on their number; from `TrasTracker`'s they differ by float32 rounding.

    Args:
        inference: The student.
        slots: How many videos at once.
        together: Videos of one network call, None for what pays on the device.
    """

    version: int = TrasTracker.version

    def __init__(self, inference: Inference, slots: int, together: int | None = None) -> None:
        if slots < 1 or (together is not None and together < 1):
            raise ValueError(f"slots = {slots}, together = {together}: both have to be at least 1")
        self.slots = slots
        self._inference = inference
        self._together = min(together or inference.pays_together, slots)
        self._last: dict[int, tuple[Image, Box, Memory]] = {}

    def start(self, slot: int, image: Image, box: Box, task: Task) -> Box:
        """Begin a video in a free slot, see `BatchTeacher.start`."""
        if not 0 <= slot < self.slots:
            raise ValueError(f"video {task.name}: there is no slot {slot}, there are {self.slots}")
        first, own = checked_start(image, box, task)
        self._last[slot] = first, own, self._inference.begin()
        return own

    def step(self, images: Mapping[int, Image]) -> dict[int, Box | Exception]:
        """Track the next frame of each slot given, see `BatchTeacher.step`."""
        slots = list(images)
        answers: dict[int, Box | Exception] = {}
        for begin in range(0, len(slots), self._together):
            group = slots[begin : begin + self._together]
            memories = [self._last[slot][2] for slot in group]
            views = [View(self._last[s][0], images[s], self._last[s][1]) for s in group]
            found = self._inference.answer(views, memories, at_least=self._together)
            for slot, memory, answer in zip(group, memories, found, strict=True):
                self._last[slot] = images[slot], answer.box, memory
                answers[slot] = answer.box
        return answers

    def release(self, slot: int) -> None:
        """Forget the video in a slot."""
        self._last.pop(slot, None)
