"""Integrity of a source dataset: every image decoded, every box looked at, nothing changed.

    for defect in audit(open_dataset("got10k:/data/GOT-10k:train"), workers=8):
        print(defect.video, defect.kind, defect.detail)

Findings of one kind in one video are one defect that counts its frames and names the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from datasets.boxes import is_valid, to_corners
from datasets.errors import DataError
from datasets.folder_dataset import FolderDataset, fitted
from datasets.got10k import WITHHELD
from datasets.image_files import ImageFiles, gaps
from datasets.image_integrity import Inspection, inspect_image
from datasets.known_defects import KNOWN_DEFECTS
from datasets.processes import worker_processes
from datasets.video import Video, VideoDataset

DefectKind = Literal[
    "annotation",
    "row-counts",
    "missing-images",
    "bad-image",
    "image-size",
    "repeated-image",
    "repeated-video",
    "invalid-box",
    "box-outside",
    "box-beyond-border",
    "absent-frames",
    "known-defect",
]

KINDS: dict[DefectKind, str] = {
    "annotation": "a file or folder is missing or malformed: the video cannot be read",
    "row-counts": "images, boxes and labels differ in number",
    "missing-images": "the images' numbers have gaps",
    "bad-image": "an image is missing, empty, truncated or damaged",
    "image-size": "images change size within the video",
    "repeated-image": "an image is the same file as the one before",
    "repeated-video": "all images and boxes are those of another video",
    "invalid-box": "a box is NaN or without area, and the frame is not marked as absent",
    "box-outside": "a box has no pixel in the image",
    "box-beyond-border": "a box leaves the image by more than a pixel",
    "absent-frames": "the target is absent: by default such a video has no positive trajectory",
    "known-defect": "the video is known to be faulty (GOT-10k)",
}
"""All kinds of defects, in words."""


@dataclass(frozen=True)
class Defect:
    """One finding in one video.

    Attributes:
        video: The video's name.
        kind: One of `KINDS`.
        detail: What was found, with the value.
        path: The first file at fault; None where no single one is.
        frame: 0-based index of the first frame at fault, or None.
        frames: How many frames are at fault; 0 where that has no meaning.
    """

    video: str
    kind: DefectKind
    detail: str
    path: Path | None = None
    frame: int | None = None
    frames: int = 0


def audit(
    dataset: VideoDataset, workers: int = 1, on_video: Callable[[], None] | None = None
) -> Iterator[Defect]:
    """Find all defects of a dataset, video by video in its order.

    Args:
        dataset: Any dataset; it is sent to each worker once, for GOT-10k's has 0.2 MB of names.
        workers: Processes that decode images.
        on_video: Called after each video, for a progress bar.
    """
    seen: dict[bytes, str] = {}
    if workers <= 1:
        check = partial(_check_video, dataset)
        yield from _collected(map(check, dataset.names), dataset.names, seen, on_video)
        return
    with worker_processes(workers, partial(_hold, dataset)) as pool:
        results = pool.map(_check_held, dataset.names, chunksize=1)
        yield from _collected(results, dataset.names, seen, on_video)


def _collected(
    results: Iterator[tuple[list[Defect], bytes]],
    names: Sequence[str],
    seen: dict[bytes, str],
    on_video: Callable[[], None] | None,
) -> Iterator[Defect]:
    for name, (defects, content) in zip(names, results, strict=True):
        if content:
            first = seen.setdefault(content, name)
            if first != name:
                defects.append(Defect(name, "repeated-video", f"the same images and boxes as {first}"))
        yield from defects
        if on_video is not None:
            on_video()


_held: list[VideoDataset] = []
"""In a worker: the dataset."""


def _hold(dataset: VideoDataset) -> None:
    _held.append(dataset)


def _check_held(name: str) -> tuple[list[Defect], bytes]:
    return _check_video(_held[0], name)


def _check_video(dataset: VideoDataset, name: str) -> tuple[list[Defect], bytes]:
    """All defects of one video, and a digest of its images and boxes (b"" where it cannot be read)."""
    defects = []
    if name in KNOWN_DEFECTS:
        defects.append(Defect(name, "known-defect", KNOWN_DEFECTS[name]))
    try:
        video = dataset[name]
        extra = dataset.audit(name) if isinstance(dataset, FolderDataset) else []
        marked = dataset.marked_absent(name) if isinstance(dataset, FolderDataset) else None
    except DataError as error:
        return [*defects, Defect(name, "annotation", str(error), error.path)], b""
    defects += [Defect(name, "row-counts", note) for note in (*video.notes, *extra) if note != WITHHELD]
    if WITHHELD not in video.notes:
        defects += _box_defects(video, marked)
    inspections = [inspect_image(path) for path in video.frames]
    if inspections:
        defects += _image_defects(video, inspections)
        defects += _border_defects(video, inspections)
        content = blake3(b"".join(i.digest for i in inspections))
        content.update(video.ground_truth.tobytes())
        return defects, content.digest(length=16)
    return defects, b""


def _image_defects(video: Video, inspections: list[Inspection]) -> Iterator[Defect]:
    missing = gaps(video.frames) if isinstance(video.frames, ImageFiles) else []
    if missing:
        first = (
            f"number {missing[0]} is the first of {len(missing)} missing between the first image and the last"
        )
        yield Defect(video.name, "missing-images", first, video.frames[0].parent, None, len(missing))
    bad = [i for i, inspection in enumerate(inspections) if inspection.problem]
    if bad:
        yield _defect(video, "bad-image", bad, f"the image {inspections[bad[0]].problem}")
    sizes = [inspection.size for inspection in inspections]
    known = next((size for size in sizes if size), None)
    changed = [i for i, size in enumerate(sizes) if size and size != known]
    if changed and known:
        width, height = sizes[changed[0]] or (0, 0)
        yield _defect(video, "image-size", changed, f"{width} x {height} after {known[0]} x {known[1]}")
    repeated = [i for i in range(1, len(sizes)) if _same(inspections, i)]
    if repeated:
        yield _defect(video, "repeated-image", repeated, "the same file as the one before")


def _same(inspections: list[Inspection], i: int) -> bool:
    return bool(inspections[i].digest) and inspections[i].digest == inspections[i - 1].digest


def _box_defects(video: Video, marked: NDArray[np.bool_] | None) -> Iterator[Defect]:
    boxes = video.ground_truth
    invalid = ~is_valid(boxes)
    # A benchmark without flags marks absence by a row of NaN alone; with flags, by the flags.
    excused = np.isnan(boxes).all(axis=1) if marked is None else fitted(marked, len(boxes), "flags")[0]
    faulty = np.flatnonzero(invalid & ~excused)
    if faulty.size:
        yield _defect(video, "invalid-box", faulty, f"the box is {_shown(boxes[faulty[0]])}")
    absent = np.flatnonzero(video.absent & ~(invalid & ~excused))
    if absent.size:
        yield _defect(video, "absent-frames", absent, "the target is absent")


def _border_defects(video: Video, inspections: list[Inspection]) -> Iterator[Defect]:
    sizes = np.array([i.size or (np.nan, np.nan) for i in inspections], np.float64)
    corners = to_corners(video.ground_truth)
    valid = is_valid(video.ground_truth) & ~np.isnan(sizes[:, 0])
    outside = valid & ((corners[:, 2:] <= 0).any(axis=1) | (corners[:, :2] >= sizes).any(axis=1))
    beyond = valid & ~outside & ((corners[:, :2] < -1).any(axis=1) | (corners[:, 2:] > sizes + 1).any(axis=1))
    found: tuple[tuple[DefectKind, NDArray[np.bool_]], ...]
    found = (("box-outside", outside), ("box-beyond-border", beyond))
    for kind, mask in found:
        at = np.flatnonzero(mask)
        if at.size:
            width, height = sizes[at[0]].astype(int)
            box = _shown(video.ground_truth[at[0]])
            yield _defect(video, kind, at, f"the box is {box} in an image of {width} x {height}")


def _defect(video: Video, kind: DefectKind, at: Sequence[int] | NDArray[Any], detail: str) -> Defect:
    first = int(at[0])
    many = "" if len(at) == 1 else f" (the first of {len(at)} frames)"
    path = video.frames[first] if video.frames else None
    return Defect(video.name, kind, f"frame {first}{many}: {detail}", path, first, len(at))


def _shown(box: NDArray[np.float32]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in box) + ")"
