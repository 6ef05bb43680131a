"""Validation of a judge: of several tracks of a held-out window it picks one in every frame, as TRASFUST does.

The tracks are such as following students take (`trainer.episodes`): boxes of the window's teachers, which stray bit
by bit. They are drawn by the window's number alone, so that every validation of every run picks from the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from datasets.boxes import Boxes, overlap
from datasets.transfer.window import Window
from trainer.episodes import draw_drift, strayed
from trainer.held_out import HeldOutWindow, Score, crops, score, spread
from trainer.options import TrainOptions
from trainer.student import Student, diverged
from trainer.windows import Windows

TRACKS = 4
"""Of every window."""

_TOGETHER = 8
"""Windows in one call of the network."""


@dataclass(frozen=True, eq=False)
class Tracks:
    """Those of one window.

    Attributes:
        sequence: The window.
        boxes: float32 (TRACKS, L, 4).
        overlaps: float32 (TRACKS, L), with the ground truth.
    """

    sequence: HeldOutWindow
    boxes: Boxes
    overlaps: NDArray[np.float32]

    def picked(self, rows: NDArray[np.int64]) -> Boxes:
        """The boxes of track rows[t] in every frame t, (L, 4)."""
        result: Boxes = self.boxes[rows, np.arange(self.boxes.shape[1])]
        return result


def tracks(window: Window, number: int, options: TrainOptions) -> Tracks:
    """Draw the tracks of a window, as `trainer.episodes.plan` draws what a following student follows."""
    rng = np.random.default_rng([3, number])
    boxes = np.stack(
        [
            strayed(
                window.teacher[:, rng.choice(window.positive)],
                draw_drift(options.episode, rng),
                options.student.smallest_box,
            )
            for _ in range(TRACKS)
        ]
    )
    return Tracks(HeldOutWindow(window), boxes, overlap(boxes, window.ground_truth).astype(np.float32))


class HeldOutTracks:
    """What a judge picks from.

    Args:
        options: Of the run; they say how many windows at most, and how far the tracks stray.
        windows: Of held-out videos of the transfer set.
    """

    what = "windows"
    fingerprint = ""

    def __init__(self, options: TrainOptions, windows: Windows) -> None:
        self._options = options
        self._windows = windows
        self._rows = spread(len(windows), options.validation.most)

    def __len__(self) -> int:
        """How many windows."""
        return len(self._rows)

    def __iter__(self) -> Iterator[Tracks]:
        """The tracks of each."""
        return (tracks(self._windows.window(n), n, self._options) for n in self._rows)

    def learnt_from(self, windows: Windows) -> list[str]:
        """None: they are of the sets' videos that were held out."""
        del windows
        return []

    def baselines(self) -> dict[str, Score]:
        """Picks at random, each track as likely, and the best that can be picked."""
        every = list(self)
        each = [track for found in every for track in found.boxes]
        truths = [(found.sequence.truth, found.sequence.present) for found in every]
        best = [found.picked(found.overlaps.argmax(axis=0)) for found in every]
        return {
            "picks at random": score(each, [truth for truth in truths for _ in range(TRACKS)]),
            "the best picks": score(best, truths),
        }

    def validate(self, student: Student, device: torch.device) -> Score:
        """Score the boxes that the student's values pick."""
        student.eval()
        every, picks = list(self), []
        for n in range(0, len(every), _TOGETHER):
            some = every[n : n + _TOGETHER]
            picks += list(_values(student, some, device).argmax(axis=1))
        boxes = [found.picked(rows) for found, rows in zip(every, picks, strict=True)]
        return score(boxes, [(found.sequence.truth, found.sequence.present) for found in every])


@torch.inference_mode()
def _values(student: Student, every: list[Tracks], device: torch.device) -> NDArray[np.float32]:
    """v_t of every track of N windows, (N, TRACKS, L), 0 for frame 0: the state is both frames around b_{t-1}."""
    length = every[0].boxes.shape[1]
    values = np.zeros((len(every), TRACKS, length), dtype=np.float32)
    memory = student.initial_state(len(every) * TRACKS)
    before = [found.sequence.pixels(0) for found in every]
    for t in range(1, length):
        now = [found.sequence.pixels(t) for found in every]
        box = torch.from_numpy(np.concatenate([found.boxes[:, t - 1] for found in every]))
        both = [[pixels for pixels in some for _ in range(TRACKS)] for some in (before, now)]
        _, value, memory = student(*crops(student, both[0], both[1], box, device), memory)
        values[:, :, t] = value.reshape(len(every), TRACKS).cpu().numpy()
        before = now
    if not np.isfinite(values).all():
        raise diverged("a value on what is held out")
    return values
