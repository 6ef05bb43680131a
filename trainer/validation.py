"""Validation: what chooses a run's best weights.

The student tracks held-out videos, and simple boxes that any student has to beat are scored with it.

What is tracked are windows of held-out videos of the transfer set, or whole videos of a dataset, many at once in
lockstep, as TRAS tracks (Section 3.5): actions clamped, boxes clipped, the LSTM's state returning to its beginning.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from blake3 import blake3
from numpy.typing import NDArray

from datasets import open_dataset
from datasets.boxes import Boxes
from datasets.video import Video
from trainer.held_out import (
    HeldOutSequence,
    HeldOutVideo,
    HeldOutWindow,
    Pixels,
    Score,
    crops,
    score,
    spread,
)
from trainer.mdp import clip_box, transition
from trainer.options import TrainOptions
from trainer.student import LSTMState, Student, diverged
from trainer.trackers.memory import Memory
from trainer.windows import Windows

_TOGETHER = 32
"""Videos in one call of the network."""


class Validation(Protocol):
    """What is held out, and how a student is scored on it."""

    def __len__(self) -> int:
        """How many sequences."""
        ...

    @property
    def what(self) -> str:
        """What they are."""
        ...

    @property
    def fingerprint(self) -> str:
        """Of videos that the transfer sets say nothing of, to tell them when a run is resumed; else ""."""
        ...

    def learnt_from(self, windows: Windows) -> list[str]:
        """Names of the videos that are held out from nobody: windows of them are learnt from."""
        ...

    def baselines(self) -> dict[str, Score]:
        """Scores to compare with, by what was scored."""
        ...

    def validate(self, student: Student, device: torch.device) -> Score:
        """Score a student, which is put into evaluation mode and left there.

        Raises:
            ValueError: If an answer of its is not finite.
            DataError: If an image is damaged or missing.
        """
        ...


class HeldOut:
    """What is tracked. Nothing of it stays in memory: neither windows nor videos keep a frame that was looked at.

    Args:
        options: Of the run; `validation` says which, and how many.
        windows: Of held-out videos of the transfer set, used where the options name no dataset.

    Raises:
        ValueError: If a dataset is named that has no video to track and score.
        DataError: If it cannot be read.
    """

    def __init__(self, options: TrainOptions, windows: Windows) -> None:
        chosen = options.validation
        self._windows = windows
        self._videos: list[Video] = []
        if chosen.videos is not None:
            dataset = open_dataset(chosen.videos)
            for name in dataset.names[: chosen.most]:
                video = dataset[name]
                if video.frames and not video.absent[0] and not video.absent[1:].all():
                    self._videos.append(video)
            if not self._videos:
                raise ValueError(
                    f"validation.videos {chosen.videos}: none of {min(len(dataset.names), chosen.most)} videos has "
                    "images, its target in its first frame, and ground truth in a later one (a test split has none): "
                    "name another split or dataset"
                )
        self._rows = spread(len(windows), chosen.most)

    def __len__(self) -> int:
        """How many windows or videos."""
        return len(self._videos) or len(self._rows)

    def __iter__(self) -> Iterator[HeldOutSequence]:
        """Each of them."""
        if self._videos:
            return (HeldOutVideo(video) for video in self._videos)
        return (HeldOutWindow(self._windows.window(n)) for n in self._rows)

    @property
    def what(self) -> str:
        """windows, or videos."""
        return "videos" if self._videos else "windows"

    @functools.cached_property
    def fingerprint(self) -> str:
        """Of all whole videos, their annotation, and the names and sizes of their images, wherever they lie."""
        h = blake3()
        for video in self._videos:
            h.update(video.digest().encode())
        return h.hexdigest(length=16) if self._videos else ""

    def learnt_from(self, windows: Windows) -> list[str]:
        """Names of whole videos of which there is a window; a name alone may be another benchmark's."""
        some = dict(zip(windows.videos, windows.truth, strict=True))
        return [v.name for v in self._videos if v.name in some and _holds(v.ground_truth, some[v.name])]

    def baselines(self) -> dict[str, Score]:
        """A box that never moves, and one that goes on as the ground truth did from frame 0 to 1."""
        truths = [(s.truth, s.present) for s in self]
        still = [np.repeat(truth[:1], len(truth), axis=0) for truth, _ in truths]
        gliding = [_glide(truth, present) for truth, present in truths]
        return {"static box": score(still, truths), "constant velocity box": score(gliding, truths)}

    def validate(self, student: Student, device: torch.device) -> Score:
        """Track all of it and score the boxes."""
        tracked = follow(student, self, device)
        return score([boxes for boxes, _ in tracked], [(s.truth, s.present) for _, s in tracked])


