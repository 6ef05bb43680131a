"""`python -m teachers try`: one teacher on one video, drawn and measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import yaml
from tyro.conf import Positional

from datasets.errors import DataError
from datasets.folder_dataset import annotated, existing_folder, fitted
from datasets.got10k import first_box_alone
from datasets.image_files import list_images
from datasets.otb import Otb
from datasets.rows import read_flags, read_rows
from datasets.strict_yaml import RepeatedKeyError, parse_yaml
from teachers import registry
from teachers.film import TARGET, TEXT, TRACKER, Canvas, Filming
from teachers.run import Run

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from datasets.video import Video
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
        self.check()
        teacher = registry.create(self.name, parsed(self.options))
        run = Run(self.name, read_video(self.video))
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


def parsed(options: Sequence[str]) -> dict[str, object]:
    """`key=value` strings as the mapping that params.yaml would hold.

    Raises:
        ValueError: If one has no `=` or a value that is not YAML, or two have one key.
    """
    values: dict[str, object] = {}
    for option in options:
        key, found, value = option.partition("=")
        if not found or not key:
            raise ValueError(f"--options {option!r}: write key=value")
        if key in values:
            raise ValueError(f"--options {option!r}: {key} is given twice; leave one of the two out")
        try:
            values[key] = parse_yaml(value)
        except RepeatedKeyError as error:
            raise ValueError(f"--options {option!r}: {error.told}; leave one of the two out") from error
        except yaml.YAMLError as error:
            raise ValueError(f"--options {option!r}: the value is not YAML; quote it") from error
    return values


def read_video(folder: Path) -> Video:
    """Read a single video's folder in GOT-10k's or OTB's layout (of several targets, the first).

    One box for many images is that of frame 0, which is all that a tracker needs: the others have no ground truth.

    Raises:
        DataError: If it is neither, or its files are faulty.
    """
    existing_folder(folder, "Give the folder of one video")
    folder = folder.resolve()
    if (folder / "groundtruth.txt").is_file():
        images, boxes = list_images(folder), read_rows(folder / "groundtruth.txt")
        if len(boxes) == 1 and len(images) > 1:
            boxes = first_box_alone(boxes, len(images))
        flags, notes = None, tuple[str, ...]()
        if (folder / "absence.label").is_file():
            flags, notes = fitted(read_flags(folder / "absence.label") > 0, len(boxes), "absence.label")
        return annotated(folder.name, images, boxes, flags, notes=notes)
    if any(folder.glob("groundtruth_rect*.txt")):
        sequences = Otb(folder.parent)
        name = next(n for n in sequences.names if n in (folder.name, f"{folder.name}-1", f"{folder.name}-2"))
        return sequences[name]
    raise DataError(
        folder,
        "holds neither groundtruth.txt (GOT-10k) nor groundtruth_rect.txt (OTB)",
        "Give the folder of one video, such as data/synthetic/train/NAME",
    )


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
