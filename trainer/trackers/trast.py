"""TRAST: the student, corrected by a teacher wherever it expects more of the teacher's box (paper, Section 3.5)."""

from __future__ import annotations

from typing import ClassVar

from teachers.base import Box, Image, Task, Teacher, TeacherError
from teachers.pool import version_beside
from trainer.beside import Beside
from trainer.trackers.choice import GIVEN, STUDENT, Choice, Choices, check_names
from trainer.trackers.inference import Inference, View, checked_start
from trainer.trackers.memory import Memory


class TrastTracker(Choices):
    """At every frame the student judges its own state and the teacher's; the better expectation gives the box.

    v_t = s_v(ρ(F_{t-1}, F_t, b_{t-1})) against v_t^(t) = s_v(ρ(F_{t-1}, F_t, b_{t-1}^(t))): the student's own box
    where v_t ≥ v_t^(t), else the teacher's, which then is b_t for the student as well. The teacher is never
    corrected. Each of the two states has an LSTM memory of its own, both of which return to their first states
    (`Memory`); the student's own goes on where the teacher's box was given. The teacher's state is made around
    its box as it gave it, only the output is clipped. The teacher tracks in a thread beside the student.

    Where the teacher fails, the student goes on alone for the rest of the video.

    Args:
        inference: The student.
        name: What `chosen` calls the teacher.
        teacher: Any.

    Attributes:
        failed: Why the teacher is out of the current video, by its name; empty while it runs.
    """

    version: int = 1
    needs_images: ClassVar[bool] = True

    def __init__(self, inference: Inference, name: str, teacher: Teacher) -> None:
        super().__init__()
        check_names([name])
        self._inference = inference
        self._name = name
        self._beside = Beside({name: teacher})
        self.version = version_beside(self.version, {name: teacher})
        self._before: Image | None = None
        self._box: Box | None = None
        self._teacher_box: Box | None = None
        self._memory: Memory = inference.begin()
        self._teacher_memory: Memory = inference.begin()

    @property
    def failed(self) -> dict[str, str]:
        """See the class."""
        return self._beside.failed

    @property
    def replays(self) -> bool:
        """See `Beside.replays`."""
        return self._beside.replays

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        """See `Teacher.start`; a teacher that cannot start is out (see `trainer.beside`)."""
        self._before = None
        first, own = checked_start(image, box, task)
        self._beside.start(first, own, task)
        self._before, self._box, self._teacher_box = first, own, own
        self._memory, self._teacher_memory = self._inference.begin(), self._inference.begin()
        self.choices = [Choice(GIVEN)]
        return own

    def track(self, image: Image | None) -> Box:
        """See `Teacher.track`."""
        if image is None or self._before is None or self._box is None or self._teacher_box is None:
            raise TeacherError("TRAST needs an image, and a video that was started")
        views, memories = [View(self._before, image, self._box)], [self._memory]
        if self._beside.running:
            views.append(View(self._before, image, self._teacher_box))
            memories.append(self._teacher_memory)
        self._beside.go(image)
        try:
            own, *judged = self._inference.answer(views, memories)
        finally:
            found = self._beside.boxes()
        values, boxes, chosen = {STUDENT: own.value}, {STUDENT: own.box}, STUDENT
        if self._name in found:
            values[self._name], boxes[self._name] = judged[0].value, found[self._name]
            self._teacher_box = found[self._name]
            if own.value < judged[0].value:
                chosen = self._name
        self._before = image
        self._box = own.box if chosen == STUDENT else self._inference.clipped(boxes[chosen], image)
        self.choices.append(Choice(chosen, values, boxes))
        return self._box
