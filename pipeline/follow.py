"""One teacher on one video: frames decoded ahead, every box checked, stopped as soon as nothing can keep it."""

from __future__ import annotations

import json
import platform
import sys
import time
import traceback
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np

from datasets.boxes import is_valid, overlap
from datasets.errors import DataError
from datasets.images import read_image
from datasets.video import Video
from pipeline.source import read_unchanged
from pipeline.trajectories import Status, Trajectory
from teachers import registry
from teachers.base import BatchTeacher, Box, Image, Task, Teacher, TeacherError, checked_box
from teachers.options import TeacherConfigError
from teachers.third_party import FAULTS, at_home


class WorkerError(ValueError):
    """A worker cannot have the teacher that the run began with: no video's failure, so the stage ends."""


AHEAD = 4
"""Frames decoded before the tracker asks for them: enough to hide the decoder, few enough to waste little when the
video is abandoned."""

Made = TypeVar("Made", bound=Teacher | BatchTeacher)


@dataclass(frozen=True)
class Job:
    """What a worker needs to know to run one teacher on one video.

    Attributes:
        spec, exclude, video, digest: The video, and its digest in the index.
        use: The teacher, as the registry names it.
        options: The teacher's options as JSON, so that equal options are one cached instance per process.
        stop_below: Abandon at the first overlap that is not above this; None never.
        version: Of the teacher's boxes, where the run began; None: whatever it is.
    """

    spec: str
    exclude: Path | None
    video: str
    digest: str
    use: str
    options: str
    stop_below: float | None
    version: int | None = None


@dataclass(frozen=True, eq=False)
class Outcome:
    """A trajectory, the traceback where it failed ("" otherwise), and the seconds that it took."""

    trajectory: Trajectory
    traceback: str
    seconds: float


def run_job(job: Job) -> Outcome:
    """Run one teacher, which this process keeps from video to video, on one video; raises what `attempted` does."""
    with at_home():
        return attempted(job, lambda video: follow(_teacher_of(job), video, job.stop_below))


def attempted(job: Job, tracked: Callable[[Video], Trajectory]) -> Outcome:
    """Read a job's video and have it tracked; whatever goes wrong with that fails this video and nothing else.

    Raises:
        DataError: If the video is not what was indexed: that is no teacher's failure, and would stand as one.
        WorkerError: If there is no such teacher here; the same.
    """
    began = time.perf_counter()
    video = read_unchanged(job.spec, job.exclude, job.video, job.digest)
    try:
        return Outcome(tracked(video), "", time.perf_counter() - began)
    except WorkerError:
        raise
    except FAULTS as error:  # any error of a third party's tracker is this video's failure
        message = f"{type(error).__name__}: {' '.join(str(error).split())}"
        return Outcome(failure(_text(message)), _text(traceback.format_exc()), time.perf_counter() - began)


def _text(message: str) -> str:
    """A message that can be stored: of a file's name that is not UTF-8, its bytes are shown."""
    return message.encode("utf-8", "backslashreplace").decode()


def worker_died(_job: Job, message: str) -> Outcome:
    """What becomes of a video that killed every process that tracked it."""
    return Outcome(failure(message), message, 0.0)


def failure(message: str) -> Trajectory:
    """The trajectory of a teacher that failed."""
    return Trajectory(np.empty((0, 4), np.float32), np.empty(0), Status.FAILED, message)


def _teacher_of(job: Job) -> Teacher:
    """The job's teacher; WorkerError as `same_version`."""
    teacher = _teacher(job.use, job.options)
    if job.version not in (
        None,
        teacher.version,
    ):  # a worker of a cluster outlives runs: perhaps an older one's
        _teacher.cache_clear()
        teacher = _teacher(job.use, job.options)
    return same_version(teacher, job)


def same_version(teacher: Made, job: Job) -> Made:
    """The teacher, if it is the one that the run began with: its boxes stand beside that one's.

    Raises:
        WorkerError: If it is another.
    """
    if job.version is not None and teacher.version != job.version:
        raise WorkerError(
            f"{job.use} is not what it was when the run began (version {job.version}, here {teacher.version}): its "
            "code, weights or libraries changed, or are others on this machine. Run the stage again"
        )
    return teacher


@lru_cache(maxsize=2)
def _teacher(use: str, options: str) -> Teacher:
    """A teacher, built once per process and used for one video after the other."""
    return built(registry.create, use, json.loads(options))


