"""Teachers that run beside the student: at every frame each tracks in a thread of its own while the student looks.

Neither waits for the other within a frame: the student judges the boxes of the frame before (Section 3.5).
The kernels of the native teachers, of OpenCV and of PyTorch leave Python's lock to others, so threads do
overlap. Which thread is first changes nothing: a teacher sees its own calls only, in order. Trackers of others
(`teachers.adapted`), which may draw from Python's shared random generators, take turns; OpenCV's do so themselves.

What fails:

- A teacher that cannot track (any exception, `sys.exit`, or something that is not a box) is out for the rest of the
  video; the reason is kept in `failed`, and the others go on.
- A recording that is missing, of another length, or unreadable is no tracker's failure but the user's: the
  video fails, as it does for a recorded teacher alone.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext

import numpy as np

from datasets.errors import DataError
from teachers.adapted import Adapted
from teachers.base import Box, Image, NoRecordingError, Task, Teacher, TeacherError, checked_box
from teachers.third_party import FAULTS

_SHARED_GENERATORS = threading.Lock()


class Beside:
    """A pool of teachers on one video after the other.

    Args:
        teachers: By name; each an instance of its own.

    Attributes:
        failed: Why teachers are out of the current video, by name.

    Raises:
        ValueError: If there are none, or one instance has two names.
    """

    def __init__(self, teachers: Mapping[str, Teacher]) -> None:
        if not teachers:
            raise ValueError("there is no teacher: give at least one")
        if len({id(teacher) for teacher in teachers.values()}) < len(teachers):
            raise ValueError("one teacher has two names: it can track one video at a time")
        self._teachers = dict(teachers)
        self._threads = ThreadPoolExecutor(len(teachers), thread_name_prefix="teacher")
        self._pending: dict[str, Future[Box]] = {}
        self._where = ""
        self._frame = 0
        self.failed: dict[str, str] = {}

    @property
    def replays(self) -> bool:
        """Whether one of them replays boxes of an earlier run (`teachers.recorded`): then no time tells a speed."""
        return any(getattr(teacher, "replays", False) for teacher in self._teachers.values())

    @property
    def running(self) -> list[str]:
        """The teachers that have not failed on this video, in the pool's order."""
        return [name for name in self._teachers if name not in self.failed]

    def start(self, image: Image, box: Box, task: Task) -> dict[str, Box]:
        """Begin a video with every teacher.

        Returns:
            Each running teacher's box for frame 0.

        Raises:
            NoRecordingError: If a recorded teacher has no usable result for this video.
            DataError: If its file is malformed.
        """
        self._collect()
        self.failed = {}
        self._where, self._frame = f"video {task.name}", 0
        self._submit(lambda teacher: teacher.start(image if teacher.needs_images else None, box, task))
        return self.boxes()

    def go(self, image: Image) -> None:
        """Let every running teacher track the next frame; the answers are in `boxes`."""
        self._frame += 1
        self._submit(lambda teacher: teacher.track(image if teacher.needs_images else None))

    def boxes(self) -> dict[str, Box]:
        """Wait for the frame's boxes, by the names of the teachers that still run.

        Raises:
            NoRecordingError: See `start`.
            DataError: See `start`.
        """
        answers = self._collect()
        found: dict[str, Box] = {}
        for name, answer in answers.items():
            if isinstance(answer, NoRecordingError | DataError):
                raise answer
            if isinstance(answer, FAULTS):
                self.failed[name] = f"{type(answer).__name__}: {' '.join(str(answer).split())}"
            else:
                found[name] = answer
        return found

    def complaint(self) -> TeacherError:
        """The error of a video on which every teacher has failed."""
        reasons = "; ".join(f"{name}: {reason}" for name, reason in self.failed.items())
        return TeacherError(f"{self._where}, frame {self._frame}: no teacher is left ({reasons})")

    def _submit(self, call: Callable[[Teacher], Box]) -> None:
        for name in self.running:
            self._pending[name] = self._threads.submit(self._answer, name, call)

    def _collect(self) -> dict[str, Box | Exception | SystemExit]:
        """Wait for all that were asked, whatever they answer: a teacher is never left at work."""
        answers: dict[str, Box | Exception | SystemExit] = {}
        for name, future in self._pending.items():
            error = future.exception()
            if error is not None and not isinstance(error, FAULTS):
                raise error
            answers[name] = future.result() if error is None else error
        self._pending = {}
        return answers

    def _answer(self, name: str, call: Callable[[Teacher], Box]) -> Box:
        teacher = self._teachers[name]
        with _SHARED_GENERATORS if isinstance(teacher, Adapted) else nullcontext():
            answer = call(teacher)
        # A copy: what a teacher returns may be an array that it goes on writing to.
        return np.array(checked_box(answer, f"{self._where}, frame {self._frame}, teacher {name}"))
