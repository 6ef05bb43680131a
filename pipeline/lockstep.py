"""Many videos at once in one worker process: the track stage's way with a `BatchTeacher`.

A worker's threads each hand in a video and wait for its trajectory. One more thread steps all videos that are under
way, one frame of each per call of the teacher. A slot is filled anew the moment its video ends, is abandoned or fails:
the next video waits with its first images decoded. What is decided per frame is `follow.Pursuit`'s, as for one video at
a time, so the trajectories are the same; a teacher's boxes do not depend on a video's neighbours (`BatchTeacher`).
"""

from __future__ import annotations

import gc
import json
import logging
import sys
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import cast

from datasets.images import read_image
from datasets.video import Video
from pipeline.follow import Job, Outcome, Pursuit, WorkerError, attempted, built, decoded_ahead, same_version
from pipeline.plan import Plan
from pipeline.trajectories import Trajectory
from teachers import registry
from teachers.base import BatchTeacher, Image, Preparing, TeacherError, is_out_of_memory
from teachers.third_party import FAULTS

AHEAD = 2
"""Frames of each video decoded before they are asked for: a step takes one of each, and hundreds of videos' images
take memory."""

_MORE = "Free memory there, or set the teacher's device to cpu, and run the stage again"

_LOG = logging.getLogger(__name__)


def run_in_lockstep(job: Job, plan: Plan) -> Outcome:
    """Run one teacher on one video, beside others in this process; the same as `follow.run_job`."""
    return attempted(job, lambda video: _lockstep(job, plan).track(video, job.stop_below))


class _Entry:
    """One video that waits or is under way.

    Attributes:
        pursuit: Its trajectory so far.
        image: Frame 0, and later the next frame; as the teacher prepared it, where it did.
        alone: Whether it has to be tracked without neighbours.
        answer: The trajectory, or why there is none.
    """

    pursuit: Pursuit
    image: Image

    def __init__(
        self,
        video: Video,
        stop_below: float | None,
        decoder: ThreadPoolExecutor,
        read: Callable[[Path], Image],
    ) -> None:
        self._video, self._stop_below, self._decoder, self._read = video, stop_below, decoder, read
        self.alone = False
        self.answer: Future[Trajectory] = Future()
        self.begin()

    def begin(self) -> None:
        """Begin at frame 0, perhaps again; the frames after it are being decoded when this returns."""
        self.pursuit = Pursuit(self._video, self._stop_below)
        self._images = decoded_ahead(self._video.frames, self._decoder, AHEAD, self._read)
        self.image = next(self._images)

    def read(self) -> None:
        """Move on to the next image."""
        self.image = next(self._images)

    def close(self) -> None:
        """Decode no more."""
        self._images.close()


