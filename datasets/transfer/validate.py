"""Checks every invariant of a transfer set or frames.h5; a `Problem` names array, row and value.

Bytes first: the seal tells whether anything changed since the file was written, without parsing what may be
damaged. Only a file whose structure is intact is opened with HDF5, and its content checked: against the
tables of `datasets.transfer.format`, then for what the numbers have to fulfil.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from datasets.errors import DataError
from datasets.transfer.format import (
    ARRAYS,
    ATTRIBUTES,
    FORMAT,
    FRAMES_ARRAYS,
    FRAMES_ATTRIBUTES,
    FRAMES_FORMAT,
    Array,
    Attribute,
)
from datasets.transfer.pixels import Pixels, Tables, load_frames, open_checked
from datasets.transfer.reader import linked_frames, open_pixels, read_attributes
from datasets.transfer.rules import pixel_rules, set_rules, table_rules
from datasets.transfer.seal import damage, read_seal

_TYPES = {"str": str, "int": np.integer, "float": np.floating, "str[]": np.ndarray}


@dataclass(frozen=True)
class Problem:
    """Something that is not as the format says.

    Attributes:
        path: The file.
        where: Array or attribute, with the row: "overlap/iou, window 3".
        what: What was found.
    """

    path: Path
    where: str
    what: str

    def __str__(self) -> str:
        """One line for a terminal."""
        return f"{self.path}: {self.where}: {self.what}"


def validate(
    path: Path, pixels: bool = True, advance: Callable[[int], None] = lambda _: None
) -> list[Problem]:
    """Check a transfer set, or a frames.h5.

    A linked frames.h5 is checked as well.

    Args:
        path: The file.
        pixels: Also read and decode every stored image.
        advance: Told the number of images checked since the last call.

    Returns:
        All problems; an empty list means that every byte and every number is as it should be.
    """
    try:
        seal = read_seal(path)
        damaged = [Problem(path, where, what) for where, what in damage(path, seal)]
        if damaged:
            return damaged
        with open_checked(path, (FORMAT, FRAMES_FORMAT)) as file:
            if file.attrs["format"] == FRAMES_FORMAT:
                return _frames(path, file, FRAMES_ARRAYS, FRAMES_ATTRIBUTES, pixels, advance)
            return _set(path, file, pixels, advance)
    except OSError as error:
        remedy = ". Name the sets in this folder" if path.is_dir() else ""
        return [Problem(path, "file", f"cannot be read ({error.strerror}){remedy}")]
    except DataError as error:
        return [Problem(error.path, "file", f"{error.problem}. {error.remedy}")]


def _frames(
    path: Path,
    file: h5py.File,
    arrays: tuple[Array, ...],
    attributes: tuple[Attribute, ...],
    pixels: bool,
    advance: Callable[[int], None],
) -> list[Problem]:
    problems = _layout(path, file, arrays, attributes)
    if problems:
        return problems
    store = Pixels(path, *load_frames(path, file))
    found = list(table_rules(store.tables, len(file["frames/data"])))
    # Rows are meaningless where the offsets are not what they have to be.
    if pixels and not found:
        found += pixel_rules(store, advance)
    store.close()
    return [Problem(path, where, what) for where, what in found]


def _set(path: Path, file: h5py.File, pixels: bool, advance: Callable[[int], None]) -> list[Problem]:
    problems = _layout(path, file, ARRAYS, ATTRIBUTES)
    if problems:
        return problems
    attributes = read_attributes(path, file)
    tables: Tables = {a.name: file[a.name][()] for a in ARRAYS}
    frames = linked_frames(path, file)
    if frames is not None:
        problems = validate(frames, pixels=False)
    else:
        inside = tuple(a for a in FRAMES_ATTRIBUTES if a.name.startswith("frames/"))
        problems = _frames(path, file, FRAMES_ARRAYS, inside, pixels=False, advance=advance)
    if problems:  # the rows that the windows name may lead anywhere
        return problems
    store = open_pixels(path, file)
    if pixels:
        problems += [Problem(store.path, where, what) for where, what in pixel_rules(store, advance)]
    store.close()
    found = set_rules(attributes, tables, store.tables)
    return problems + [Problem(path, where, what) for where, what in found]


def _layout(
    path: Path, file: h5py.File, arrays: tuple[Array, ...], attributes: tuple[Attribute, ...]
) -> list[Problem]:
    """Compare attributes and arrays with the tables of the format."""
    problems = []
    for a in attributes:
        group, _, name = a.name.rpartition("/")
        value = file[group or "/"].attrs.get(name) if (group or "/") in file else None
        if value is None:
            problems.append(Problem(path, f"attribute {a.name}", "is missing"))
        elif not isinstance(value, _TYPES[a.type]):
            problems.append(Problem(path, f"attribute {a.name}", f"is {value!r}, not a {a.type}"))
    sizes: dict[str, tuple[int, str]] = {}
    for array in arrays:
        dataset = file.get(array.name)
        if not isinstance(dataset, h5py.Dataset):
            problems.append(Problem(path, array.name, "is missing"))
            continue
        kind = "|S" if dataset.dtype.kind == "S" else dataset.dtype.str
        if kind != array.dtype:
            problems.append(Problem(path, array.name, f"has dtype {dataset.dtype}, not {array.dtype}"))
        if dataset.chunks is not None:
            problems.append(Problem(path, array.name, "is chunked, not contiguous"))
        problems += [Problem(path, array.name, what) for what in _shape(array, dataset.shape, sizes)]
    return problems


def _shape(array: Array, shape: tuple[int, ...], sizes: dict[str, tuple[int, str]]) -> list[str]:
    if len(shape) != len(array.shape):
        return [f"has shape {list(shape)}, not [{', '.join(map(str, array.shape))}]"]
    found = []
    for wanted, size in zip(array.shape, shape, strict=True):
        if isinstance(wanted, int):
            if size != wanted:
                found.append(f"has shape {list(shape)}, where {size} stands for {wanted}")
            continue
        letter, _, more = wanted.partition("+")
        value = size - int(more or 0)
        first, where = sizes.setdefault(letter, (value, array.name))
        if value != first:
            found.append(f"has shape {list(shape)}: {letter} is {value}, but {first} in {where}")
    return found


def describe(problems: list[Problem]) -> list[dict[str, Any]]:
    """Problems for a program."""
    return [{"file": str(p.path), "where": p.where, "what": p.what} for p in problems]