def built(create: Callable[..., Made], use: str, options: Mapping[str, object], *further: int) -> Made:
    """Build a teacher for a worker, where OpenCV and PyTorch are to use one thread.

    They sum in another order with another number of threads, and boxes are to depend on nothing but the video.
    A teacher's own option `threads` overrules that.

    Raises:
        WorkerError: If it cannot be built, though it could be where the run began.
    """
    cv2.setNumThreads(1)
    try:
        made = create(use, options, *further)
    except (TeacherConfigError, TeacherError, DataError) as error:
        told = f"{use} cannot be built by a worker on {platform.node()}: {str(error).removesuffix('.')}"
        raise WorkerError(f"{told}. What was tracked is kept: run the stage again") from error
    if (torch := sys.modules.get("torch")) is not None and not options.get("threads"):
        torch.set_num_threads(1)
    return made


class Pursuit:
    """A trajectory in the making: every box is checked, and it ends as soon as nothing can keep it.

    Args:
        video: The video; frames where the target is absent count as overlap 0 and stop nobody.
        stop_below: Abandon at the first frame t >= 1 with the target present whose overlap is not above this.

    Attributes:
        first: The target in frame 0.
        task: What the teacher may know of the video.

    Raises:
        TeacherError: If frame 0 has no target.
    """

    def __init__(self, video: Video, stop_below: float | None) -> None:
        self.first: Box = video.ground_truth[0]
        if video.absent[0] or not is_valid(self.first):
            raise TeacherError(
                f"video {video.name}: there is no target in frame 0 (box {self.first.tolist()})"
            )
        self.task = Task(video.name, len(video))
        self._video = video
        self._threshold = -1.0 if stop_below is None else stop_below
        self._boxes = np.empty((len(video), 4), np.float32)
        self._overlaps = np.zeros(len(video))
        self._frames = 0

    def add(self, box: object) -> Trajectory | None:
        """Take what the teacher returned for the next frame.

        Returns:
            The trajectory, if this frame ends it: completed or abandoned.

        Raises:
            TeacherError: If it is not a box.
        """
        t, video = self._frames, self._video
        self._boxes[t] = checked_box(box, f"video {video.name}, frame {t}")
        self._frames += 1
        if not video.absent[t]:
            self._overlaps[t] = overlap(self._boxes[t], video.ground_truth[t])
            if t and self._overlaps[t] <= self._threshold:
                return Trajectory(self._boxes[: t + 1], self._overlaps[: t + 1], Status.ABANDONED)
        if self._frames == len(video):
            return Trajectory(self._boxes, self._overlaps, Status.COMPLETED)
        return None


def follow(teacher: Teacher, video: Video, stop_below: float | None = None) -> Trajectory:
    """Run a teacher over a video, from the ground truth of frame 0.

    Args:
        teacher: The teacher.
        video: The video.
        stop_below: See `Pursuit`.

    Returns:
        The trajectory, completed or abandoned.

    Raises:
        TeacherError: If frame 0 has no target, or the teacher returns something that is not a box.
        Exception: Whatever the teacher raises.
    """
    pursuit = Pursuit(video, stop_below)
    images = decoded_ahead(video.frames) if teacher.needs_images else _no_images(len(video))
    try:
        box = teacher.start(next(images), pursuit.first, pursuit.task)
        while (ended := pursuit.add(box)) is None:
            box = teacher.track(next(images))
    finally:
        images.close()
    return ended


def _no_images(length: int) -> Generator[None]:
    yield from (None for _ in range(length))


@lru_cache(maxsize=1)
def _decoder() -> ThreadPoolExecutor:
    """This process's decoding thread: OpenCV decodes without holding Python's lock."""
    return ThreadPoolExecutor(1, thread_name_prefix="decode")


def decoded_ahead(
    frames: Sequence[Path],
    decoder: ThreadPoolExecutor | None = None,
    ahead: int = AHEAD,
    read: Callable[[Path], Image] = read_image,
) -> Generator[Image]:
    """Read images in order, some of them before they are asked for.

    Args:
        frames: Their paths.
        decoder: The threads that read them; None: the process's own one.
        ahead: How many are read before.
        read: Reads one.

    Raises:
        DataError: If an image is missing, truncated or not an image.
    """
    threads = decoder or _decoder()
    paths = iter(frames)
    pending: deque[Future[Image]] = deque()
    try:
        for path in paths:
            pending.append(threads.submit(read, path))
            if len(pending) > ahead:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        for future in pending:
            future.cancel()
