"""What a student is tried on: held-out windows and videos, the crops it sees of them, and scores of boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.boxes import Boxes, overlap
from datasets.images import RGB, read_with_content
from datasets.transfer.window import Window
from datasets.video import Video
from trainer.crops import crop_batch
from trainer.cutouts import crop_uploaded
from trainer.mdp import seen_box
from trainer.student import Student


class Pixels(NamedTuple):
    """One frame: its stored image, where that lies in the source image (x, y, w, h), and the source's size."""

    image: RGB
    window: Boxes
    size: tuple[int, int]


class HeldOutSequence(Protocol):
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


def spread(count: int, most: int) -> list[int]:
    """At most so many row numbers, evenly spread over all."""
    return (
        np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist() if count else []
    )


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
