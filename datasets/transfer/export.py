"""`python -m datasets export`: a transfer set and the pixels of its windows as one file, to hand over or to publish.

The frames.h5 of a build holds the pixels of all its sets; the file made here holds those of one, byte for byte.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tyro
from numpy.typing import NDArray

from datasets.atomic import appearing
from datasets.command_line import progress
from datasets.errors import DataError
from datasets.transfer.format import ARRAYS, ATTRIBUTES, FORMAT, FRAMES_ARRAYS, FRAMES_ATTRIBUTES
from datasets.transfer.pixels import Pixels, open_checked
from datasets.transfer.reader import load_set, open_pixels, read_attributes
from datasets.transfer.seal import Seal, make_seal, read_seal
from datasets.transfer.structure import create_file, find_extents, reserve, write_array, write_attributes

_PIXELS = "frames/data"
_TOGETHER = 256
"""Stored images that are copied in one piece."""


@dataclass(frozen=True)
class Export:
    """Copy a transfer set and its pixels into one file of its own, which needs no frames.h5.

    Example:
        python -m datasets export data/transfer/P-0.5.h5 P-0.5-whole.h5
    """

    file: tyro.conf.Positional[Path]
    """A transfer set."""
    out: tyro.conf.Positional[Path]
    """The file to make; one that is there is not replaced."""

    def run(self) -> int:
        """Write the file and print its size; 0."""
        if self.out.exists():
            raise DataError(self.out, "is there already", "Remove it, or name another file")
        with progress("images") as bar:
            task = bar.add_task(self.file.name, total=None)

            def advance(count: int, total: int) -> None:
                bar.update(task, advance=count, total=total)

            seal = export(self.file, self.out, advance)
        print(f"{self.out}: {seal.size:,} bytes, fingerprint {seal.fingerprint}")
        return 0


def export(path: Path, out: Path, advance: Callable[[int, int], None] = lambda _count, _total: None) -> Seal:
    """Write a standalone copy of a set; memory does not grow with the pixels.

    Args:
        path: A transfer set, standalone or with its frames.h5.
        out: The file to make, which appears whole or not at all.
        advance: Told the number of images copied since the last call, and of all.

    Returns:
        The seal of the new file.

    Raises:
        DataError: If the set, or its pixels, are missing, cut, or of different builds.
    """
    if not path.is_file():
        raise DataError(path, "does not exist", "Name a set that `dvc repro` made, as data/transfer/P-0.5.h5")
    read_seal(path)
    with open_checked(path, (FORMAT,)) as file:
        attributes = read_attributes(path, file)
        tables: dict[str, NDArray[Any]] = load_set(path, file)
        pixels = open_pixels(path, file, attributes)
    try:
        return _write(out, attributes, tables, pixels, advance)
    finally:
        pixels.close()


def _write(
    out: Path,
    attributes: dict[str, Any],
    tables: dict[str, NDArray[Any]],
    pixels: Pixels,
    advance: Callable[[int, int], None],
) -> Seal:
    rows = np.unique(tables["windows/frame"])
    tables = {**tables, "windows/frame": np.searchsorted(rows, tables["windows/frame"])}
    tables |= _frames(pixels, rows)
    total = int(tables["frames/offset"][-1])
    inside = tuple(a for a in FRAMES_ATTRIBUTES if a.name.startswith("frames/"))
    arrays = (*ARRAYS, *FRAMES_ARRAYS)
    with h5py.File(pixels.path, "r", locking=False) as file:
        attributes = attributes | {a.name: file["frames"].attrs[a.name.partition("/")[2]] for a in inside}
    with appearing(out) as temporary:
        with create_file(temporary) as file:
            file.create_group("frames")
            write_attributes(file, (*ATTRIBUTES, *inside), attributes)
            start = reserve(file["frames"], "data", total)
            for array in arrays:
                if array.name != _PIXELS:
                    values = tables[array.name]
                    texts = array.dtype == "|S"
                    write_array(file, array, [v.decode() for v in values.tolist()] if texts else values)
        with temporary.open("r+b") as copy:
            copy.seek(start)
            for run in _runs(rows):
                copy.writelines(pixels.read(int(run[0]), len(run)))
                advance(len(run), len(rows))
        with h5py.File(temporary, "r", locking=False) as file:
            extents = find_extents(file, arrays)
        return make_seal(temporary, extents, by_rows=_PIXELS)


def _frames(pixels: Pixels, rows: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    """The tables of `/frames` for some of its rows, ascending."""
    old = pixels.tables
    kept = {name: old[name][rows] for name in (a.name for a in FRAMES_ARRAYS if a.shape[0] == "M")}
    videos, kept["frames/video"] = np.unique(kept["frames/video"], return_inverse=True)
    lengths = np.diff(old["frames/offset"])[rows]
    return {
        **kept,
        "frames/offset": np.append(0, np.cumsum(lengths)),
        "frames/video_name": old["frames/video_name"][videos],
    }


def _runs(rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Consecutive rows together, at most `_TOGETHER` of them."""
    parts = np.split(rows, np.flatnonzero(np.diff(rows) != 1) + 1) if len(rows) else []
    return [part[i : i + _TOGETHER] for part in parts for i in range(0, len(part), _TOGETHER)]