class Lockstep:
    """A batch teacher and the videos that it tracks, see the module's documentation.

    Where a device has no memory for so many videos, half as many go on, from their beginnings, with a new teacher; the
    others follow. A video for which it has none even alone fails.

    Args:
        make: Builds the teacher for so many slots.
        slots: How many to begin with.
        decoders: Threads that decode images.
    """

    def __init__(self, make: Callable[[int], BatchTeacher], slots: int, decoders: int = 1) -> None:
        self._make = make
        self.slots = slots
        self._decoder = ThreadPoolExecutor(decoders, thread_name_prefix="decode")
        self._teacher: BatchTeacher | None = None
        self._busy: dict[int, _Entry] = {}
        self._lock = threading.Lock()
        self._waiting: deque[_Entry] = deque()
        self._stepping = False

    def track(self, video: Video, stop_below: float | None = None) -> Trajectory:
        """Hand in a video and wait for its trajectory; the same contract as `follow.follow`. Thread-safe."""
        entry = _Entry(video, stop_below, self._decoder, self._read)
        with self._lock:
            self._waiting.append(entry)
            if not self._stepping:
                self._stepping = True
                threading.Thread(target=self._step_all, name="lockstep", daemon=True).start()
        return entry.answer.result()

    def _read(self, path: Path) -> Image:
        """Read an image, and prepare it where the teacher prepares images and is there already."""
        teacher = self._teacher
        if not isinstance(teacher, Preparing):
            return read_image(path)
        image = read_image(path, teacher.room)
        try:
            return cast("Image", teacher.prepare(image))
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            return image  # the step that needs it finds out as well, and can do something about it

    def _step_all(self) -> None:
        """Step until nothing is left to do."""
        while True:
            try:
                self._fill()
                self._step()
            except FAULTS as error:  # whoever waits has to hear of it
                self._teacher = None
                with self._lock:
                    given_up = [*self._busy.values(), *self._waiting]
                    self._waiting.clear()
                self._busy.clear()
                for entry in given_up:
                    entry.close()
                    entry.answer.set_exception(error)
            with self._lock:
                if not self._busy and not self._waiting:
                    self._stepping = False
                    return

    def _fill(self) -> None:
        """Start waiting videos in all free slots."""
        while True:
            if self._busy and self._teacher is None:
                self._put_back()
            entry = self._next()
            if entry is None:
                return
            slot = next(s for s in range(self.slots) if s not in self._busy)
            self._busy[slot] = entry
            if self._teacher is None:
                self._teacher = self._built()
            try:
                box = self._teacher.start(slot, entry.image, entry.pursuit.first, entry.pursuit.task)
            except FAULTS as error:  # a third party's teacher: this video's failure
                if is_out_of_memory(error):
                    self._shrink(str(error))
                else:
                    self._end(slot, error)
            else:
                self._take(slot, box)

    def _next(self) -> _Entry | None:
        """The next video, where one waits and may be started now."""
        with self._lock:
            if not self._waiting or len(self._busy) >= self.slots:
                return None
            if any(entry.alone for entry in self._busy.values()):
                return None
            return self._waiting.popleft()

    def _step(self) -> None:
        """Track the next frame of every busy slot."""
        if not self._busy or self._teacher is None:
            return
        images = {slot: entry.image for slot, entry in self._busy.items()}
        try:
            answers = dict(self._teacher.step(images))
        except FAULTS as error:  # a third party's teacher
            if is_out_of_memory(error):
                self._shrink(str(error))
            elif len(images) == 1:
                self._end(next(iter(images)), error)
            else:  # it says nothing of whose fault it is, so each is tried by itself
                self._put_back(alone=True)
            return
        short = [a for a in answers.values() if isinstance(a, Exception) and is_out_of_memory(a)]
        if short:
            self._shrink(str(short[0]))
            return
        for slot in images:
            self._take(slot, answers.get(slot))

    def _take(self, slot: int, answer: object) -> None:
        """Judge what the teacher answered for a slot, and get the next image ready."""
        entry = self._busy[slot]
        try:
            if isinstance(answer, Exception):
                raise answer
            ended: Trajectory | BaseException | None = entry.pursuit.add(answer)
            if ended is None:
                entry.read()
                return
        except FAULTS as error:  # a third party's error, or an image that cannot be read
            ended = error
        self._end(slot, ended)

    def _end(self, slot: int, ended: Trajectory | BaseException) -> None:
        """Free a slot and hand over what came of its video."""
        entry = self._busy.pop(slot)
        entry.close()
        if isinstance(ended, BaseException):
            entry.answer.set_exception(ended)
        else:
            entry.answer.set_result(ended)
        if self._teacher is None:
            return
        try:
            self._teacher.release(slot)
        except FAULTS:  # a third party's teacher, which may be in any state now; this video's answer stands
            name = entry.pursuit.task.name
            _LOG.warning("video %s could not be released: those beside it begin again", name, exc_info=True)
            self._teacher = None

    def _shrink(self, reason: str) -> None:
        """Go on with half as many videos, from their beginnings, with a new teacher."""
        if len(self._busy) == 1:
            (slot,) = self._busy
            self._end(
                slot, TeacherError(f"the device has no memory for this video, even alone: {reason}. {_MORE}")
            )
        else:
            self.slots = len(self._busy) // 2
            _LOG.warning(
                "out of memory with %d videos at once; going on with %d", len(self._busy), self.slots
            )
        self._put_back()

    def _put_back(self, alone: bool = False) -> None:
        """Have all videos under way begin again, before those that wait, with a new teacher."""
        self._teacher = None
        entries, self._busy = [*self._busy.values()], {}
        again = []
        for entry in entries:
            entry.close()
            entry.alone = alone  # whoever was has ended, whatever went wrong
            try:
                entry.begin()
                again.append(entry)
            except FAULTS as error:  # its first image can be read no more
                entry.answer.set_exception(error)
        with self._lock:
            self._waiting.extendleft(reversed(again))

    def _built(self) -> BatchTeacher:
        """A teacher for as many slots as the device has memory for."""
        while True:
            _free_memory()
            try:
                return self._make(self.slots)
            except Exception as error:
                if not is_out_of_memory(error):
                    raise
                reason = str(error)
            if self.slots == 1:
                raise WorkerError(f"the device has no memory for this teacher: {reason}. {_MORE}")
            self.slots //= 2
            _LOG.warning("no memory for a teacher of so many videos; going on with %d", self.slots)


_CURRENT: dict[tuple[str, str, int | None, Plan], Lockstep] = {}
"""This process's `Lockstep`: one, because a second one's network would take the device's memory."""

_CURRENT_LOCK = threading.Lock()


def _lockstep(job: Job, plan: Plan) -> Lockstep:
    """This process's `Lockstep` for a teacher, made when it is first asked for."""
    key = (job.use, job.options, job.version, plan)
    with _CURRENT_LOCK:
        if key not in _CURRENT:
            options = json.loads(job.options)
            if plan.devices:
                options["device"] = plan.devices[_worker_number() % len(plan.devices)]
            _CURRENT.clear()
            _CURRENT[key] = Lockstep(
                lambda slots: same_version(built(registry.create_batch, job.use, options, slots), job),
                plan.slots,
                plan.decoders,
            )
        return _CURRENT[key]


def _worker_number() -> int:
    """Which of the local workers this process is; 0 outside one."""
    from distributed import get_worker

    try:
        name = get_worker().name
    except ValueError:
        return 0
    return name if isinstance(name, int) else 0


def _free_memory() -> None:
    """Give back what a former teacher held of a device."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
