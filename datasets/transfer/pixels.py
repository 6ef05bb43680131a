"""The stored pixels: the tables of `/frames`, and JPEG bytes by row, one `pread` for consecutive rows.

Tables are read into memory on opening (64 bytes per stored frame) and the HDF5 file is closed at once; the
JPEG bytes, one contiguous array of the file, are read at their offset without HDF5. `pread` keeps no
position, so one `Pixels` serves many threads and survives a fork; pickled, it opens its file again.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.transfer.format import FORMAT, FRAMES_ARRAYS, FRAMES_FORMAT, VERSION
from datasets.transfer.seal import Seal, read_seal

Tables = dict[str, NDArray[Any]]
"""Arrays by their name in the format."""

_KINDS = {FORMAT: "a transfer set", FRAMES_FORMAT: "the pixels of transfer sets (frames.h5)"}

_REMEDY = "Restore the file from a copy, or build it again with `dvc repro`"


def existing_file(path: Path, remedy: str) -> None:
    """Refuse a path where no file is.

    Raises:
        DataError: If there is nothing, or a folder.
    """
    if not path.is_file():
        raise DataError(path, "is a folder" if path.is_dir() else "does not exist", remedy)


def open_checked(path: Path, kinds: tuple[str, ...]) -> h5py.File:
    """Open an HDF5 file of one of these formats.

    Raises:
        DataError: If it is of another format or version, or not what HDF5 can read.
    """
    try:
        file = _opened(path)
    except OSError as error:
        raise DataError(path, f"HDF5 cannot open it ({error})", _REMEDY) from error
    kind, version = file.attrs.get("format"), file.attrs.get("format_version")
    if kind not in kinds or version != VERSION:
        file.close()
        if kind not in kinds and kind in _KINDS:
            raise DataError(path, f"this is {_KINDS[kind]}", f"Give {' or '.join(_KINDS[k] for k in kinds)}")
        remedy = (
            f"This program reads {' or '.join(kinds)}, version {VERSION}: use the version that wrote the file"
        )
        raise DataError(path, f"has format {kind!r}, format_version {version}", remedy)
    return file


def _opened(path: Path) -> h5py.File:
    """Open a file without a lock, which network disks may not have, or as this process (a notebook) has it open."""
    for locking in (False, None):
        try:
            return h5py.File(path, "r", locking=locking)
        except OSError as error:
            if "flag values don't match" not in str(error):
                raise
    return h5py.File(path, "r", locking=True)


def array_in(file: h5py.File, name: str) -> h5py.Dataset:
    """An array of an open file; a damaged one may have something else under its name.

    Raises:
        KeyError: If it has no such array.
    """
    found = file[name]
    if not isinstance(found, h5py.Dataset):
        raise KeyError(f"{name} is no array")
    return found


def load_frames(path: Path, file: h5py.File) -> tuple[Tables, int]:
    """Read the tables of `/frames` inside an open file, and the offset of the JPEG bytes in the file.

    Raises:
        DataError: If an array is missing, or the JPEG bytes are not contiguous.
    """
    try:
        tables = {a.name: array_in(file, a.name)[()] for a in FRAMES_ARRAYS if a.name != "frames/data"}
        data = array_in(file, "frames/data")
    except (KeyError, OSError) as error:
        raise DataError(path, f"an array of /frames is missing or unreadable ({error})", _REMEDY) from error
    if data.size == 0:
        return tables, 0
    start = data.id.get_offset()
    if data.chunks is not None or start is None or data.dtype != np.uint8:
        raise DataError(path, "/frames/data is not one contiguous array of bytes", _REMEDY)
    return tables, int(start)


def read_tables(path: Path) -> tuple[Tables, Seal]:
    """Read the tables and the seal of a frames.h5.

    Raises:
        DataError: If the file is missing, damaged, or something else.
    """
    existing_file(path, "Write the pixels (FramesWriter) before the sets that link to them")
    seal = read_seal(path)
    with open_checked(path, (FRAMES_FORMAT,)) as file:
        return load_frames(path, file)[0], seal


class Pixels:
    """JPEG files by row, from a frames.h5 or a standalone set.

    Args:
        path: The file that holds `/frames`.
        tables: Its tables.
        start: Offset of its JPEG bytes.
    """

    def __init__(self, path: Path, tables: Tables, start: int) -> None:
        self.path = path
        self.tables = tables
        self._start = start
        self._offset = tables["frames/offset"]
        self._file = path.open("rb", buffering=0)

    def __len__(self) -> int:
        """Number of stored frames M."""
        return len(self._offset) - 1

    def read(self, first: int, count: int) -> list[memoryview]:
        """The JPEG files of consecutive rows.

        Raises:
            DataError: If the file became shorter since it was opened.
        """
        offset = self._offset[first : first + count + 1].tolist()
        begin, size = offset[0], offset[-1] - offset[0]
        data = memoryview(os.pread(self._file.fileno(), size, self._start + begin))
        if len(data) != size:
            raise DataError(self.path, f"ends within rows {first} to {first + count - 1} of /frames", _REMEDY)
        return [data[a - begin : b - begin] for a, b in itertools.pairwise(offset)]

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __reduce__(self) -> tuple[type[Pixels], tuple[Path, Tables, int]]:
        """Another process opens the file again."""
        return (Pixels, (self.path, self.tables, self._start))
