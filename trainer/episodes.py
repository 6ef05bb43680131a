"""What a student meets: which window, and its images and boxes, as a function of (seed, student, episode).

Nothing here depends on what was learnt or on the order of execution, so a resumed run meets the same episodes.
Students draw without replacement from a shuffled list of all windows, shuffled anew for every round.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datasets.boxes import Boxes
from datasets.images import RGB
from teachers.gpu.upload import uploaded
from trainer.options import EpisodeOptions, TrainOptions
from trainer.windows import Windows


@dataclass(frozen=True)
class Plan:
    """One episode before any pixel is read.

    Attributes:
        window: Row of the windows to learn from.
        mirrored: Left and right are exchanged.
        reversed: The window runs backwards.
        quarters: Quarters that it is turned by, to the left.
        hurried: Every other frame is left out; at the window's end it turns back.
        contrast: Factor of each normalised colour.
        brightness: What is added to each.
        shake: Relative error of the first box, an action.
        drift: How far a following student's box strays by the window's end, an action.
        follow: Which of the window's teachers a following student follows, as a share of them, in [0, 1).
    """

    window: int
    mirrored: bool
    reversed: bool
    quarters: int
    hurried: bool
    contrast: tuple[float, ...]
    brightness: tuple[float, ...]
    shake: tuple[float, ...]
    drift: tuple[float, ...]
    follow: float


COLUMNS = [4, 2, 4, 4, 4, 1]
"""Of a clip's table, see `Row`."""

FIRST = [4, 3, 3]
"""Of what is known of an episode as a whole, see `Clip.first`."""


class Row(NamedTuple):
    """What is known of frames; boxes are (x, y, w, h) in source pixels.

    Attributes:
        windows: float32 (..., 4), where each stored image lies in its source image.
        sizes: float32 (..., 2), width and height of the source images.
        truth: float32 (..., 4).
        target: float32 (..., 4), the best teacher's boxes.
        followed: float32 (..., 4), those of one positive teacher.
        present: bool (...), the target is there.
    """

    windows: Tensor
    sizes: Tensor
    truth: Tensor
    target: Tensor
    followed: Tensor
    present: Tensor

    @classmethod
    def of(cls, table: Tensor) -> Row:
        """The columns of a table, float32 (..., sum(COLUMNS))."""
        windows, sizes, truth, target, followed, present = torch.split(table, COLUMNS, dim=-1)
        return cls(windows, sizes, truth, target, followed, present[..., 0] != 0)


@dataclass(frozen=True, eq=False)
class Clip:
    """One episode's frames, T decoded of L, on the device.

    All numbers are in two tensors, so that they travel, and are laid beside those of other clips, in two copies.

    Attributes:
        plan: What it was made from.
        images: T stored images, uint8 (h, w, 3), RGB.
        table: float32 (L, sum(COLUMNS)).
        first: float32 (sum(FIRST),): b_0, what to multiply each normalised colour by, what to add to each.
    """

    plan: Plan
    images: list[Tensor]
    table: Tensor
    first: Tensor

    @property
    def rows(self) -> Row:
        """What is known of each frame, (L, ...): the table's columns."""
        return Row.of(self.table)


@functools.lru_cache(maxsize=4)
def _order(seed: int, round_: int, windows: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, 0, round_]).permutation(windows)


def plan(
    options: EpisodeOptions, windows: Windows, seed: int, student: int, episode: int, students: int
) -> Plan:
    """Draw a student's episode.

    Args:
        options: Shares and sizes of the augmentations.
        windows: To draw from.
        seed: Of the run.
        student: Its number among all processes' students.
        episode: How many it had before.
        students: How many there are, over all processes.
    """
    round_, place = divmod(episode * students + student, len(windows))
    window = int(_order(seed, round_, len(windows))[place])
    rng = np.random.default_rng([seed, 1, student, episode])
    mirrored, backwards = (rng.random(2) < [options.mirror, options.reverse]).tolist()
    tint = options.tint * rng.uniform(-1, 1, (2, 3))
    shake = options.shake * rng.standard_normal(4)
    turned, hurried = (rng.random(2) < [options.turn, options.hurry]).tolist()
    quarters = int(rng.integers(1, 4))
    return Plan(
        window,
        mirrored,
        backwards and bool(windows.present[window, -1]),
        quarters if turned else 0,
        hurried,
        tuple((1 + tint[0]).tolist()),
        tuple(tint[1].tolist()),
        tuple(shake.tolist()),
        draw_drift(options, rng),
        rng.random(),
    )


