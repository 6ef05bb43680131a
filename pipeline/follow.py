"""One teacher on one video: frames decoded ahead, every box checked, stopped as soon as nothing can keep it."""

from __future__ import annotations

import json
import time
import traceback
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from datasets.boxes import is_valid, overlap
from datasets.images import read_image
from datasets.video import Video
from pipeline.source import read_unchanged
from pipeline.trajectories import Status, Trajectory
from teachers import registry
from teachers.base import Box, Image, Task, Teacher, TeacherError, checked_box

AHEAD = 4
"""Frames decoded before the tracker asks for them: enough to hide the decoder, few enough to waste little when the
video is abandoned."""


@dataclass(frozen=True)
class Job:
    """What a worker needs to know to run one teacher on one video.

    Attributes:
        spec, exclude, video, digest: The video, and its digest in the index.
        use: The teacher, as the registry names it.
        options: The teacher's options as JSON, so that equal options are one cached instance per process.
        stop_below: Abandon at the first overlap that is not above this; None never.
    """

    spec: str
    exclude: Path | None
    video: str
    digest: str
    use: str
    options: str
    stop_below: float | None


@dataclass(frozen=True, eq=False)
class Outcome:
    """A trajectory, the traceback where it failed ("" otherwise), and the seconds that it took."""

    trajectory: Trajectory
    traceback: str
    seconds: float


def run_job(job: Job) -> Outcome:
    """Run one teacher on one video; whatever goes wrong with it fails this video and nothing else."""
    began = time.perf_counter()
    try:
        video = read_unchanged(job.spec, job.exclude, job.video, job.digest)
        trajectory = follow(_teacher(job.use, job.options), video, job.stop_below)
        return Outcome(trajectory, "", time.perf_counter() - began)
    except Exception as error:  # noqa: BLE001 - any error of a third party's tracker is this video's failure
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Outcome(failure(message), traceback.format_exc(), time.perf_counter() - began)


def worker_died(_job: Job, message: str) -> Outcome:
    """What becomes of a video that killed every process that tracked it."""
    return Outcome(failure(message), message, 0.0)


def failure(message: str) -> Trajectory:
    """The trajectory of a teacher that failed."""
    return Trajectory(np.empty((0, 4), np.float32), np.empty(0), Status.FAILED, message)


@lru_cache(maxsize=2)
def _teacher(use: str, options: str) -> Teacher:
    """A teacher, built once per process and used for one video after the other."""
    cv2.setNumThreads(1)
    return registry.create(use, json.loads(options))


def follow(teacher: Teacher, video: Video, stop_below: float | None = None) -> Trajectory:
    """Run a teacher over a video, from the ground truth of frame 0.

    Args:
        teacher: The teacher.
        video: The video; frames where the target is absent count as overlap 0 and stop nobody.
        stop_below: Abandon at the first frame t >= 1 with the target present whose overlap is not above this.

    Returns:
        The trajectory, completed or abandoned.

    Raises:
        TeacherError: If frame 0 has no target, or the teacher returns something that is not a box.
        Exception: Whatever the teacher raises.
    """
    first = video.ground_truth[0]
    if video.absent[0] or not is_valid(first):
        raise TeacherError(f"video {video.name}: there is no target in frame 0 (box {first.tolist()})")
    boxes = np.empty((len(video), 4), np.float32)
    overlaps = np.zeros(len(video))
    threshold = -1.0 if stop_below is None else stop_below
    images = decoded_ahead(video.frames) if teacher.needs_images else _no_images(len(video))
    try:
        for t, image in enumerate(images):
            box = _first(teacher, image, first, video) if t == 0 else teacher.track(image)
            boxes[t] = checked_box(box, f"video {video.name}, frame {t}")
            if video.absent[t]:
                continue
            overlaps[t] = overlap(boxes[t], video.ground_truth[t])
            if t and overlaps[t] <= threshold:
                return Trajectory(boxes[: t + 1], overlaps[: t + 1], Status.ABANDONED)
    finally:
        images.close()
    return Trajectory(boxes, overlaps, Status.COMPLETED)


def _first(teacher: Teacher, image: Image | None, box: Box, video: Video) -> Box:
    return teacher.start(image, box, Task(video.name, len(video)))


def _no_images(length: int) -> Generator[None]:
    yield from (None for _ in range(length))


@lru_cache(maxsize=1)
def _decoder() -> ThreadPoolExecutor:
    """This process's decoding thread: OpenCV decodes without holding Python's lock."""
    return ThreadPoolExecutor(1, thread_name_prefix="decode")


def decoded_ahead(frames: Sequence[Path]) -> Generator[Image]:
    """Read images in order, up to `AHEAD` of them before they are asked for.

    Raises:
        DataError: If an image is missing, truncated or not an image.
    """
    paths = iter(frames)
    pending: deque[Future[Image]] = deque()
    try:
        for path in paths:
            pending.append(_decoder().submit(read_image, path))
            if len(pending) > AHEAD:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
