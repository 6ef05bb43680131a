"""One video by itself, without the benchmark that it belongs to: a folder, or a film."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from datasets.boxes import Boxes
from datasets.errors import DataError
from datasets.folder_dataset import annotated, existing_folder, fitted
from datasets.got10k import first_box_alone
from datasets.image_files import list_images
from datasets.images import Pixels, read_image
from datasets.otb import Otb
from datasets.rows import read_flags, read_rows
from datasets.video import Video, absence


@dataclass(frozen=True, eq=False)
class SingleVideo:
    """A video, and its images one after the other, which can be gone through once.

    Attributes:
        video: Where only the first box is known, all other frames count as without target.
        images: T of them, uint8 (H, W, 3), BGR; reading one may raise DataError.
    """

    video: Video
    images: Iterable[Pixels]


def read_single(path: Path, box: tuple[float, float, float, float] | None = None) -> SingleVideo:
    """Read a video's folder, in GOT-10k's or OTB's layout (of several targets, the first), or a film.

    Args:
        path: The folder, or a file that OpenCV can read.
        box: The target in frame 0, (x, y, w, h), 0-based. A film needs it; of a folder it takes the annotation's place.

    Raises:
        DataError: If it is neither, or its files are faulty.
        ValueError: If a film has no box.
    """
    if path.is_file():
        if box is None:
            raise ValueError(
                f"--video {path}: a film says nothing of its target: add --box X Y W H, in its first frame"
            )
        frames = _count(path)
        return SingleVideo(_begun(path.stem, (), box, frames), _film(path, frames))
    video = _read_folder(path) if box is None else _unannotated(path, box)
    return SingleVideo(video, map(read_image, video.frames))


def _read_folder(folder: Path) -> Video:
    """A folder with its annotation; one box for many images is that of frame 0, which is all that a tracker needs."""
    existing_folder(folder, "Give the folder of one video, or a film")
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
        own = [n for n in sequences.names if n == folder.name or n.rpartition("-")[0] == folder.name]
        return sequences[own[0]]
    raise DataError(
        folder,
        "holds neither groundtruth.txt (GOT-10k) nor groundtruth_rect.txt (OTB)",
        "Give the folder of one video, such as data/synthetic/train/NAME, or add --box X Y W H",
    )


def _unannotated(folder: Path, box: tuple[float, float, float, float]) -> Video:
    existing_folder(folder, "Give a folder of images, or a film")
    folder = folder.resolve()
    images = list_images(folder / "img" if (folder / "img").is_dir() else folder)
    return _begun(folder.name, images, box, len(images))


def _begun(name: str, frames: Iterable[Path], box: tuple[float, float, float, float], length: int) -> Video:
    boxes: Boxes = first_box_alone(np.array([box], np.float32), length)
    return Video(name, tuple(frames), boxes, absence(boxes))


def _count(path: Path) -> int:
    """A film's frames, which its header need not tell truly."""
    film = cv2.VideoCapture(str(path))
    frames = 0
    while film.grab():
        frames += 1
    film.release()
    if not frames:
        raise DataError(
            path, "this is no film that OpenCV can read", "Convert it, or give a folder of images"
        )
    return frames


def _film(path: Path, frames: int) -> Iterator[Pixels]:
    film = cv2.VideoCapture(str(path))
    try:
        for t in range(frames):
            there, image = film.read()
            if not there:
                raise DataError(path, f"frame {t} of {frames} cannot be decoded", "Convert the film")
            yield np.asarray(image, np.uint8)
    finally:
        film.release()
