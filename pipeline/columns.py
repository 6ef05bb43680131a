"""How the stages hand tables to each other: named arrays in one HDF5 file, equal content in equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.atomic import appearing, clear_leftovers
from datasets.errors import DataError


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
    with appearing(path) as temporary, h5py.File(temporary, "w", libver="latest") as file:
        file.attrs["kind"] = kind
        file.attrs["facts"] = json.dumps(facts, sort_keys=True, ensure_ascii=False)
        for name, column in columns.items():
            file.create_dataset(name, data=column, track_times=False)


def read_columns(path: Path, kind: str, stage: str) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Read one table: its columns and its facts.

    Args:
        path: The HDF5 file.
        kind: What it has to be.
        stage: The stage that makes it, for the error message.

    Raises:
        DataError: If it is missing, damaged or of another kind.
    """
    columns: dict[str, NDArray[Any]] = {}
    facts: dict[str, Any] = {}

    def keep(name: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            columns[name] = item[()]

    remedy = f"Run `dvc repro {stage}` to make it"
    try:
        with h5py.File(path, "r") as file:
            found = file.attrs.get("kind")
            if found == kind:
                file.visititems(keep)
                facts = json.loads(file.attrs["facts"])
    # HDF5 has no checksums of numbers here: of damage it says one of these, and so do the texts inside.
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise DataError(path, f"cannot be read ({error})", remedy) from error
    if found != kind:
        raise DataError(path, f"holds {found!r}, not {kind!r}", remedy)
    return columns, facts


def text_column(values: Sequence[str]) -> NDArray[np.bytes_]:
    """Text as fixed-width UTF-8, which HDF5 stores without a heap and so always as the same bytes."""
    return np.array([value.encode() for value in values] or [b""], dtype=np.bytes_)[: len(values)]


def column_text(column: NDArray[np.bytes_]) -> list[str]:
    """The inverse of `text_column`."""
    return [value.decode() for value in column.tolist()]
