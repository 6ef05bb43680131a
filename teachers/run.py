"""One teacher on one video, measured: what a look at a tracker shows (see `teachers.film`)."""

from __future__ import annotations

import time
import traceback
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from datasets.boxes import overlap
from datasets.errors import DataError
from teachers.base import Task, TeacherError, checked_box
from teachers.third_party import FAULTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from datasets.single_video import SingleVideo
    from datasets.video import Video
    from teachers.base import Box, Image, Teacher


@dataclass
class Run:
    """What one teacher does on one video, frame by frame.

    Attributes:
        name: The teacher's name.
        shown: The video and its images.
        boxes: Of every frame so far.
        overlaps: IoU of every frame so far; 0 where the target is absent.
        seconds: Time in the teacher's own calls so far.
    """

    name: str
    shown: SingleVideo
    boxes: list[Box] = field(default_factory=list)
    overlaps: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def video(self) -> Video:
        """The video."""
        return self.shown.video

    def tracked(self, teacher: Teacher) -> Iterator[tuple[int, Image, Box]]:
        """Track the video and give each frame's number, image and box; its overlap is known by then.

        Raises:
            TeacherError: If the teacher cannot track it; whatever it raised itself is in a note.
            DataError: If there is no target in frame 0, or an image cannot be read.
        """
        truth = self.video.ground_truth
        if self.video.absent[0]:
            raise DataError(
                self.video.frames[0].parent if self.video.frames else self.video.name,
                f"there is no target in frame 0 (box {truth[0].tolist()})",
                "Try a video that begins with its target",
            )
        for t, image in enumerate(self.shown.images):
            box = self._box(teacher, image, t)
            self.boxes.append(box)
            self.overlaps.append(float(overlap(box, truth[t])) if not self.video.absent[t] else 0.0)
            yield t, image, box

    def _box(self, teacher: Teacher, image: Image, t: int) -> Box:
        given = image if teacher.needs_images else None
        began = time.perf_counter()
        try:
            if t == 0:
                task = Task(self.video.name, len(self.video))
                answer = teacher.start(given, self.video.ground_truth[0], task)
            else:
                answer = teacher.track(given)
        except (TeacherError, DataError):
            raise
        except FAULTS as error:  # a third party's tracker
            told = TeacherError(f"video {self.video.name}, frame {t}: {type(error).__name__}: {error}")
            told.add_note("".join(traceback.format_exception(error)).strip())
            raise told from error
        self.seconds += time.perf_counter() - began
        return checked_box(answer, f"{self.name}, video {self.video.name}, frame {t}")

    @property
    def counted(self) -> NDArray[np.float64]:
        """IoU of the frames t >= 1 so far that have the target, float64 (frames,)."""
        return np.asarray(self.overlaps)[1:][~self.video.absent[1 : len(self.overlaps)]]

    @property
    def ao(self) -> float | None:
        """The mean of `counted`, None if there are none."""
        return float(self.counted.mean()) if len(self.counted) else None

    @property
    def fps(self) -> float:
        """Frames per second of the teacher alone, without reading and drawing; 0 before the first."""
        return len(self.overlaps) / self.seconds if self.seconds else 0.0
