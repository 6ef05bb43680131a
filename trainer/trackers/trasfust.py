"""TRASFUST: the student as the judge of a pool of teachers (paper, Section 3.5)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from teachers.base import Box, Image, Task, Teacher, TeacherError
from teachers.pool import version_beside
from trainer.beside import Beside
from trainer.trackers.choice import GIVEN, Choice, Choices, check_names
from trainer.trackers.inference import Inference, View, checked_start
from trainer.trackers.memory import Memory


class TrasfustTracker(Choices):
    """At every frame the box of the teacher whose state has the highest value (Eq. 8).

    v_t^(t) = s_v(ρ(F_{t-1}, F_t, b_{t-1}^(t))) for all teachers in one call of the student, while the teachers track
    in threads beside it; they are never corrected. Every teacher's state has an LSTM memory of its own. At equal
    values (as in frame 1, where all states are one) the first teacher of the pool is taken.

    A teacher that fails is out for the rest of the video; the video fails when none is left.

    Args:
        inference: The student.
        teachers: The pool, by the names that `chosen` gives.

    Attributes:
        failed: Why teachers are out of the current video, by name.
    """

    version: int = 1
    needs_images: ClassVar[bool] = True

    def __init__(self, inference: Inference, teachers: Mapping[str, Teacher]) -> None:
        super().__init__()
        check_names(teachers)
        self._inference = inference
        self._beside = Beside(teachers)
        self.version = version_beside(self.version, teachers)
        self._before: Image | None = None
        self._boxes: dict[str, Box] = {}
        self._memories: dict[str, Memory] = {}

    @property
    def failed(self) -> dict[str, str]:
        """See the class."""
        return self._beside.failed

    @property
    def replays(self) -> bool:
        """See `Beside.replays`."""
        return self._beside.replays

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """See `Teacher.start`.

        Raises:
            TeacherError: If no teacher can start.
        """
        self._before = None
        first, own = checked_start(image, box, task)
        self._beside.start(first, own, task)
        if not self._beside.running:
            raise self._beside.complaint()
        self._before = first
        self._boxes = dict.fromkeys(self._beside.running, own)
        self._memories = {name: self._inference.begin() for name in self._boxes}
        self.choices = [Choice(GIVEN)]
        return own

    def track(self, image: Image | None) -> Box:
        """See `Teacher.track`.

        Raises:
            TeacherError: If no teacher is left.
        """
        if image is None or self._before is None:
            raise TeacherError("TRASFUST needs an image, and a video that was started")
        judged = self._beside.running
        views = [View(self._before, image, self._boxes[name]) for name in judged]
        self._beside.go(image)
        try:
            answers = self._inference.answer(views, [self._memories[name] for name in judged])
        finally:
            found = self._beside.boxes()
        if not found:
            raise self._beside.complaint()
        values = {name: answer.value for name, answer in zip(judged, answers, strict=True) if name in found}
        chosen = list(values)[int(np.argmax(list(values.values())))]
        self._before, self._boxes = image, found
        self.choices.append(Choice(chosen, values, found))
        return self._inference.clipped(found[chosen], image)