def load(windows: Windows, plan: Plan, frames: int, options: TrainOptions, device: torch.device) -> Clip:
    """Read and decode an episode's first frames.

    Raises:
        DataError: If a stored image is damaged.
    """
    n = plan.window
    window = windows.window(n)
    order = _order_of_frames(plan, windows.length)
    regions, sizes = window.regions[order], window.image_size[order].astype(np.float32)
    followed = window.teacher[order, window.positive[int(plan.follow * len(window.positive))]]
    truth, target = windows.truth[n][order], windows.target[n][order]
    decoded = {t: window.image(t) for t in set(order[:frames].tolist())}
    images = [decoded[t] for t in order[:frames].tolist()]
    if plan.mirrored:
        images = [np.ascontiguousarray(image[:, ::-1]) for image in images]
        regions, truth, target, followed = (
            _mirrored(boxes, sizes) for boxes in (regions, truth, target, followed)
        )
    for _ in range(plan.quarters):
        images = [np.ascontiguousarray(np.rot90(image)) for image in images]
        regions, truth, target, followed = (
            _turned(boxes, sizes) for boxes in (regions, truth, target, followed)
        )
        sizes = np.ascontiguousarray(sizes[:, ::-1])
    followed = strayed(followed, plan.drift, options.student.smallest_box)
    start = truth[0] if options.episode.start == "ground-truth" else target[0]
    moved = start + np.asarray(plan.shake, dtype=np.float32) * np.tile(start[2:], 2)
    moved[2:] = np.maximum(moved[2:], options.student.smallest_box)
    present = windows.present[n][order, None].astype(np.float32)
    numbers = np.concatenate([regions, sizes, truth, target, followed, present], axis=1)
    table = uploaded(numbers.astype(np.float32, copy=False), device)
    first = np.concatenate([moved, plan.contrast, plan.brightness]).astype(np.float32)
    return Clip(plan, _uploaded(images, device), table, uploaded(first, device))


def _uploaded(images: Sequence[RGB], device: torch.device) -> list[Tensor]:
    """Images (h, w, 3) of any sizes on a device, to which they go in one copy."""
    if device.type == "cpu":
        return [torch.from_numpy(image) for image in images]
    there = uploaded(np.concatenate([image.reshape(-1, 3) for image in images]), device)
    parts = torch.split(there, [image.shape[0] * image.shape[1] for image in images])
    return [part.view(image.shape) for part, image in zip(parts, images, strict=True)]


def draw_drift(options: EpisodeOptions, rng: np.random.Generator) -> tuple[float, ...]:
    """How far a track strays by its end, an action."""
    return tuple((options.drift * rng.random() * rng.standard_normal(4)).tolist())


def strayed(boxes: Boxes, drift: Sequence[float], smallest: float) -> Boxes:
    """Boxes (L, 4) that stray bit by bit, by `drift` box sizes (an action) where the window ends."""
    off = np.outer(np.arange(len(boxes)) / len(boxes), drift).astype(np.float32)
    result: Boxes = boxes + off * np.tile(boxes[:, 2:], 2)
    result[:, 2:] = np.maximum(result[:, 2:], smallest)
    return result


def _order_of_frames(plan: Plan, length: int) -> NDArray[np.int64]:
    order = np.arange(length)[:: -1 if plan.reversed else 1]
    if plan.hurried:
        swift = order[::2]
        order = np.resize(np.concatenate([swift, swift[-2:0:-1]]), length)
    return order


def _mirrored(boxes: Boxes, sizes: NDArray[np.float32]) -> Boxes:
    left = sizes[:, :1] - boxes[:, :1] - boxes[:, 2:3]
    result: Boxes = np.concatenate([left, boxes[:, 1:]], axis=1)
    return result


def _turned(boxes: Boxes, sizes: NDArray[np.float32]) -> Boxes:
    """Boxes as they lie after a quarter turn to the left of images of these sizes."""
    x, y, w, h = boxes.T
    result: Boxes = np.stack([y, sizes[:, 0] - x - w, h, w], axis=1)
    return result


class Reader:
    """Clips of the episodes of this process's students; the next one of each is decoded ahead by threads.

    Args:
        options: Of the run.
        windows: To learn from.
        device: Where the clips go.
    """

    def __init__(self, options: TrainOptions, windows: Windows, device: torch.device) -> None:
        self._options = options
        self._windows = windows
        self._device = device
        self._pool = ThreadPoolExecutor(options.machine.readers, "decode")
        self._ahead: dict[tuple[int, int], Future[Clip]] = {}

    def prepare(self, student: int, episode: int, steps: int) -> None:
        """Begin to decode an episode of at most so many steps."""
        o = self._options
        drawn = plan(o.episode, self._windows, o.seed, student, episode, o.students)
        frames = min(steps + 1, self._windows.length)
        self._ahead[student, episode] = self._pool.submit(load, self._windows, drawn, frames, o, self._device)

    def take(self, student: int, episode: int, steps: int) -> Clip:
        """An episode of so many steps, decoded ahead if `prepare` was told of at least so many.

        Raises:
            DataError: If a stored image is damaged.
        """
        if (student, episode) not in self._ahead:
            self.prepare(student, episode, steps)
        clip = self._ahead.pop((student, episode)).result()
        assert len(clip.images) > steps, (len(clip.images), steps)
        return clip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pool.shutdown(cancel_futures=True)
