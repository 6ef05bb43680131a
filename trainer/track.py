"""`python -m trainer.track`: TRAS, TRAST or TRASFUST on one video, drawn, for a look."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from datasets.boxes import is_valid, overlap
from datasets.command_line import run_only_command
from datasets.errors import DataError
from datasets.images import read_image
from datasets.video import Video
from teachers.base import Box, Image, Task, TeacherError
from teachers.try_command import LEGIBLE_WIDTH, TARGET, TEACHER, TEXT, read_video, write_mp4
from trainer.trackers import Tras, Trasfust, Trast, pool
from trainer.trackers.choice import STUDENT, Choice

Tracker = Tras | Trast | Trasfust

_THIN = ((230, 120, 60), (200, 60, 200), (60, 220, 220), (120, 120, 250), (220, 200, 60), (170, 170, 170))
"""BGR of those among whom the tracker chose, in turn."""


@dataclass(frozen=True)
class Track:
    """Run a student's tracker on one video and draw what it did into an MP4.

    Green is the ground truth, orange the tracker's box, thin are the boxes that it chose among, with their values.

    Example:
        python -m trainer.track --tracker trast --weights W.safetensors --teachers kcf --video V --out trast.mp4
    """

    tracker: Literal["tras", "trast", "trasfust"]
    """tras: the student alone; trast: with one teacher; trasfust: the best of several teachers."""
    weights: Path
    """A student's file."""
    video: Path
    """A video's folder as GOT-10k (groundtruth.txt) or OTB (img/, groundtruth_rect.txt) lay it out."""
    out: Path
    """The MP4 file to write (MPEG-4 part 2, which desktop players show and browsers do not)."""
    teachers: tuple[str, ...] = ()
    """Teachers: `kcf`, `nano,backbone=b.onnx,neckhead=h.onnx`, `recorded:RESULTS/TRACKER`, `NAME=kcf,padding=2`."""
    device: str = "cpu"
    """Where the student runs: cpu, cuda, cuda:1 ..."""
    period: int = 32
    """Updates after which the LSTM returns to its first state; 0 for never."""
    fps: float = 25.0
    """Frames per second of the MP4."""
    json: bool = False
    """Print the figures as JSON to stdout."""

    def run(self) -> int:
        """Track, draw, measure; the exit code is 1 where the tracker failed on the video."""
        if self.out.suffix.lower() != ".mp4":
            raise ValueError(f"--out {self.out}: the file is an MP4, so give it a name that ends in .mp4")
        if not self.fps > 0:
            raise ValueError(f"--fps {self.fps}: give a positive number")
        tracker = build(self.tracker, self.weights, self.teachers, self.device, self.period)
        video = read_video(self.video)
        show = Show(self.tracker, video)
        try:
            write_mp4(self.out, self.fps, show.drawn(tracker), len(video))
        except TeacherError as error:
            print(f"{self.tracker} failed: {error}", file=sys.stderr)
            return 1
        for name, reason in getattr(tracker, "failed", {}).items():
            print(f"{name} failed and was left out: {reason}", file=sys.stderr)
        figures = show.figures(tracker)
        print(json.dumps(asdict(figures)) if self.json else f"{figures}. See {self.out}")
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
        if len(named) != 1:
            raise ValueError(f"--teachers: trast has one teacher, not {len(named)}")
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


@dataclass
class Show:
    """A tracker's run through a video.

    Attributes:
        tracker: Its name.
        video: The video.
        overlaps: IoU of every frame so far, 0 where the target is absent.
        seconds: Time in the tracker's own calls.
    """

    tracker: str
    video: Video
    overlaps: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def drawn(self, tracker: Tracker) -> Iterator[Image]:
        """Track the video and give its images with everything drawn on them.

        Raises:
            TeacherError: If the tracker fails.
            DataError: If there is no target in frame 0, or an image cannot be read.
        """
        truth = self.video.ground_truth
        if self.video.absent[0]:
            raise DataError(
                self.video.frames[0].parent,
                f"there is no target in frame 0 (box {truth[0].tolist()})",
                "Try a video that begins with its target",
            )
        for t, path in enumerate(self.video.frames):
            image = read_image(path)
            began = time.perf_counter()
            if t == 0:
                box = tracker.start(image, truth[0], Task(self.video.name, len(self.video)))
            else:
                box = tracker.track(image)
            self.seconds += time.perf_counter() - began
            self.overlaps.append(0.0 if self.video.absent[t] else float(overlap(box, truth[t])))
            yield self._drawn(image, box, truth[t], tracker.choices[-1])

    def figures(self, tracker: Tracker) -> Figures:
        """The figures of all frames."""
        counted = np.asarray(self.overlaps)[1:][~self.video.absent[1 : len(self.overlaps)]]
        return Figures(
            self.tracker,
            self.video.name,
            len(self.overlaps),
            float(counted.mean()) if len(counted) else None,
            len(self.overlaps) / self.seconds if self.seconds else 0.0,
            dict(Counter(tracker.chosen[1:])),
        )

    def _drawn(self, image: Image, box: Box, truth: Box, choice: Choice) -> Image:
        """An enlarged copy with all boxes and lines of text; its sides are even, as MPEG-4 wants them."""
        factor = max(1, -(-LEGIBLE_WIDTH // image.shape[1]))
        canvas = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
        height, width = canvas.shape[:2]
        canvas = cv2.copyMakeBorder(canvas, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        t = len(self.overlaps)
        caption = f"{self.tracker}  {t}/{len(self.video)}  IoU {self.overlaps[-1]:.2f}  by {choice.chosen}"
        lines = [(caption, TEXT)]
        # The student's own box is worth showing only where something else was given.
        judged = [name for name in choice.boxes if name != STUDENT or len(choice.boxes) > 1]
        boxes = [(truth, TARGET, 2), (box, TEACHER, 2)]
        for name, colour in zip(judged, _THIN * (1 + len(judged) // len(_THIN)), strict=False):
            boxes.append((choice.boxes[name], colour, 1))
            lines.append((f"{name}  v = {choice.values[name]:.2f}", colour))
        for values, colour, thickness in boxes:
            if is_valid(values):
                left, top, w, h = (float(v) * factor for v in values)
                corner, opposite = (round(left), round(top)), (round(left + w), round(top + h))
                cv2.rectangle(canvas, corner, opposite, colour, thickness, cv2.LINE_AA)
        cv2.rectangle(canvas, (0, 0), (width, 6 + 16 * len(lines)), (0, 0, 0), cv2.FILLED)
        for number, (text, colour) in enumerate(lines, 1):
            at = (6, 16 * number)
            cv2.putText(canvas, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)
        return np.asarray(canvas, dtype=np.uint8)


if __name__ == "__main__":
    sys.exit(run_only_command(Track, "python -m trainer.track"))
