"""Integrity of a source dataset: every image decoded, every box looked at, nothing changed.

    for defect in audit(open_dataset("got10k:/data/GOT-10k:train"), workers=8):
        print(defect.video, defect.kind, defect.detail)

Findings of one kind in one video are one defect that counts its frames and names the first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from datasets.rows import read_flags, read_line
from datasets.video import Video, VideoDataset

DefectKind = Literal[
    "list",
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
    "list": "the list of videos is faulty: what is no name there is passed over",
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
        video: The video's name; "" where the list of videos is at fault.
        kind: One of `KINDS`.
        detail: What was found, with the value.
        path: The first file at fault, for a box the annotation; None where no single one is.
        frame: 0-based index of the first frame at fault, or None.
        frames: How many frames are at fault; 0 where that has no meaning.
        row: 1-based line of `path` at fault, where it is a text file, or None.
    """

    video: str
    kind: DefectKind
    detail: str
    path: Path | None = None
    frame: int | None = None
    frames: int = 0
    row: int | None = None


@dataclass(frozen=True)
class _Source:
    """Where a video's boxes and absence are written, for a defect has to name what a user can search for.

    Attributes:
        file: The annotation; None where that is not known.
        base: What it calls the first pixel, 0 or 1.
        absence: Files of absence flags.
        marked: The flags of all of them, bool (rows,); None where there are none.
    """

    file: Path | None = None
    base: int = 0
    absence: tuple[Path, ...] = ()
    marked: NDArray[np.bool_] | None = None

    def named_in(self, note: str) -> Path | None:
        """The file that a reader's note is about: the flags' that it begins with, else the annotation."""
        return next((file for file in self.absence if note.startswith(f"{file.name} ")), self.file)

    def marking(self, frame: int) -> Path | None:
        """The file whose flags mark a frame as absent."""
        for file in self.absence:
            flags = read_flags(file)
            if frame < len(flags) and flags[frame]:
                return file
        return None


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
        source, extra = _source(dataset, name)
    except DataError as error:
        return [*defects, Defect(name, "annotation", str(error), error.path, row=error.row)], b""
    notes = [(source.named_in(note), note) for note in video.notes if note != WITHHELD]
    defects += [Defect(name, "row-counts", note, path) for path, note in (*notes, *extra)]
    if WITHHELD not in video.notes:
        defects += _box_defects(video, source)
    inspections = [inspect_image(path) for path in video.frames]
    if inspections:
        defects += _image_defects(video, inspections)
        defects += _border_defects(video, source, inspections)
        content = blake3(b"".join(i.digest for i in inspections))
        content.update(video.ground_truth.tobytes())
        return defects, content.digest(length=16)
    return defects, b""


def _source(dataset: VideoDataset, name: str) -> tuple[_Source, list[tuple[Path, str]]]:
    """Where a video is annotated, and what else is wrong with those files."""
    if not isinstance(dataset, FolderDataset):
        return _Source(), []
    file, flags = dataset.annotation(name), dataset.absence_files(name)
    return _Source(file, dataset.base, flags, dataset.marked_absent(name)), dataset.audit(name)


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


def _box_defects(video: Video, source: _Source) -> Iterator[Defect]:
    marked, boxes = source.marked, video.ground_truth
    invalid = ~is_valid(boxes)
    # A benchmark without flags marks absence by a row of NaN alone; with flags, by the flags.
    excused = np.isnan(boxes).all(axis=1) if marked is None else fitted(marked, len(boxes), "flags")[0]
    faulty = np.flatnonzero(invalid & ~excused)
    if faulty.size:
        yield _box_defect(video, "invalid-box", faulty, source)
    absent = np.flatnonzero(video.absent & ~(invalid & ~excused))
    if absent.size:
        yield _absence_defect(video, absent, source)


def _absence_defect(video: Video, absent: NDArray[Any], source: _Source) -> Defect:
    file = source.marking(int(absent[0]))
    if file is None:
        return _box_defect(video, "absent-frames", absent, source, "; the target is absent")
    detail = f"value {absent[0] + 1} of {file.name} marks the target as absent"
    return replace(_defect(video, "absent-frames", absent, detail), path=file)


def _border_defects(video: Video, source: _Source, inspections: list[Inspection]) -> Iterator[Defect]:
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
            yield _box_defect(video, kind, at, source, f" in an image of {width} x {height}")


def _box_defect(
    video: Video, kind: DefectKind, at: NDArray[Any], source: _Source, remark: str = ""
) -> Defect:
    """A defect of the annotation: its file and line, and the row as the file has it, for `ground_truth` is 0-based."""
    first = int(at[0])
    if source.file is None:
        box = ", ".join(f"{value:g}" for value in video.ground_truth[first])
        return replace(_defect(video, kind, at, f"the box, 0-based, is ({box}){remark}"), path=None)
    base = f" ({source.base}-based)" if source.base else ""
    row = f"{source.file.name}, line {first + 1} is {read_line(source.file, first + 1)!r}"
    return replace(_defect(video, kind, at, f"{row}{base}{remark}"), path=source.file, row=first + 1)


def _defect(video: Video, kind: DefectKind, at: Sequence[int] | NDArray[Any], detail: str) -> Defect:
    first = int(at[0])
    many = "" if len(at) == 1 else f" (the first of {len(at)} frames)"
    path = video.frames[first] if video.frames else None
    return Defect(video.name, kind, f"frame {first}{many}: {detail}", path, first, len(at))
