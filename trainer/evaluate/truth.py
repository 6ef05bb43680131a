"""The ground truth of a whole dataset, and which of its frames a protocol counts."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from datasets.boxes import Boxes
from datasets.command_line import progress
from datasets.errors import DataError
from datasets.got10k import Got10k
from datasets.rows import read_bytes, read_flags
from datasets.video import Video, VideoDataset
from trainer.evaluate.protocol import Protocol

Absent = Literal["protocol", "drop", "miss"]
"""Frames that the benchmark marks as absent (LaSOT's full_occlusion and out_of_view, GOT-10k's absence). protocol: they
count by the box that is annotated there, as every frame does whose box is not NaN (the GOT-10k toolkit). drop: they do
not count. miss: they count as missed, whatever the box (LaSOT's own toolkit, pysot)."""


@dataclass(frozen=True, eq=False)
class Truth:
    """The ground truth of V videos, N frames end to end.

    Attributes:
        spec: The dataset as the user named it.
        protocol: The benchmark's protocol.
        names: The videos.
        lengths: int64 (V,), frames of each.
        boxes: float32 (N, 4), 0-based; NaN, which nothing overlaps, where a frame counts as missed.
        counted: bool (N,): the frames that count.
        sizes: float64 (V, 2), width and height of the images; None where the protocol does not bound boxes.
    """

    spec: str
    protocol: Protocol
    names: Sequence[str]
    lengths: NDArray[np.int64]
    boxes: Boxes
    counted: NDArray[np.bool_]
    sizes: NDArray[np.float64] | None

    @property
    def video(self) -> NDArray[np.int64]:
        """The number of each frame's video, int64 (N,)."""
        return np.repeat(np.arange(len(self.names)), self.lengths)


def read_truth(
    dataset: VideoDataset, protocol: Protocol, absent: Absent = "protocol", names: Sequence[str] | None = None
) -> Truth:
    """Read the annotation of all videos, or of those named.

    Raises:
        DataError: If an annotation is not what it has to be, or the dataset withholds it.
        ValueError: If the dataset has no video.
    """
    chosen = tuple(dataset.names if names is None else names)
    if not chosen:
        raise ValueError(f"{dataset.spec} has no video to score")
    videos = []
    counted = []
    sizes = []
    with progress("videos") as bar:
        for name in bar.track(chosen, description="reading annotations"):
            video = dataset[name]
            videos.append(video)
            counted.append(_counted(video, dataset, protocol, absent))
            if protocol.bounded:
                sizes.append(_image_size(video, dataset))
    return Truth(
        spec=dataset.spec,
        protocol=protocol,
        names=chosen,
        lengths=np.array([len(video) for video in videos], np.int64),
        boxes=np.concatenate([_boxes(video, absent) for video in videos]),
        counted=np.concatenate(counted),
        sizes=np.array(sizes, np.float64) if protocol.bounded else None,
    )


def _boxes(video: Video, absent: Absent) -> Boxes:
    if absent != "miss":
        return video.ground_truth
    nothing = np.float32("nan")
    boxes: Boxes = np.where(video.absent[:, None], nothing, video.ground_truth)
    return boxes


def _counted(video: Video, dataset: VideoDataset, protocol: Protocol, absent: Absent) -> NDArray[np.bool_]:
    counted: NDArray[np.bool_] = np.asarray(~np.isnan(video.ground_truth).any(axis=1))
    if not protocol.first_frame:
        counted[0] = False
    cover = _cover(video, dataset)
    if not protocol.covered and cover is not None:
        counted &= cover
    if absent == "drop":
        counted &= ~video.absent
    return counted


def _cover(video: Video, dataset: VideoDataset) -> NDArray[np.bool_] | None:
    """cover.label above 0, bool (T,); None where there is no such file."""
    if not isinstance(dataset, Got10k):
        return None
    path = dataset.folder / video.name / "cover.label"
    if not path.is_file():
        return None
    cover = read_flags(path, 8) > 0
    if len(cover) != len(video):
        problem = f"{len(cover)} rows for {len(video)} frames"
        raise DataError(path, problem, "Restore it, or delete it: every frame then counts as visible")
    return cover


def _image_size(video: Video, dataset: VideoDataset) -> tuple[float, float]:
    """`resolution: (width, height)` of meta_info.ini, as the toolkit has it, or the first image's size."""
    if isinstance(dataset, Got10k):
        path = dataset.folder / video.name / "meta_info.ini"
        size = _resolution(path) if path.is_file() else None
        if size is not None:
            return size
    return image_size(video.frames[0])


def _resolution(path: Path) -> tuple[float, float] | None:
    for line in read_bytes(path).decode("utf-8", "replace").splitlines():
        key, _, value = line.partition(":")
        if key.strip() == "resolution":
            try:
                width, height = ast.literal_eval(value.strip())
                return float(width), float(height)
            except (ValueError, SyntaxError, TypeError):
                problem = f"resolution is {value.strip()!r}, not (width, height)"
                raise DataError(path, problem, "Restore the file from the dataset's archive") from None
    return None


def image_size(path: Path) -> tuple[float, float]:
    """Width and height of an image, from its header.

    Raises:
        DataError: If it cannot be read.
    """
    try:
        with Image.open(path) as image:
            return float(image.width), float(image.height)
    except (OSError, UnidentifiedImageError) as error:
        raise DataError(path, f"the image cannot be read ({error})", "Restore it from the archive") from error
