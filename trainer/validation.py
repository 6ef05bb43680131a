"""Validation: what chooses a run's best weights.

The student tracks held-out videos, and simple boxes that any student has to beat are scored with it.

What is tracked are windows of held-out videos of the transfer set, or whole videos of a dataset, many at once in
lockstep, as TRAS tracks (Section 3.5): actions clamped, boxes clipped, the LSTM's state returning to its beginning.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from blake3 import blake3
from numpy.typing import NDArray
from torch import Tensor

from datasets import open_dataset
from datasets.boxes import Boxes, overlap
from datasets.images import RGB, read_with_content
from datasets.transfer.window import Window
from datasets.video import Video
from trainer.crops import crop_batch
from trainer.cutouts import crop_uploaded
from trainer.mdp import clip_box, seen_box, transition
from trainer.options import TrainOptions
from trainer.student import LSTMState, Student, diverged
from trainer.trackers.memory import Memory
from trainer.windows import Windows

_TOGETHER = 32
"""Videos in one call of the network."""


class Pixels(NamedTuple):
    """One frame: its stored image, where that lies in the source image (x, y, w, h), and the source's size."""

    image: RGB
    window: Boxes
    size: tuple[int, int]


class Sequence_(Protocol):  # noqa: N801  # `Sequence` is the standard library's
    """A held-out video or window of one."""

    @property
    def truth(self) -> Boxes:
        """Ground truth, float32 (T, 4)."""
        ...

    @property
    def present(self) -> NDArray[np.bool_]:
        """Frames that count, bool (T,)."""
        ...

    def pixels(self, t: int) -> Pixels:
        """Frame t."""
        ...


@dataclass(frozen=True, eq=False)
class HeldOutWindow:
    """A window of a transfer set."""

    window: Window

    @property
    def truth(self) -> Boxes:
        """As annotated."""
        return self.window.ground_truth

    @property
    def present(self) -> NDArray[np.bool_]:
        """Where the target is not absent."""
        return ~self.window.absent

    def pixels(self, t: int) -> Pixels:
        """What is stored of frame t."""
        width, height = self.window.image_size[t].tolist()
        return Pixels(self.window.glimpse(t), self.window.regions[t], (width, height))


@dataclass(frozen=True, eq=False)
class HeldOutVideo:
    """A whole video of a dataset."""

    video: Video

    @property
    def truth(self) -> Boxes:
        """As annotated."""
        return self.video.ground_truth

    @property
    def present(self) -> NDArray[np.bool_]:
        """Where the target is not absent."""
        return ~self.video.absent

    def pixels(self, t: int) -> Pixels:
        """Frame t, whole."""
        image = read_with_content(self.video.frames[t])[1]
        height, width = image.shape[:2]
        return Pixels(image, np.array([0, 0, width, height], dtype=np.float32), (width, height))


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

    def __iter__(self) -> Iterator[Sequence_]:
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


def spread(count: int, most: int) -> list[int]:
    """At most so many row numbers, evenly spread over all."""
    return (
        np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist() if count else []
    )


@dataclass(frozen=True)
class Score:
    """How well boxes overlap the ground truth, over all frames t >= 1 in which the target is present.

    Attributes:
        ao: Mean over sequences of the mean overlap.
        sr50: Mean over sequences of the share of frames with overlap above 0.5.
        frames: How many counted.
    """

    ao: float
    sr50: float
    frames: int


def score(results: Sequence[Boxes], sequences: Sequence[tuple[Boxes, NDArray[np.bool_]]]) -> Score:
    """Score boxes (T, 4) of every sequence against its (truth, present)."""
    means, rates, frames = [], [], 0
    for boxes, (truth, present) in zip(results, sequences, strict=True):
        found = overlap(boxes, truth)[1:][present[1:]]
        if len(found):
            means.append(found.mean())
            rates.append((found > 0.5).mean())
            frames += len(found)
    if not means:
        return Score(0.0, 0.0, 0)
    return Score(float(np.mean(means)), float(np.mean(rates)), frames)


def _glide(truth: Boxes, present: NDArray[np.bool_]) -> Boxes:
    step = truth[1] - truth[0] if len(truth) > 1 and present[1] else np.zeros(4, np.float32)
    boxes: Boxes = truth[0] + np.arange(len(truth), dtype=np.float32)[:, None] * step
    boxes[:, 2:] = np.maximum(boxes[:, 2:], 1.0)
    return boxes


@dataclass
class _Target:
    """One sequence on its way."""

    number: int
    sequence: Sequence_
    boxes: list[Boxes]
    before: Pixels
    memory: Memory

    @property
    def over(self) -> bool:
        """It was tracked to its end."""
        return len(self.boxes) >= len(self.sequence.truth)


@torch.inference_mode()
def follow(student: Student, held_out: HeldOut, device: torch.device) -> list[tuple[Boxes, Sequence_]]:
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
    done: dict[int, tuple[Boxes, Sequence_]] = {}
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


def crops(
    student: Student,
    before: Sequence[Pixels],
    now: Sequence[Pixels],
    box: Tensor,
    device: torch.device,
) -> tuple[Tensor, Tensor]:
    """The states of B targets: two frames of each around its last box, (B, 4), on the CPU; the crops on the device."""
    pairs = [*before, *now]
    images, windows = [p.image for p in pairs], np.stack([p.window for p in pairs])
    sizes = torch.tensor([p.size for p in pairs], dtype=torch.float32)
    around = seen_box(box, *sizes[len(now) :].unbind(dim=1)).repeat(2, 1)
    size, context = student.options.crop_size, student.options.context
    if device.type == "cpu":
        tensors = [torch.from_numpy(image) for image in images]
        made = crop_batch(tensors, torch.from_numpy(windows), sizes, around, size, context)
    else:
        made = crop_uploaded(images, windows, sizes.numpy(), around.numpy(), size, context, device)
    previous, current = made.chunk(2)
    return previous, current


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
