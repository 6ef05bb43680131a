"""`python -m teachers try`: one teacher on one video, drawn and measured."""

from __future__ import annotations

import json
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np
import yaml
from tyro.conf import Positional

from datasets.atomic import appearing
from datasets.boxes import is_valid, overlap
from datasets.command_line import progress
from datasets.errors import DataError
from datasets.folder_dataset import annotated, existing_folder, fitted
from datasets.image_files import list_images
from datasets.images import read_image
from datasets.otb import Otb
from datasets.rows import read_flags, read_rows
from teachers import registry
from teachers.base import Image, Task, Teacher, TeacherError, checked_box

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from datasets.video import Video
    from teachers.base import Box

TARGET, TEACHER, TEXT = (80, 200, 80), (0, 140, 255), (255, 255, 255)
"""BGR: the ground truth is green, the teacher's box orange."""

LEGIBLE_WIDTH = 480
"""Narrower images are enlarged to at least this, so that the text can be read."""


@dataclass(frozen=True)
class Try:
    """Run a teacher on one video, and draw its box (orange) and the ground truth (green) into an MP4.

    Example:
        python -m datasets synth data/demo --videos 1 --seed 0
        python -m teachers try csrt --video data/demo/train/NAME --out csrt.mp4 --options padding=2.5
    """

    name: Positional[str]
    """A name that `python -m teachers list` shows, or module:callable."""
    video: Path
    """A video's folder as GOT-10k (groundtruth.txt) or OTB (img/, groundtruth_rect.txt) lay it out."""
    out: Path
    """The MP4 file to write (MPEG-4 part 2, which desktop players show and browsers do not)."""
    options: tuple[str, ...] = ()
    """Options of the teacher, each key=value with the value as params.yaml would have it."""
    fps: float = 25.0
    """Frames per second of the MP4."""
    json: bool = False
    """Print the measurements as JSON to stdout."""

    def run(self) -> int:
        """Track, draw, measure; the exit code is 1 where the teacher failed on the video."""
        if self.out.suffix.lower() != ".mp4":
            raise ValueError(f"--out {self.out}: the file is an MP4, so give it a name that ends in .mp4")
        if not self.fps > 0:
            raise ValueError(f"--fps {self.fps}: give a positive number")
        teacher = registry.create(self.name, parsed(self.options))
        video = read_video(self.video)
        run = Run(self.name, video)
        try:
            write_mp4(self.out, self.fps, run.drawn(teacher), len(video))
        except TeacherError as error:
            print(f"{self.name} failed: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
            return 1
        summary = run.summary()
        if self.json:
            print(json.dumps(asdict(summary)))
        else:
            print(f"{summary}. See {self.out}")
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


@dataclass
class Run:
    """What one teacher does on one video, frame by frame.

    Attributes:
        teacher: The teacher's name.
        video: The video.
        overlaps: IoU of every frame so far; 0 where the target is absent.
        seconds: Time in the teacher's own calls so far.
    """

    teacher: str
    video: Video
    overlaps: list[float] = field(default_factory=list)
    seconds: float = 0.0

    def drawn(self, teacher: Teacher) -> Iterator[Image]:
        """Track the video and give its images with both boxes and the figures drawn on them.

        Raises:
            TeacherError: If the video has no target in frame 0, or the teacher cannot track it.
            DataError: If an image cannot be read.
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
            box = self._tracked(teacher, image, t)
            self.overlaps.append(float(overlap(box, truth[t])) if not self.video.absent[t] else 0.0)
            yield _drawn(image, box, truth[t], self._caption(t))

    def _tracked(self, teacher: Teacher, image: Image, t: int) -> Box:
        given = image if teacher.needs_images else None
        began = time.perf_counter()
        if t == 0:
            answer = teacher.start(given, self.video.ground_truth[0], Task(self.video.name, len(self.video)))
        else:
            answer = teacher.track(given)
        self.seconds += time.perf_counter() - began
        return checked_box(answer, f"{self.teacher}, video {self.video.name}, frame {t}")

    def _caption(self, t: int) -> str:
        rate = (t + 1) / self.seconds if self.seconds else 0.0
        iou = "absent" if self.video.absent[t] else f"IoU {self.overlaps[t]:.2f}"
        return f"{self.teacher}  {t + 1}/{len(self.video)}  {iou}  {rate:.0f} frames/s"

    def summary(self) -> Summary:
        """The figures of the frames so far."""
        counted = np.asarray(self.overlaps)[1:][~self.video.absent[1 : len(self.overlaps)]]
        return Summary(
            self.teacher,
            self.video.name,
            len(self.overlaps),
            float(counted.mean()) if len(counted) else None,
            float(counted.min()) if len(counted) else None,
            len(self.overlaps) / self.seconds if self.seconds else 0.0,
        )


def parsed(options: Sequence[str]) -> dict[str, object]:
    """`key=value` strings as the mapping that params.yaml would hold.

    Raises:
        ValueError: If one has no `=` or a value that is not YAML.
    """
    values: dict[str, object] = {}
    for option in options:
        key, found, value = option.partition("=")
        if not found or not key:
            raise ValueError(f"--options {option!r}: write key=value")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ValueError(f"--options {option!r}: the value is not YAML; quote it") from error
    return values


def read_video(folder: Path) -> Video:
    """Read a single video's folder in GOT-10k's or OTB's layout (of several targets, the first).

    Raises:
        DataError: If it is neither, or its files are faulty.
    """
    existing_folder(folder, "Give the folder of one video")
    folder = folder.resolve()
    if (folder / "groundtruth.txt").is_file():
        boxes = read_rows(folder / "groundtruth.txt")
        flags, notes = None, tuple[str, ...]()
        if (folder / "absence.label").is_file():
            flags, notes = fitted(read_flags(folder / "absence.label") > 0, len(boxes), "absence.label")
        return annotated(folder.name, list_images(folder), boxes, flags, notes=notes)
    if any(folder.glob("groundtruth_rect*.txt")):
        sequences = Otb(folder.parent)
        name = next(n for n in sequences.names if n in (folder.name, f"{folder.name}-1", f"{folder.name}-2"))
        return sequences[name]
    raise DataError(
        folder,
        "holds neither groundtruth.txt (GOT-10k) nor groundtruth_rect.txt (OTB)",
        "Give the folder of one video, such as data/synthetic/train/NAME",
    )


def write_mp4(path: Path, fps: float, images: Iterator[Image], count: int) -> None:
    """Write images as an MP4 that appears when it is complete.

    Raises:
        OSError: If OpenCV cannot write it.
    """
    with appearing(path) as temporary, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        file = Path(folder) / "video.mp4"  # OpenCV picks the container by the file's suffix
        writer = None
        try:
            with progress("frames") as bar:
                for image in bar.track(images, total=count, description="tracking"):
                    if writer is None:
                        size = (image.shape[1], image.shape[0])
                        writer = cv2.VideoWriter(str(file), cv2.VideoWriter.fourcc(*"mp4v"), fps, size)
                        if not writer.isOpened():
                            raise OSError(f"{path}: this OpenCV cannot write MPEG-4 videos")
                    writer.write(image)
        finally:
            if writer is not None:
                writer.release()
        file.replace(temporary)


def _drawn(image: Image, box: Box, truth: Box, caption: str) -> Image:
    """An enlarged copy with both boxes and a line of text; its sides are even, as MPEG-4 wants them."""
    factor = max(1, -(-LEGIBLE_WIDTH // image.shape[1]))
    canvas = cv2.resize(image, None, fx=factor, fy=factor, interpolation=cv2.INTER_CUBIC)
    height, width = canvas.shape[:2]
    canvas = cv2.copyMakeBorder(canvas, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    for values, colour in ((truth, TARGET), (box, TEACHER)):
        if is_valid(values):
            left, top, w, h = (float(v) * factor for v in values)
            corner, opposite = (round(left), round(top)), (round(left + w), round(top + h))
            cv2.rectangle(canvas, corner, opposite, colour, 2, cv2.LINE_AA)
    cv2.rectangle(canvas, (0, 0), (width, 22), (0, 0, 0), cv2.FILLED)
    cv2.putText(canvas, caption, (6, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.5, TEXT, 1, cv2.LINE_AA)
    return np.asarray(canvas, dtype=np.uint8)
