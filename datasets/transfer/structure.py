"""The HDF5 side of writing: attributes and arrays as `datasets.transfer.format` says."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.hdf5 import new_hdf5
from datasets.transfer.format import USER_BLOCK, Array, Attribute
from datasets.transfer.seal import Extent


@contextmanager
def create_file(path: Path, align: bool = False) -> Iterator[h5py.File]:
    """Give a new HDF5 file with room for the seal, readable by HDF5 1.10 and later.

    Args:
        path: The file.
        align: Let every structure begin at a multiple of 4096 bytes, so that the first array's place does not
            depend on its size.
    """
    alignment = {"alignment_threshold": 1, "alignment_interval": 4096} if align else {}
    with new_hdf5(path, userblock_size=USER_BLOCK, libver=("earliest", "v110"), **alignment) as file:
        yield file


def write_attributes(file: h5py.File, specification: Sequence[Attribute], values: Mapping[str, Any]) -> None:
    """Write attributes of the types that the format states."""
    for a in specification:
        group, _, name = a.name.rpartition("/")
        value = values[a.name]
        if a.type == "str[]":
            value = np.array(value, dtype=h5py.string_dtype())
        elif a.type != "str":
            value = np.dtype("<i8" if a.type == "int" else "<f8").type(value)
        file[group or "/"].attrs.create(name, value)


def write_array(file: h5py.File, array: Array, values: NDArray[Any] | Sequence[str]) -> None:
    """Write one array, contiguous, without a time, of the type that the format states; texts as str."""
    if array.dtype == "|S":
        encoded = [str(text).encode() for text in values]
        longest = max(map(len, encoded), default=0)
        data = np.array(encoded, dtype=h5py.string_dtype("utf-8", max(longest, 1)))
    else:
        data = np.ascontiguousarray(values, dtype=array.dtype)
    file.create_dataset(array.name, data=data, track_times=False)


def reserve(group: h5py.Group, name: str, size: int) -> int:
    """Make a byte array without writing it (a hole in the file); returns its offset in the file."""
    plan = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    plan.set_layout(h5py.h5d.CONTIGUOUS)
    plan.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    plan.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
    plan.set_obj_track_times(False)
    space = h5py.h5s.create_simple((size,))
    dataset = h5py.h5d.create(group.id, name.encode(), h5py.h5t.STD_U8LE, space, plan)
    return int(dataset.get_offset())


def find_extents(file: h5py.File, arrays: Sequence[Array]) -> list[Extent]:
    """Where arrays lie in a file, for the seal."""
    found = []
    for array in arrays:
        dataset = file[array.name]
        length = dataset.size * dataset.dtype.itemsize
        # An empty array has no address.
        found.append(Extent(array.name, int(dataset.id.get_offset()) if length else 0, length))
    return found
