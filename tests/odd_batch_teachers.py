"""Batch teachers that misbehave, or behave in a way that a test knows: `odd_batch_teachers:Name` in params.yaml."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

import numpy as np

from teachers.base import Box, Image, Task, TeacherError


def wandered(box: Box, image: Image) -> Box:
    """The next box of a teacher whose every box depends on all images so far."""
    return box + np.array([image[::7, ::5].mean() / 1e3 - 0.1, float(image[0, 0, 0]) / 1e3, 0, 0], np.float32)


class Wandering:
    """A teacher for one video at a time or many.

    Args:
        log: A file to which every video that is started is appended, with the device and the process.
        device: Said in the log.
        kills: Ends of the names of videos whose start kills the process.
    """

    version: ClassVar[int] = 1
    needs_images: ClassVar[bool] = True

    def __init__(self, log: str = "", device: str = "cpu", kills: str = "-") -> None:
        self.log, self.device, self.kills = log, device, kills

    def start(self, image: Image | None, box: Box, task: Task) -> Box:
        assert image is not None
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{task.name} {self.device} {os.getpid()}\n")
        if task.name.endswith(self.kills):
            os.kill(os.getpid(), signal.SIGKILL)
        self.box = box.copy()
        return self.box

    def track(self, image: Image | None) -> Box:
        assert image is not None
        self.box = wandered(self.box, image)
        return self.box

    def batch(self, slots: int) -> WanderingBatch:
        return WanderingBatch(slots, self.log, self.device, self.kills)


class WanderingBatch:
    """The same for many.

    Attributes:
        steps: The slots of every step.
        started: Names in the order in which they were started.
    """

    version: int = 1

    def __init__(self, slots: int, log: str = "", device: str = "cpu", kills: str = "-") -> None:
        self.slots = slots
        self._one = (log, device, kills)
        self.teachers: dict[int, Wandering] = {}
        self.names: dict[int, str] = {}
        self.steps: list[list[int]] = []
        self.started: list[str] = []

    def start(self, slot: int, image: Image, box: Box, task: Task) -> Box:
        assert 0 <= slot < self.slots
        assert slot not in self.teachers
        self.started.append(task.name)
        self.teachers[slot], self.names[slot] = Wandering(*self._one), task.name
        return self.teachers[slot].start(image, box, task)

    def step(self, images: Mapping[int, Image]) -> Mapping[int, Box | Exception]:
        assert set(images) == set(self.teachers)
        self.steps.append(list(images))
        return {slot: self.teachers[slot].track(image) for slot, image in images.items()}

    def release(self, slot: int) -> None:
        del self.teachers[slot], self.names[slot]


class Faulty(WanderingBatch):
    """Answers wrongly for one video, from its third frame on.

    Args:
        slots: As ever.
        fault: What the answer is: `nan`, `none`, `missing`, `outside`, `error`; or `raise`, of the whole step; or
            `start`.
        video: The end of the video's name.
    """

    def __init__(self, slots: int, fault: str, video: str) -> None:
        super().__init__(slots)
        self.fault, self.video = fault, video
        self.frames: dict[int, int] = {}

    def start(self, slot: int, image: Image, box: Box, task: Task) -> Box:
        self.frames[slot] = 0
        answer = super().start(slot, image, box, task)
        if self.fault == "start" and task.name.endswith(self.video):
            raise TeacherError("the target is too small")
        return answer

    def step(self, images: Mapping[int, Image]) -> Mapping[int, Box | Exception]:
        answers = dict(super().step(images))
        for slot in images:
            self.frames[slot] += 1
            if not self.names[slot].endswith(self.video) or self.frames[slot] < 3:
                continue
            if self.fault == "raise":
                raise ZeroDivisionError("the target has no texture")
            if self.fault == "missing":
                del answers[slot]
            else:
                answers[slot] = {  # type: ignore[assignment]
                    "nan": answers[slot] * np.float32(np.nan),
                    "none": None,
                    "outside": np.array([-900, -900, 20, 20], np.float32),
                    "error": ZeroDivisionError("the target has no texture"),
                }.get(self.fault, answers[slot])
        return answers


class Hungry(WanderingBatch):
    """Runs out of memory above so many videos at once.

    Args:
        slots: As ever.
        capacity: How many it can hold.
        when: `made`, `started`, `stepped` or `answered`.
    """

    def __init__(self, slots: int, capacity: int, when: str) -> None:
        super().__init__(slots)
        self.capacity, self.when = capacity, when
        self._need("made", slots)

    def start(self, slot: int, image: Image, box: Box, task: Task) -> Box:
        answer = super().start(slot, image, box, task)
        self._need("started", len(self.teachers))
        return answer

    def step(self, images: Mapping[int, Image]) -> Mapping[int, Box | Exception]:
        answers = dict(super().step(images))
        if len(self.steps) > 2:
            self._need("stepped", len(images))
            try:
                self._need("answered", len(images))
            except RuntimeError as error:
                answers[max(images)] = error
        return answers

    def _need(self, when: str, count: int) -> None:
        import torch  # not above: it takes each worker process of the other teachers' tests seconds

        if self.when == when and count > self.capacity:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
