"""The student as the three trackers use it: looks at pairs of frames, answers with boxes and values."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, cast

import cv2
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the field's own name for it
from torch import Tensor

from datasets.boxes import is_valid, overlap
from datasets.transfer.crop import crop_region
from teachers.base import Box, Image, Task, TeacherError
from teachers.devices import usable, use_threads
from teachers.gpu.upload import uploaded
from teachers.inference.folding import fold
from teachers.options import TeacherConfigError
from trainer.crops import DEVIATION, MEAN
from trainer.cutouts import crop_uploaded
from trainer.mdp import clip_box, seen_box, transition
from trainer.student import LSTMState, Student, load_student
from trainer.trackers.memory import PERIOD, Memory
from trainer.trackers.packed import pack


class View(NamedTuple):
    """What a state s_t is made of: ρ(F_{t-1}, F_t, b_{t-1}, c).

    Attributes:
        before: F_{t-1}, uint8 (H, W, 3), BGR.
        now: F_t.
        box: b_{t-1}, (4,).
    """

    before: Image
    now: Image
    box: Box


class Answer(NamedTuple):
    """What the student makes of a state.

    Attributes:
        box: ψ(a_t, b_{t-1}) with the action clamped to [-1, 1], then clipped by the image.
        value: v_t, the reward that it expects from here to the end.
    """

    box: Box
    value: float


class Inference:
    """A student that is ready to track: folded, packed, without gradients.

    One instance serves any number of targets, each with a `Memory` of its own.

    Args:
        student: It is copied.
        device: "cpu", "cuda", "cuda:1" ...
        period: Updates after which the LSTM returns to its first state, see `Memory`; 0 for never.

    Raises:
        TeacherConfigError: If there is no such device here, or the period is negative.
    """

    def __init__(self, student: Student, device: str = "cpu", period: int = PERIOD) -> None:
        if period < 0:
            raise TeacherConfigError(f"period = {period}: give the number of updates, or 0 for never")
        self._device = usable("student", device)
        self._period = period
        self._size = student.options.crop_size
        self._context = student.options.context
        self._smallest = student.options.smallest_box
        ready = copy.deepcopy(student).to(self._device).eval()
        if self._device.type == "cpu":
            self._student = cast("Student", pack(ready))
        else:
            self._student = fold(ready).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        # On the CPU more gains nothing; see benchmarks/trackers.py.
        self.pays_together = 8 if self._device.type == "cpu" else 256
        self._empty = student.initial_state(1, self._device)
        # Of a whole row of pixels: three numbers at a time would take four times as long.
        self._mean, self._deviation = ((torch.tensor(v) * 255).repeat(self._size) for v in (MEAN, DEVIATION))

    @classmethod
    def load(cls, weights: Path, device: str = "cpu", period: int = PERIOD, threads: int = 0) -> Inference:
        """Load a student's file.

        Args:
            weights: See `load_student`.
            device: As above.
            period: As above.
            threads: Threads of one network call on the CPU, for the whole process; 0 leaves PyTorch's setting.

        Raises:
            DataError: If the file is missing, damaged, or holds another network.
            TeacherConfigError: If `threads` is negative, and as above.
        """
        use_threads("student", threads)
        return cls(load_student(weights), device, period)

    def begin(self) -> Memory:
        """The memory of a new target."""
        return Memory(LSTMState(*(part.detach() for part in self._empty)), self._period)

    def answer(self, views: Sequence[View], memories: Sequence[Memory], at_least: int = 0) -> list[Answer]:
        """Look at several states in one call, and keep in the memories what the LSTM remembers of them.

        Views of the same frames and the same box pass through the convolutions once.

        Args:
            views: K of them, of any videos.
            memories: One per view.
            at_least: Fill the batch up to this many, so that its size, on which the last bits of a product may
                depend, does not vary.

        Returns:
            K answers.

        Raises:
            TeacherError: If the student's numbers are not finite.
        """
        distinct: dict[tuple[int, int, bytes], int] = {}
        places = [
            distinct.setdefault((id(v.before), id(v.now), v.box.tobytes()), len(distinct)) for v in views
        ]
        seen = [views[places.index(i)] for i in range(len(distinct))]
        states = [memory.recall() for memory in memories]
        states += [self._empty] * (at_least - len(states))
        places += [0] * (at_least - len(places))
        with torch.inference_mode():
            x = self._student.see(*self._crops(seen, at_least))
            if len(seen) < len(views):
                x = x.index_select(0, uploaded(np.array(places), self._device))
            joined = LSTMState(*(torch.cat(parts) for parts in zip(*states, strict=True)))
            action, value, state = self._student.decide(x, joined)
            kept = list(map(LSTMState, *(torch.split(part, 1) for part in state)))
            # The one time that a step waits for the device.
            answers = torch.cat([action, value[:, None]], dim=1)[: len(views)].cpu()
            boxes = self._moved(views, answers[:, :4])
        for memory, own in zip(memories, kept, strict=False):
            memory.keep(own)
        return [Answer(box, v) for box, v in zip(boxes, answers[:, 4].tolist(), strict=True)]

    def _crops(self, views: Sequence[View], at_least: int) -> tuple[Tensor, Tensor]:
        """Previous and current crops, each (B, 3, size, size), as `trainer.crops.crop_batch` makes them."""
        batch = max(len(views), at_least)
        boxes, sides = (
            np.stack([v.box for v in views]),
            np.array([v.now.shape[1::-1] for v in views], np.float32),
        )
        centres = boxes[:, :2] + boxes[:, 2:] / 2
        if (
            (boxes[:, 2:] > sides) | (centres < 0) | (centres > sides)
        ).any():  # else they are seen as they are
            boxes = seen_box(*_boxes_and_sizes(views)).numpy()
        images = [v.before for v in views], [v.now for v in views]
        if self._device.type != "cpu":
            both = [image for side in images for image in side]
            sizes = np.array([image.shape[1::-1] for image in both], np.float64)
            windows = np.concatenate([np.zeros_like(sizes), sizes], axis=1)
            around = np.concatenate([boxes, boxes])
            made = crop_uploaded(
                both, windows, sizes, around, self._size, self._context, self._device, bgr=True
            )
            if batch > len(views):
                fill = (0, 0) * 3 + (0, batch - len(views))
                before, now = (F.pad(side, fill) for side in made.chunk(2))
            else:
                before, now = made.chunk(2)
            return before, now
        # A frame is RGB only where it is cropped: turning whole frames would cost more than cropping them.
        out = np.zeros((2 * batch, self._size, self._size, 3), np.uint8)
        for side, frames in enumerate(images):
            for k, (image, box) in enumerate(zip(frames, boxes, strict=True)):
                height, width = image.shape[:2]
                crop = crop_region(
                    image, (0, 0, width, height), (width, height), box, self._size, self._context
                )
                cv2.cvtColor(crop.pixels, cv2.COLOR_BGR2RGB, dst=out[side * batch + k])
        rows = (torch.from_numpy(out).flatten(2) - self._mean).div_(self._deviation)
        crops = rows.view(out.shape).permute(0, 3, 1, 2)
        return crops[:batch], crops[batch:]

    def _moved(self, views: Sequence[View], actions: Tensor) -> list[Box]:
        boxes, width, height = _boxes_and_sizes(views)
        moved = clip_box(transition(actions.clamp(-1.0, 1.0), boxes), width, height, self._smallest)
        if not bool(moved.isfinite().all()):
            raise TeacherError("the student gave a box that is not finite: its weights are broken")
        return list(moved.numpy())

    def clipped(self, box: Box, image: Image) -> Box:
        """A teacher's box as a tracker gives it: clipped as the student's own (see `trainer.mdp.clip_box`)."""
        height, width = image.shape[:2]
        own = torch.from_numpy(np.asarray(box, np.float32))
        result: Box = clip_box(own, width, height, self._smallest).numpy()
        return result


def _boxes_and_sizes(views: Sequence[View]) -> tuple[Tensor, Tensor, Tensor]:
    """b_{t-1}, (K, 4), and width and height of F_t, (K,)."""
    boxes = torch.from_numpy(np.stack([v.box for v in views]))
    height, width = torch.tensor([v.now.shape[:2] for v in views], dtype=torch.float32).T
    return boxes, width, height


def checked_start(image: Image | None, box: Box, task: Task) -> tuple[Image, Box]:
    """Frame 0 and the target, checked.

    Raises:
        TeacherError: If there is no image, or the box is not valid or has no pixel in it.
    """
    if image is None:
        raise TeacherError(f"video {task.name}: the student needs the images")
    height, width = image.shape[:2]
    if not is_valid(box) or not overlap(box, (0, 0, width, height)) > 0:
        raise TeacherError(
            f"video {task.name}: the first box {tuple(float(v) for v in box)} has no pixel in the image of "
            f"{width} x {height}"
        )
    return image, np.array(box, np.float32)
