"""`python -m trainer.track`: TRAS, TRAST or TRASFUST on one video, drawn, for a look."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datasets.command_line import run_only_command
from datasets.single_video import read_single
from teachers import pool
from teachers.base import Image
from teachers.film import TARGET, TEXT, TRACKER, Canvas, Filming
from teachers.named_files import files_of
from teachers.run import Run
from trainer.trackers import Tras, Trasfust, Trast
from trainer.trackers.choice import STUDENT
from trainer.trackers.memory import PERIOD

Tracker = Tras | Trast | Trasfust

_THIN = ((230, 120, 60), (200, 60, 200), (60, 220, 220), (120, 120, 250), (220, 200, 60), (170, 170, 170))
"""BGR of those among whom the tracker chose, in turn."""


@dataclass(frozen=True, kw_only=True)
class Track(Filming):
    """Run a student's tracker on one video and draw what it did into an MP4.

    Green is the ground truth, orange the tracker's box, thin are the boxes that it chose among, with their values.

    Example:
        python -m trainer.track --tracker trast --weights W.safetensors --teachers kcf --video V --out trast.mp4
    """

    tracker: Literal["tras", "trast", "trasfust"]
    """tras: the student alone; trast: with one teacher; trasfust: the best of several teachers."""
    weights: Path
    """A student's file."""
    teachers: tuple[str, ...] = ()
    """Teachers: `kcf`, `nano,backbone=b.onnx,neckhead=h.onnx`, `recorded:RESULTS/TRACKER`, `NAME=kcf,padding=2`."""
    device: str = "cpu"
    """Where the student runs: cpu, cuda, cuda:1 ..."""
    period: int = PERIOD
    """Updates after which the LSTM returns to its first state; 0 for never."""

    def run(self) -> int:
        """Track, draw, measure; the exit code is 1 where the tracker failed on the video."""
        beside = [(str(own.pop("use", name)), own) for name, own in pool.named(self.teachers).items()]
        self.check([self.weights, *(file for use, options in beside for file in files_of(use, options))])
        tracker = build(self.tracker, self.weights, self.teachers, self.device, self.period)
        run = Run(self.tracker, read_single(self.video, self.box))
        if not self.film(run, _drawn(run, tracker)):
            return 1
        for name, reason in getattr(tracker, "failed", {}).items():
            print(f"{name} failed and was left out: {reason}", file=sys.stderr)
        chosen = dict(Counter(tracker.chosen[1:]))
        self.tell(Figures(run.name, run.video.name, len(run.overlaps), run.ao, run.fps, chosen))
        return 0


def build(kind: str, weights: Path, teachers: tuple[str, ...], device: str, period: int) -> Tracker:
    """Build one of the three trackers.

    Raises:
        ValueError: If the number of teachers is not what it takes, or anything given is not there.
    """
    named = pool.named(teachers)
    if kind == "tras":
        if named:
            raise ValueError(f"--teachers {' '.join(teachers)}: tras has none")
        return Tras(weights, device, period)
    if kind == "trast":
        return Trast(weights, named, device, period)
    return Trasfust(weights, named, device, period)


@dataclass(frozen=True)
class Figures:
    """A tracker's figures on one video.

    Attributes:
        tracker: Its name.
        video: The video's.
        frames: How many.
        ao: Mean IoU over the frames t >= 1 with the target present, None if there are none.
        fps: Frames per second, without reading and drawing.
        chosen: Who gave how many of the frames t >= 1.
    """

    tracker: str
    video: str
    frames: int
    ao: float | None
    fps: float
    chosen: dict[str, int]

    def __str__(self) -> str:
        quality = "no overlaps" if self.ao is None else f"AO {self.ao:.3f}"
        whose = ", ".join(f"{name} {count}" for name, count in self.chosen.items())
        return (
            f"{self.tracker} on {self.video}: {self.frames} frames ({whose}), {quality}, "
            f"{self.fps:.0f} frames/s (reading not counted)"
        )


def _drawn(run: Run, tracker: Tracker) -> Iterator[Image]:
    """The images of a run with everything drawn on them."""
    for t, image, box in run.tracked(tracker):
        choice = tracker.choices[-1]
        iou = "no target" if run.video.absent[t] else f"IoU {run.overlaps[t]:.2f}"
        caption = f"{run.name}  {t + 1}/{len(run.video)}  {iou}  by {choice.chosen}"
        lines = [(caption, TEXT)]
        canvas = Canvas(image)
        canvas.box(run.video.ground_truth[t], TARGET)
        canvas.box(box, TRACKER)
        # The student's own box is worth showing only where something else was given.
        judged = [name for name in choice.boxes if name != STUDENT or len(choice.boxes) > 1]
        for name, colour in zip(judged, _THIN * (1 + len(judged) // len(_THIN)), strict=False):
            canvas.box(choice.boxes[name], colour, 1)
            lines.append((f"{name}  v = {choice.values[name]:.2f}", colour))
        canvas.text(lines)
        yield canvas.image


if __name__ == "__main__":
    sys.exit(run_only_command(Track, "python -m trainer.track"))
