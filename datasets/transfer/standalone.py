"""Standalone sets: a set and the pixels of its windows in one file, out of the sets and pixels of other files.

`export`, `merge` and `repair` write through here. What they copy is held against its digests first, so that damage
never gets a new, valid seal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing, clear_leftovers
from datasets.transfer.encoding import row_digest
from datasets.transfer.format import ARRAYS, ATTRIBUTES, FORMAT, FRAMES_ARRAYS, FRAMES_ATTRIBUTES, PIXELS
from datasets.transfer.pixels import Pixels, Tables, existing_file, open_checked
from datasets.transfer.reader import load_set, open_pixels, read_attributes
from datasets.transfer.seal import Seal, damaged, make_seal, read_whole
from datasets.transfer.structure import create_file, find_extents, reserve, write_array, write_attributes

PIXEL_ATTRIBUTES = tuple(a for a in FRAMES_ATTRIBUTES if a.name.startswith("frames/"))
"""How the pixels are encoded, which a standalone set says on its `/frames`."""

_GATHERED = tuple(a.name for a in FRAMES_ARRAYS if a.shape[0] == "M" and a.name != "frames/video")
_TOGETHER = 256
"""Stored images that are copied in one piece."""

Advance = Callable[[int, int], None]
"""Told the number of images read or copied since the last call, and of all."""


@dataclass(frozen=True, eq=False)
class OpenSet:
    """A transfer set that was opened and found undamaged, but for the JPEG files, which nobody has read yet.

    Attributes:
        path: The set.
        attributes: Those of the root, and `PIXEL_ATTRIBUTES`, as Python or NumPy values.
        tables: Every array of the format's `ARRAYS`.
        pixels: The stored images, its own or those of its frames.h5.
    """

    path: Path
    attributes: dict[str, Any]
    tables: Tables
    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Rows:
    """Where each of the M images of a new file comes from.

    Attributes:
        sources: Files of pixels.
        source: int (M,), which of them.
        row: int (M,), the row of its `/frames`.
    """

    sources: Sequence[Pixels]
    source: NDArray[np.integer]
    row: NDArray[np.integer]

    def __len__(self) -> int:
        """Number of images M."""
        return len(self.row)

    def gathered(self, name: str) -> NDArray[Any]:
        """An array of `/frames` with one value (or row of values) per image, for these images."""
        return self._picked([pixels.tables[name] for pixels in self.sources])

    def lengths(self) -> NDArray[np.int64]:
        """Bytes of each JPEG file, int64 (M,)."""
        return self._picked([np.diff(pixels.tables["frames/offset"]) for pixels in self.sources])

    def _picked(self, parts: list[NDArray[Any]]) -> NDArray[Any]:
        first = np.cumsum([0, *map(len, parts)])[:-1]
        found: NDArray[Any] = np.concatenate(parts)[first[self.source] + self.row]
        return found

    def files(self) -> Iterator[list[memoryview]]:
        """The JPEG files in order, some at a time.

        Raises:
            DataError: If one is not what its digest says.
        """
        change = (np.diff(self.source) != 0) | (np.diff(self.row) != 1)
        for run in np.split(np.arange(len(self)), np.flatnonzero(change) + 1):
            for i in range(0, len(run), _TOGETHER):
                part = run[i : i + _TOGETHER]
                pixels, row = self.sources[self.source[part[0]]], int(self.row[part[0]])
                files = pixels.read(row, len(part))
                digests = pixels.tables["frames/digest"][row : row + len(part)]
                for m, (file, digest) in enumerate(zip(files, digests, strict=True), row):
                    if not np.array_equal(row_digest(file), digest):
                        raise damaged(pixels.path, f"frames/data, row {m}: the JPEG file changed")
                yield files


@contextmanager
def open_set(path: Path) -> Iterator[OpenSet]:
    """Open a set to copy from, standalone or with its frames.h5, and check the bytes of all its tables.

    Raises:
        DataError: If the set, or its pixels, are missing, damaged, or of different builds.
    """
    existing_file(path, "Name a set that `dvc repro` made, as data/transfer/P-0.5.h5")
    read_whole(path)
    with open_checked(path, (FORMAT,)) as file:
        attributes = read_attributes(path, file)
        tables = load_set(path, file)
        pixels = open_pixels(path, file)
    try:
        with h5py.File(pixels.path, "r", locking=False) as file:
            for a in PIXEL_ATTRIBUTES:
                attributes[a.name] = file["frames"].attrs[a.name.partition("/")[2]]
        yield OpenSet(path, attributes, tables, pixels)
    finally:
        pixels.close()


def write_standalone(
    out: Path, attributes: dict[str, Any], tables: Tables, rows: Rows, advance: Advance
) -> Seal:
    """Write a set with its pixels inside; memory does not grow with the pixels.

    Args:
        out: The file to make, which appears whole or not at all.
        attributes: Those of the root, and `PIXEL_ATTRIBUTES`.
        tables: Every array of the format's `ARRAYS`, with `windows/frame` counting the new file's rows, and
            `frames/video` and `frames/video_name`, which no source file knows.
        rows: The images, grouped by video, ascending by frame.
        advance: Told what is copied.

    Returns:
        The seal of the new file.

    Raises:
        DataError: If an image is damaged.
    """
    offset = np.append(0, np.cumsum(rows.lengths()))
    tables = {**tables, "frames/offset": offset, **{name: rows.gathered(name) for name in _GATHERED}}
    arrays = (*ARRAYS, *FRAMES_ARRAYS)
    clear_leftovers(out)
    with appearing(out) as temporary:
        with create_file(temporary) as file:
            file.create_group("frames")
            write_attributes(file, (*ATTRIBUTES, *PIXEL_ATTRIBUTES), attributes)
            start = reserve(file["frames"], "data", int(offset[-1]))
            for array in arrays:
                if array.name != PIXELS:
                    values = tables[array.name]
                    texts = array.dtype == "|S"
                    write_array(file, array, [v.decode() for v in values.tolist()] if texts else values)
        with temporary.open("r+b") as copy:
            copy.seek(start)
            for files in rows.files():
                copy.writelines(files)
                advance(len(files), len(rows))
        with h5py.File(temporary, "r", locking=False) as file:
            extents = find_extents(file, arrays)
        return make_seal(temporary, extents, by_rows=PIXELS)


def write_windows(
    out: Path, of: OpenSet, advance: Advance, windows: NDArray[np.integer] | None = None
) -> Seal:
    """Write a standalone set of one set's windows, or of some of them; see `write_standalone`.

    Args:
        out: The file to make.
        of: The set.
        advance: Told what is copied.
        windows: Which windows, ascending, and only their videos; None for all windows and all videos.
    """
    tables = of.tables if windows is None else _only(of.tables, windows)
    rows = np.unique(tables["windows/frame"])
    old = of.pixels.tables
    videos, video = np.unique(old["frames/video"][rows], return_inverse=True)
    tables = {
        **tables,
        "windows/frame": np.searchsorted(rows, tables["windows/frame"]),
        "frames/video": video,
        "frames/video_name": old["frames/video_name"][videos],
    }
    return write_standalone(
        out, of.attributes, tables, Rows([of.pixels], np.zeros(len(rows), int), rows), advance
    )


def _only(tables: Tables, windows: NDArray[np.integer]) -> Tables:
    videos, video = np.unique(tables["windows/video"][windows], return_inverse=True)
    kept = {a.name: tables[a.name][videos if a.shape[0] == "V" else windows] for a in ARRAYS}
    return {**kept, "windows/video": video}
