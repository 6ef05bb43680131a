"""A tracker's run as an MP4: frames enlarged until text can be read, with boxes and lines of text."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from datasets.atomic import appearing
from datasets.boxes import is_valid
from datasets.command_line import progress
from datasets.mp4 import FPS, write_mp4
from teachers.base import TeacherError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from _typeshed import DataclassInstance

    from teachers.base import Box, Image
    from teachers.run import Run

Colour = tuple[int, int, int]
"""BGR."""

TARGET, TRACKER, TEXT = (80, 200, 80), (0, 140, 255), (255, 255, 255)
"""The ground truth is green, the tracker's box orange."""

_FAR = 1e6
"""Pixels; a box that leaves the image by more is drawn as if it left by this: OpenCV draws with 32-bit integers."""

_LEGIBLE_WIDTH = 480
"""Narrower images are enlarged to at least this, so that the text can be read."""


@dataclass(frozen=True, kw_only=True)
class Filming:
    """What commands that run one tracker on one video and draw it have in common."""

    video: Path
    """A video's folder as GOT-10k (images, groundtruth.txt) or OTB (img/, groundtruth_rect.txt) lay it out; of
    groundtruth.txt the first row is enough. With --box also a folder of images alone, or a film (MP4, AVI ...)."""
    box: tuple[float, float, float, float] | None = None
    """The target in the first frame, X Y W H in pixels, 0-based; for a folder, instead of its annotation."""
    boxes: Path | None = None
    """A text file to write the tracker's boxes to as well, a row x,y,w,h per frame, 0-based."""
    out: Path
    """The MP4 file to write (MPEG-4 part 2, which desktop players show and browsers do not)."""
    fps: float = 25.0
    """Frames per second of the MP4."""
    json: bool = False
    """Print the measurements as JSON to stdout."""

    def check(self, files: Iterable[Path] = ()) -> None:
        """See that a film can be made as asked, before anything is tracked.

        Args:
            files: What is read beside the video; of a folder, all that is in it.

        Raises:
            ValueError: If `out` is no MP4 or is a folder, `out` or `boxes` is something that is read, or `fps` too
                small or too large.
        """
        if self.out.suffix.lower() != ".mp4":
            raise ValueError(f"--out {self.out}: the file is an MP4, so give it a name that ends in .mp4")
        if self.box is not None and not is_valid(self.box):
            raise ValueError(
                f"--box {' '.join(map(str, self.box))}: give X Y W H, with a width and a height above 0"
            )
        if self.boxes is not None and self.boxes.is_dir():
            raise ValueError(f"--boxes {self.boxes}: this is a folder; give the name of a file")
        if self.out.is_dir():
            raise ValueError(f"--out {self.out}: this is a folder; give the name of a file")
        inputs = (self.video, *files)
        for option, path in (("--out", self.out), ("--boxes", self.boxes)):
            over = next((file for file in inputs if path is not None and _is_of(path, file)), None)
            if over is not None:
                what = "this file is read" if over.is_file() else f"this file is there, and {over} is read"
                raise ValueError(f"{option} {path}: {what}; give a name that writes over nothing")
        if not FPS[0] <= self.fps <= FPS[1]:
            raise ValueError(f"--fps {self.fps}: give a number from {FPS[0]:g} to {FPS[1]:g}")

    def film(self, run: Run, images: Iterator[Image]) -> bool:
        """Write the images of a run, and say on stderr where its tracker failed.

        Returns:
            Whether it did not fail; where it did there is no film.

        Raises:
            DataError: If the film cannot be written, or an image cannot be read.
        """
        try:
            with progress("frames") as bar:
                tracked = bar.track(images, total=len(run.video), description="tracking")
                write_mp4(self.out, self.fps, of_one_size(tracked))
        except TeacherError as error:
            print(f"{run.name} failed: {error}", *getattr(error, "__notes__", ()), sep="\n", file=sys.stderr)
            return False
        if self.boxes is not None:
            with appearing(self.boxes) as temporary:
                np.savetxt(temporary, np.stack(run.boxes), fmt="%.4f", delimiter=",")
        return True

    def tell(self, figures: DataclassInstance) -> None:
        """Print a run's figures, as JSON where that is asked for."""
        print(json.dumps(asdict(figures)) if self.json else f"{figures}. See {self.out}")


def _is_of(path: Path, read: Path) -> bool:
    """Whether a file that is there is, or is among, what is read. No folder is read for its films."""
    if not path.exists():
        return False
    if read.is_file():
        return path.samefile(read)
    # Not what a link of this name leads to: it is the link that a new file would replace.
    return path.suffix.lower() != ".mp4" and path.parent.resolve().is_relative_to(read.resolve())


def of_one_size(images: Iterable[Image]) -> Iterator[Image]:
    """Images as large as the first: another one is scaled to fit, on black; an MP4 would silently lack it.

    Args:
        images: uint8 (H, W, 3) of any sizes.
    """
    wanted: tuple[int, int] | None = None
    for image in images:
        height, width = image.shape[:2]
        wanted = wanted or (height, width)
        if (height, width) == wanted:
            yield image
            continue
        factor = min(wanted[0] / height, wanted[1] / width)
        size = max(1, round(width * factor)), max(1, round(height * factor))
        canvas = np.zeros((*wanted, 3), np.uint8)
        canvas[: size[1], : size[0]] = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        yield canvas


class Canvas:
    """An enlarged copy of an image to draw on; its sides are even, as MPEG-4 wants them.

    Args:
        image: uint8 (H, W, 3), BGR.
    """

    def __init__(self, image: Image) -> None:
        self._factor = max(1, -(-_LEGIBLE_WIDTH // image.shape[1]))
        enlarged = cv2.resize(image, None, fx=self._factor, fy=self._factor, interpolation=cv2.INTER_CUBIC)
        height, width = enlarged.shape[:2]
        self._pixels = cv2.copyMakeBorder(
            enlarged, 0, height % 2, 0, width % 2, borderType=cv2.BORDER_REPLICATE
        )
        self._width = width

    @property
    def image(self) -> Image:
        """What was drawn so far, uint8 (even, even, 3), BGR."""
        return np.asarray(self._pixels, dtype=np.uint8)

    def box(self, values: Box, colour: Colour, thickness: int = 2) -> None:
        """Draw a box of the image, if it is one."""
        if is_valid(values):
            left, top, w, h = (float(v) * self._factor for v in values)
            corner, opposite = (_drawable(left), _drawable(top)), (_drawable(left + w), _drawable(top + h))
            cv2.rectangle(self._pixels, corner, opposite, colour, thickness, cv2.LINE_AA)

    def text(self, lines: Iterable[tuple[str, Colour]]) -> None:
        """Write lines of text on a black ground at the top."""
        lines = list(lines)
        cv2.rectangle(self._pixels, (0, 0), (self._width, 6 + 16 * len(lines)), (0, 0, 0), cv2.FILLED)
        for number, (line, colour) in enumerate(lines, 1):
            place = (6, 16 * number)
            cv2.putText(self._pixels, line, place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1, cv2.LINE_AA)


def _drawable(coordinate: float) -> int:
    return round(min(max(coordinate, -_FAR), _FAR))
