"""`python -m datasets view`: windows of a transfer set as a picture, or one window as a film."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from numpy.typing import NDArray
from PIL import Image

from datasets.atomic import appearing
from datasets.errors import DataError
from datasets.images import RGB
from datasets.mp4 import FPS, write_mp4
from datasets.transfer.reader import TransferReader
from datasets.transfer.sheet import page
from datasets.transfer.tile import spread, tiles

PICTURES = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG"}
FILMS = (".mp4", ".gif")
CONTEXT = 2.0
"""Width and height of what is shown, in those of the target where it is largest."""

_LIMITS = {"count": (1, 1000), "frames": (1, 1000), "context": (0.1, 1000), "fps": FPS}
"""Beyond these, pictures need gigabytes, and films cannot state how long a frame lasts."""

_TILE, _FRAME = 240, 560
"""Longer side of what shows a frame, in a picture and in a film, pixels."""


@dataclass(frozen=True)
class View:
    """Draw windows of a transfer set: some frames of each, with the ground truth and the teachers' boxes.

    Beneath each frame stand the teachers' overlaps with the ground truth, the best in bold.

    Example:
        python -m datasets view data/transfer/P-0.5.h5 --out windows.png
        python -m datasets view data/transfer/P-0.5.h5 --window 17 --out window17.mp4
    """

    file: tyro.conf.Positional[Path]
    """A transfer set."""
    window: tuple[int, ...] = ()
    """Numbers of windows, 0-based; left out, some are chosen evenly from all."""
    video: str | None = None
    """Show windows of this video."""
    count: int = 8
    """At most so many windows, where they are not named."""
    frames: int = 6
    """Frames shown of each, in a picture."""
    context: float = CONTEXT
    """Width and height of what is shown, in those of the target where it is largest."""
    fps: float = 10.0
    """Frames per second of a film."""
    out: Path | None = None
    """The file to make, .png or .jpg; or .mp4 or .gif, which show all frames of one window. Left out, a PNG of the
    set's name in this folder."""

    def run(self) -> int:
        """Draw, and print what was made; 0."""
        out = self.out or Path(f"{self.file.stem}.png")
        if out.suffix.lower() not in (*PICTURES, *FILMS):
            raise ValueError(f"--out {out}: name a file that ends in {', '.join([*PICTURES, *FILMS])}")
        for name, (least, most) in _LIMITS.items():
            if not least <= getattr(self, name) <= most:
                raise ValueError(f"--{name} {getattr(self, name)}: give a number from {least:g} to {most:g}")
        with TransferReader(self.file) as reader:
            windows = self._chosen(reader)
            if out.suffix.lower() in PICTURES:
                picture = contact_sheet(reader, windows, self.frames, self.context)
                with appearing(out) as temporary:
                    Image.fromarray(picture).save(temporary, PICTURES[out.suffix.lower()], quality=90)
            elif len(windows) == 1:
                write_film(out, reader, windows[0], self.fps, self.context)
            else:
                raise ValueError(
                    f"--out {out}: a film shows one window, not {len(windows)}: name it with --window"
                )
        print(f"{out}: window{'s' * (len(windows) > 1)} {', '.join(map(str, windows))} of {self.file}")
        return 0

    def _chosen(self, reader: TransferReader) -> list[int]:
        if self.window and self.video is not None:
            raise ValueError("--window and --video: name windows or a video, not both")
        for n in self.window:
            if not 0 <= n < len(reader):
                raise DataError(self.file, f"has no window {n}", f"It has {len(reader)}: count from 0")
        if self.window:
            return list(self.window)
        if not len(reader):
            raise DataError(
                self.file, "has no window to show", "Choose a set of a smaller β, or of shorter windows"
            )
        among = np.arange(len(reader)) if self.video is None else _windows_of(reader, self.video)
        return [int(among[i]) for i in spread(len(among), self.count)]


def _windows_of(reader: TransferReader, video: str) -> NDArray[np.integer]:
    names = [reader.content.video_name[v] for v in np.unique(reader.content.window_video)]
    if video not in names:
        near = [*difflib.get_close_matches(video, names, n=1), names[0]]
        remedy = f"Name one of its {len(names)}, such as {near[0]!r}"
        raise DataError(reader.path, f"has no window of a video {video!r}", remedy)
    return np.flatnonzero(reader.content.window_video == reader.content.video_name.index(video))


def contact_sheet(
    reader: TransferReader, windows: list[int], frames: int = 6, context: float = CONTEXT, side: int = _TILE
) -> RGB:
    """Draw windows of a set, one below the other.

    Args:
        reader: The set.
        windows: Their numbers, at least one.
        frames: Frames shown of each, evenly spaced.
        context: Width and height of what is shown, in those of the target.
        side: Longer side of a frame, pixels.

    Returns:
        uint8 (H, W, 3), RGB.

    Raises:
        DataError: If a stored JPEG file is damaged.
    """
    found = [reader[n] for n in windows]
    shown = [tiles(window, spread(len(window), frames), side, context) for window in found]
    return page(_title(reader), reader.content.provenance.teachers, shown, side)


def write_film(
    out: Path,
    reader: TransferReader,
    window: int,
    fps: float = 10.0,
    context: float = CONTEXT,
    side: int = _FRAME,
) -> None:
    """Write all frames of a window as an MP4 or GIF, which appears when it is complete.

    Args:
        out: The file to make, .mp4 or .gif.
        reader: The set.
        window: The window's number.
        fps: Frames per second.
        context: Width and height of what is shown, in those of the target.
        side: Longer side of a frame, pixels.

    Raises:
        DataError: If a stored JPEG file is damaged, the disk is full, or OpenCV cannot write MPEG-4.
    """
    found = reader[window]
    shown = tiles(found, range(len(found)), side, context)
    pages = (page(_title(reader), reader.content.provenance.teachers, [[tile]], side) for tile in shown)
    if out.suffix.lower() == ".mp4":
        write_mp4(out, fps, (_even(image) for image in pages))
        return
    with appearing(out) as temporary:
        first, *rest = (Image.fromarray(image) for image in pages)
        first.save(temporary, "GIF", save_all=True, append_images=rest, duration=round(1000 / fps), loop=0)


def _even(image: RGB) -> NDArray[np.uint8]:
    """RGB as write_mp4 wants it: BGR, with even sides."""
    height, width = image.shape[:2]
    return np.pad(image[..., ::-1], ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _title(reader: TransferReader) -> str:
    p = reader.content.provenance
    windows, videos = len(reader), len(reader.content.video_name)
    counted = f"{windows} window{'s' * (windows != 1)} of {videos} video{'s' * (videos != 1)}"
    return f"{reader.path.name}: pool {p.pool}, β = {p.beta:g}, {counted}"
