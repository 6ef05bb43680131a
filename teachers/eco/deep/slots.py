"""What both ways of tracking many videos with deep ECO have in common: their slots."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar

from teachers.base import Box, Image, Task
from teachers.eco.deep.beginning import Start
from teachers.eco.deep.extractor import Extractor


class Slots(ABC):
    """A `BatchTeacher` but for `step` and `release`.

    Args:
        extractor: The network.
        begin: Checks a target in frame 0.
        slots: How many videos at once.
    """

    version: ClassVar[int] = 1

    def __init__(
        self, extractor: Extractor, begin: Callable[[Image | None, Box, Task], Start], slots: int
    ) -> None:
        if slots < 1:
            raise ValueError(f"slots = {slots}: there has to be at least one")
        self.slots = slots
        self._extractor, self._begin = extractor, begin

    def start(self, slot: int, image: Image, box: Box, task: Task) -> Box:
        """Begin a video in a free slot, see `BatchTeacher.start`."""
        if not 0 <= slot < self.slots:
            raise ValueError(f"video {task.name}: there is no slot {slot}, there are {self.slots}")
        start = self._begin(image, box, task)
        self._learn(slot, start)
        return start.pose.target.box

    @abstractmethod
    def _learn(self, slot: int, start: Start) -> None:
        """Learn a slot's target."""
