"""`python -m teachers try`: one teacher on one video, drawn and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tyro.conf import Positional

from datasets.single_video import read_single
from teachers import registry
from teachers.film import TARGET, TEXT, TRACKER, Canvas, Filming
from teachers.named_files import files_of
from teachers.options import parsed
from teachers.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from teachers.base import Image, Teacher


@dataclass(frozen=True, kw_only=True)
class Try(Filming):
    """Run a teacher on one video, and draw its box (orange) and the ground truth (green) into an MP4.

    Example:
        python -m datasets synth data/demo --videos 1 --seed 0
        python -m teachers try csrt --video data/demo/train/NAME --out csrt.mp4 --options padding=2.5
    """

    name: Positional[str]
    """A name that `python -m teachers list` shows, or module:callable."""
    options: tuple[str, ...] = ()
    """Options of the teacher, each key=value with the value as params.yaml would have it."""

    def run(self) -> int:
        """Track, draw, measure; the exit code is 1 where the teacher failed on the video."""
        options = parsed(self.options)
        self.check(files_of(self.name, options))
        teacher = registry.create(self.name, options)
        run = Run(self.name, read_single(self.video, self.box))
        if not self.film(run, _drawn(run, teacher)):
            return 1
        self.tell(Summary.of(run))
        return 0


@dataclass(frozen=True)
class Summary:
    """A teacher's figures on one video.

    Attributes:
        teacher, video: Their names.
        frames: Number of frames tracked.
        ao, min_iou: Mean and lowest IoU over the frames t >= 1 with the target present, or None.
        fps: Frames per second of the teacher alone, without reading and drawing.
    """

    teacher: str
    video: str
    frames: int
    ao: float | None
    min_iou: float | None
    fps: float

    def __str__(self) -> str:
        overlaps = "no overlaps" if self.ao is None else f"AO {self.ao:.3f}, lowest IoU {self.min_iou:.3f}"
        return (
            f"{self.teacher} on {self.video}: {self.frames} frames, {overlaps}, "
            f"{self.fps:.0f} frames/s (tracker alone)"
        )

    @classmethod
    def of(cls, run: Run) -> Summary:
        """The figures of a run's frames."""
        least = float(run.counted.min()) if len(run.counted) else None
        return cls(run.name, run.video.name, len(run.overlaps), run.ao, least, run.fps)


def _drawn(run: Run, teacher: Teacher) -> Iterator[Image]:
    """The images of a run with both boxes and a line of figures."""
    video = run.video
    for t, image, box in run.tracked(teacher):
        iou = "absent" if video.absent[t] else f"IoU {run.overlaps[t]:.2f}"
        canvas = Canvas(image)
        canvas.box(video.ground_truth[t], TARGET)
        canvas.box(box, TRACKER)
        canvas.text([(f"{run.name}  {t + 1}/{len(video)}  {iou}  {run.fps:.0f} frames/s", TEXT)])
        yield canvas.image
