"""How well a teacher does on real or procedural videos: overlap, success, precision, frames per second."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import centres, overlap
from datasets.images import read_image
from teachers.base import Task

if TYPE_CHECKING:
    from collections.abc import Iterable

    from datasets.video import Video
    from teachers.base import Teacher

THRESHOLDS = np.linspace(0, 1, 21)
"""Of OTB's success score."""


@dataclass(frozen=True)
class Score:
    """One video's, or the mean of many.

    Attributes:
        overlap: Mean IoU of the frames t >= 1 with the target present (GOT-10k's AO).
        success: Mean share of all such frames, the first one too, with IoU above each of 21 thresholds (OTB).
        precision: Share of them whose centre is within 20 pixels (OTB).
        fps: Frames per second of the tracker alone.
    """

    overlap: float
    success: float
    precision: float
    fps: float


def score(teacher: Teacher, video: Video) -> Score:
    """Track a whole video from its first frame.

    Raises:
        TeacherError: If the teacher cannot track it.
        DataError: If an image cannot be read.
    """
    boxes, seconds = np.empty((len(video), 4), np.float32), 0.0
    for t, path in enumerate(video.frames):
        image = read_image(path)
        began = time.perf_counter()
        if t == 0:
            boxes[t] = teacher.start(image, video.ground_truth[0], Task(video.name, len(video)))
        else:
            boxes[t] = teacher.track(image)
        seconds += time.perf_counter() - began
    there = ~video.absent
    iou = overlap(boxes, video.ground_truth)[there]
    distance = np.linalg.norm(centres(boxes) - centres(video.ground_truth), axis=1)[there]
    success: NDArray[np.float64] = (iou[:, None] > THRESHOLDS).mean(axis=0)
    return Score(
        float(iou[1:].mean()), float(success.mean()), float((distance <= 20).mean()), len(video) / seconds
    )


def scores(teacher: Teacher, videos: Iterable[Video]) -> dict[str, Score]:
    """Every video's score by name."""
    return {video.name: score(teacher, video) for video in videos}


def mean(each: Iterable[Score]) -> Score:
    """The mean over videos."""
    rows = [(s.overlap, s.success, s.precision, s.fps) for s in each]
    return Score(*(float(v) for v in np.mean(rows, axis=0)))
