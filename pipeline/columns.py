"""How the stages hand tables to each other: named arrays in one HDF5 file, equal content in equal bytes.

A table is read against a `Form`: which columns and facts it has, of which type and shape.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing, clear_leftovers
from datasets.errors import DataError
from datasets.hdf5 import new_hdf5
from pipeline import places
from pipeline.checksum import BLOCK, check_checksum, write_checksum


@dataclass(frozen=True)
class Column:
    """What a column has to be.

    Attributes:
        dtype: NumPy's name of the numbers; "text" for what `text_column` makes.
        shape: Lengths of its axes. A name is one length wherever it stands in a form ("videos"), and "videos + 1" is
            one more than that.
    """

    dtype: Literal["text", "uint8", "int64", "float32", "float64"]
    shape: tuple[int | str, ...]


@dataclass(frozen=True)
class Form:
    """What a table of one kind holds.

    Attributes:
        kind: "index", "trajectories", ...
        columns: By name.
        facts: The types that JSON may give for each.
        rows: The columns with the first row of each video in the table's longer columns, and with their end; to the
            name of those columns' length.
        numbers: The columns of numbers that count, from 0, along such a length; to its name.
    """

    kind: str
    columns: Mapping[str, Column]
    facts: Mapping[str, tuple[type, ...]]
    rows: Mapping[str, str]
    numbers: Mapping[str, str] = field(default_factory=dict)


def write_columns(
    path: Path, kind: str, columns: Mapping[str, NDArray[Any]], facts: Mapping[str, object]
) -> None:
    """Write one table, atomically.

    Args:
        path: The HDF5 file.
        kind: What it is ("index", "trajectories", ...); reading another kind is an error.
        columns: Dataset name ("videos/length") to array; text as arrays made by `text_column`.
        facts: Attributes of the file, any JSON values.
    """
    # DVC would take what a killed run left here for a part of data/trajectories.
    clear_leftovers(path)
    with appearing(path) as temporary:
        with new_hdf5(temporary, libver="latest", userblock_size=BLOCK) as file:
            file.attrs["kind"] = kind
            file.attrs["facts"] = json.dumps(facts, sort_keys=True, ensure_ascii=False)
            for name, column in columns.items():
                file.create_dataset(name, data=column, track_times=False)
        write_checksum(temporary)


def read_columns(path: Path, form: Form, stage: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read one table: its columns and its facts.

    Args:
        path: The HDF5 file.
        form: What it has to be.
        stage: The stage that makes it, for the error message.

    Raises:
        DataError: If it is missing, damaged, of another kind, or a column or fact is not what the form says.
    """
    columns: dict[str, NDArray[Any]] = {}
    facts: dict[str, Any] = {}
    remedy = places.made_by(f"dvc repro {stage}")
    try:
        check_checksum(path, remedy)
        with h5py.File(path, "r") as file:
            found = file.attrs.get("kind")
            if found == form.kind:
                facts = json.loads(file.attrs["facts"])
                for name, column in form.columns.items():
                    columns[name] = _read(file, name, column)
                _check_lengths(form, columns)
                _check_facts(form, facts)
    except DataError:
        raise
    # A file from before there were checksums may be damaged anywhere: HDF5 says one of these, and so do texts.
    except (OSError, RuntimeError, KeyError, TypeError, ValueError) as error:
        raise DataError(path, f"cannot be read ({error})", remedy) from error
    if found != form.kind:
        raise DataError(path, f"holds {found!r}, not {form.kind!r}", remedy)
    return columns, facts


def text_column(values: Sequence[str]) -> NDArray[np.bytes_]:
    """Text as fixed-width UTF-8, which HDF5 stores without a heap and so always as the same bytes."""
    return np.array([value.encode() for value in values] or [b""], dtype=np.bytes_)[: len(values)]


def column_text(column: NDArray[np.bytes_]) -> list[str]:
    """The inverse of `text_column`."""
    return [value.decode() for value in column.tolist()]


def _read(file: h5py.File, name: str, column: Column) -> NDArray[Any]:
    """One column, of the type and the number of axes that it has to have; ValueError where it is not."""
    item = file.get(name)
    if not isinstance(item, h5py.Dataset):
        raise ValueError(f"there is no column {name}")  # noqa: TRY004 - of the file, not of the program
    same = item.dtype.kind == "S" if column.dtype == "text" else item.dtype == np.dtype(column.dtype)
    if not same or item.ndim != len(column.shape):
        wanted = f"{column.dtype} of shape ({', '.join(map(str, column.shape))})"
        raise ValueError(f"column {name} is {item.dtype} of shape {item.shape}, not {wanted}")
    values: NDArray[Any] = item[()]
    if column.dtype == "text":
        try:
            column_text(values)
        except UnicodeDecodeError as error:
            raise ValueError(f"column {name} is not text in UTF-8: {error}") from error
    return values


def _check_lengths(form: Form, columns: Mapping[str, NDArray[Any]]) -> None:
    """See that columns agree on the lengths that have a name, and that rows and numbers stay within them."""
    named: dict[str, tuple[int, str]] = {}
    for name, column in form.columns.items():
        for length, wanted in zip(columns[name].shape, column.shape, strict=True):
            if isinstance(wanted, int):
                expected, whose = wanted, "it has"
            else:
                axis, _, more = wanted.partition(" + ")
                expected, whose = named.setdefault(axis, (length - int(more or 0), f"of {name}"))
                expected += int(more or 0)
            if length != expected or length < 0:
                raise ValueError(
                    f"column {name} has shape {columns[name].shape}, where {expected} were expected ({whose})"
                )
    for name, axis in form.rows.items():
        offset, end = columns[name], named[axis][0]
        if not len(offset) or offset[0] != 0 or offset[-1] != end or (np.diff(offset) < 0).any():
            raise ValueError(f"column {name} does not rise from 0 to {end}, the number of {axis}")
    for name, axis in form.numbers.items():
        outside = (columns[name] < 0) | (columns[name] >= named[axis][0])
        if outside.any():
            number = columns[name][outside.argmax()]
            raise ValueError(
                f"column {name} names number {number} of {named[axis][0]} {axis}, counted from 0"
            )


def _check_facts(form: Form, facts: object) -> None:
    if not isinstance(facts, dict):
        raise ValueError(f"its facts are {facts!r}, not a mapping")  # noqa: TRY004 - as above
    for name, types in form.facts.items():
        if name not in facts:
            raise ValueError(f"there is no fact {name}")
        if not isinstance(facts[name], types):
            raise ValueError(f"fact {name} is {facts[name]!r}")  # noqa: TRY004 - as above