def _holds(boxes: Boxes, part: Boxes) -> bool:
    """Whether some rows, (L, 4), follow each other among the boxes of a video, (T, 4)."""
    if len(boxes) < len(part):
        return False
    every = np.lib.stride_tricks.sliding_window_view(boxes, len(part), axis=0).swapaxes(1, 2)
    return bool(((every == part) | (np.isnan(every) & np.isnan(part))).all(axis=(1, 2)).any())


def _glide(truth: Boxes, present: NDArray[np.bool_]) -> Boxes:
    step = truth[1] - truth[0] if len(truth) > 1 and present[1] else np.zeros(4, np.float32)
    boxes: Boxes = truth[0] + np.arange(len(truth), dtype=np.float32)[:, None] * step
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1.0)
    return boxes


@dataclass
class _Target:
    """One sequence on its way."""

    number: int
    sequence: HeldOutSequence
    boxes: list[Boxes]
    before: Pixels
    memory: Memory

    @property
    def over(self) -> bool:
        """It was tracked to its end."""
        return len(self.boxes) >= len(self.sequence.truth)


@torch.inference_mode()
def follow(student: Student, held_out: HeldOut, device: torch.device) -> list[tuple[Boxes, HeldOutSequence]]:
    """Track every sequence from its ground truth in frame 0.

    Args:
        student: It is put into evaluation mode, and left there.
        held_out: What to track.
        device: Where the student is.

    Returns:
        Boxes, float32 (T, 4), and sequence, in order.

    Raises:
        ValueError: If an action is not finite.
        DataError: If an image is damaged or missing.
    """
    student.eval()
    waiting = enumerate(held_out)
    done: dict[int, tuple[Boxes, HeldOutSequence]] = {}
    busy: list[_Target] = []
    while True:
        while len(busy) < _TOGETHER and (next_one := next(waiting, None)) is not None:
            number, sequence = next_one
            memory = Memory(student.initial_state(1))
            busy.append(_Target(number, sequence, [sequence.truth[0]], sequence.pixels(0), memory))
        if not busy:
            return [done[number] for number in range(len(done))]
        _advance(student, busy, device)
        for target in busy:
            if target.over:
                done[target.number] = np.stack(target.boxes).astype(np.float32), target.sequence
        busy = [target for target in busy if not target.over]


def _advance(student: Student, busy: list[_Target], device: torch.device) -> None:
    """One frame of every target."""
    now = [target.sequence.pixels(len(target.boxes)) for target in busy]
    box = torch.from_numpy(np.stack([target.boxes[-1] for target in busy]))
    width, height = torch.tensor([p.size for p in now], dtype=torch.float32).unbind(dim=1)
    previous, current = crops(student, [target.before for target in busy], now, box, device)
    memories = [target.memory.recall() for target in busy]
    joined = LSTMState(*(torch.cat(parts) for parts in zip(*memories, strict=True)))
    action, _, state = student(previous, current, joined)
    action = action.cpu()
    if not bool(action.isfinite().all()):
        raise diverged("an action on what is held out")
    kept = map(LSTMState, *(torch.split(part, 1) for part in state))
    smallest = student.options.smallest_box
    moved = clip_box(transition(action.clamp(-1.0, 1.0), box), width, height, smallest).numpy()
    for target, pixels, there, own in zip(busy, now, moved, kept, strict=True):
        target.boxes.append(there)
        target.before = pixels
        target.memory.keep(own)
