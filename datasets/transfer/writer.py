"""Writes frames.h5 (`FramesWriter`, streaming) and transfer sets (`write_set`); both appear by rename.

Equal content gives equal bytes: nothing depends on the time, on the folder, or on how the caller split the
work.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing, clear_leftovers
from datasets.errors import DataError
from datasets.transfer.encoding import Encoding, FrameBlock
from datasets.transfer.format import (
    ARRAYS,
    ATTRIBUTES,
    FORMAT,
    FRAMES_ARRAYS,
    FRAMES_ATTRIBUTES,
    FRAMES_FORMAT,
    PIXELS,
    VERSION,
    created_by,
)
from datasets.transfer.keyed import keys_of
from datasets.transfer.pixels import Tables, read_tables
from datasets.transfer.record import TransferSet
from datasets.transfer.seal import Seal, make_seal
from datasets.transfer.structure import (
    create_file,
    find_extents,
    reserve,
    write_array,
    write_attributes,
)


class FramesWriter:
    """Writes frames.h5 block by block, in memory that does not grow with the pixels.

    JPEG bytes stream straight to where the finished HDF5 file has its array `frames/data`; on leaving the
    context the HDF5 structure is laid around them, and the file appears under its name. An exception leaves
    nothing.

    Args:
        path: The file to make, usually DIR/frames.h5.
        encoding: How the blocks were encoded; recorded in the file.

    Attributes:
        seal: Of the finished file.

    Example:
        >>> with FramesWriter(Path("frames.h5"), encoding) as frames:
        ...     for video, indices in wanted:
        ...         frames.append(encode_video(video, indices, encoding))
        >>> frames.seal.fingerprint
    """

    seal: Seal

    def __init__(self, path: Path, encoding: Encoding) -> None:
        self._path = path
        self._encoding = encoding
        self._blocks: dict[str, FrameBlock] = {}
        self._bytes = 0
        self._files = ExitStack()

    def __enter__(self) -> Self:
        clear_leftovers(self._path)
        self._temporary = self._files.enter_context(appearing(self._path))
        self._skeleton = self._temporary.with_name(f"{self._temporary.name}-structure")
        self._files.callback(self._skeleton.unlink, missing_ok=True)
        try:
            self._start = self._lay_structure(1, {})
            self._file: BinaryIO = self._files.enter_context(self._temporary.open("w+b"))
        except BaseException as error:
            self._files.__exit__(type(error), error, error.__traceback__)
            raise
        self._file.seek(self._start)
        return self

    def append(self, block: FrameBlock) -> None:
        """Add a video's frames after those already there.

        Raises:
            ValueError: If the video was already added.
        """
        if block.video in self._blocks:
            raise ValueError(f"video {block.video} was already written: give all its frames in one block")
        self._file.write(block.data)
        self._blocks[block.video] = replace(block, data=b"", offset=block.offset + self._bytes)
        self._bytes += len(block.data)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            try:
                self._finish()
            except BaseException as failure:
                self._files.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._files.__exit__(kind, error, trace)

    def _finish(self) -> None:
        start = self._lay_structure(self._bytes, self._tables())
        if self._bytes and start != self._start:
            raise RuntimeError(
                f"HDF5 {h5py.version.hdf5_version} moved {PIXELS} from {self._start} to {start}"
            )
        with self._skeleton.open("rb") as skeleton:
            size = skeleton.seek(0, os.SEEK_END)
            for begin, end in ((0, self._start), (self._start + self._bytes, size)):
                skeleton.seek(begin)
                self._file.seek(begin)
                self._file.write(skeleton.read(end - begin))
        self._file.flush()
        with h5py.File(self._temporary, "r", locking=False) as file:
            extents = find_extents(file, FRAMES_ARRAYS)
        self.seal = make_seal(self._temporary, extents, by_rows=PIXELS)

    def _tables(self) -> dict[str, Any]:
        blocks = list(self._blocks.values())
        offset = [b.offset[:-1] for b in blocks] + [np.array([self._bytes])]

        def stacked(name: str, width: tuple[int, ...] = ()) -> NDArray[Any]:
            return np.concatenate([getattr(b, name) for b in blocks]) if blocks else np.empty((0, *width))

        return {
            "frames/offset": np.concatenate(offset),
            "frames/digest": stacked("digest", (16,)),
            "frames/window": stacked("window", (4,)),
            "frames/size": stacked("size", (2,)),
            "frames/image_size": stacked("image_size", (2,)),
            "frames/video": np.repeat(np.arange(len(blocks)), [len(b) for b in blocks]),
            "frames/index": stacked("index"),
            "frames/video_name": [b.video for b in blocks],
        }

    def _lay_structure(self, pixel_bytes: int, tables: Mapping[str, Any]) -> int:
        """Write the HDF5 structure with room for the pixels (a hole in the file); returns where it begins."""
        attributes = {
            "format": FRAMES_FORMAT,
            "format_version": VERSION,
            "created_by": created_by(),
            **{f"frames/{key}": value for key, value in asdict(self._encoding).items() if key != "kind"},
            "frames/encoding": self._encoding.kind,
        }
        # Aligned, so that the pixels begin at the same offset however many they are.
        with create_file(self._skeleton, align=True) as file:
            file.create_group("frames")
            write_attributes(file, FRAMES_ATTRIBUTES, attributes)
            offset = reserve(file["frames"], "data", pixel_bytes)
            for array in FRAMES_ARRAYS:
                if array.name in tables:
                    write_array(file, array, tables[array.name])
        return offset


def write_set(path: Path, transfer_set: TransferSet, frames: Path) -> Seal:
    """Write one (pool, β) set beside the frames.h5 that holds its pixels.

    Args:
        path: The file to make.
        transfer_set: Everything but pixels; IoU and the best teacher are computed here.
        frames: A finished frames.h5 in the same folder, which holds every frame of every window.

    Raises:
        ValueError: If `frames` is in another folder.
        DataError: If `frames` lacks a video or frame.
    """
    if frames.parent.resolve() != path.parent.resolve():
        raise ValueError(
            f"{path} and {frames} must lie in one folder: the set's link to its pixels is relative"
        )
    tables, seal = read_tables(frames)
    s = transfer_set
    rows, first = _stored_rows(s, tables, frames)
    width_height = tables["frames/image_size"][first]
    arrays: dict[str, NDArray[Any] | Sequence[str]] = {
        "videos/name": s.video_name,
        "videos/length": s.video_length,
        "videos/width": width_height[:, 0],
        "videos/height": width_height[:, 1],
        "videos/object_class": s.object_class,
        "windows/video": s.window_video,
        "windows/start": s.window_start,
        "windows/frame": rows,
        "boxes/ground_truth": s.ground_truth,
        "boxes/absent": s.absent,
        "boxes/teacher": s.teacher,
        "overlap/iou": s.iou(),
        "overlap/best": s.best(),
    }
    attributes = {
        "format": FORMAT,
        "format_version": VERSION,
        "frames_fingerprint": seal.fingerprint,
        **asdict(s.provenance),
    }
    with appearing(path) as temporary:
        with create_file(temporary) as file:
            write_attributes(file, ATTRIBUTES, attributes)
            for array in ARRAYS:
                write_array(file, array, arrays[array.name])
            file["frames"] = h5py.ExternalLink(frames.name, "/frames")
            extents = find_extents(file, ARRAYS)
        return make_seal(temporary, extents)


def _stored_rows(s: TransferSet, tables: Tables, frames: Path) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the pixels of a set lie in `/frames`.

    Returns:
        The row of each frame of each window, int64 (N, L), and the first row of each video, int64 (V,).

    Raises:
        DataError: If a video or frame is not there.
    """
    remedy = "Pack all sets in one run"
    numbers = {name.decode(): u for u, name in enumerate(tables["frames/video_name"].tolist())}
    unknown = [name for name in s.video_name if name not in numbers]
    if unknown:
        raise DataError(frames, f"lacks the pixels of video {unknown[0]}", remedy)
    video = np.array([numbers[name] for name in s.video_name], dtype=np.int64)
    stored = keys_of(tables["frames/video"], tables["frames/index"])
    frame = s.window_start[:, None] + np.arange(s.provenance.window_length)
    wanted = keys_of(video[s.window_video][:, None], frame)
    rows = np.searchsorted(stored, wanted)
    missing = np.argwhere(np.append(stored, -1)[rows] != wanted)
    if len(missing):
        n, t = missing[0]
        name = s.video_name[s.window_video[n]]
        raise DataError(frames, f"lacks the pixels of frame {frame[n, t]} of video {name}", remedy)
    return rows, np.searchsorted(stored, keys_of(video, np.zeros_like(video)))
