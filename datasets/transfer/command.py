"""`python -m datasets info` and `python -m datasets validate`: transfer sets at the command line."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import tyro
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from datasets.command_line import counted, progress
from datasets.errors import DataError
from datasets.transfer.format import (
    ARRAYS,
    ATTRIBUTES,
    FORMAT,
    FRAMES_ARRAYS,
    FRAMES_ATTRIBUTES,
    FRAMES_FORMAT,
)
from datasets.transfer.pixels import existing_file, open_checked
from datasets.transfer.reader import open_pixels, read_attributes
from datasets.transfer.seal import read_seal, read_whole
from datasets.transfer.validate import Problem, describe, validate


@dataclass(frozen=True)
class Info:
    """Describe a transfer set or a frames.h5: attributes, shapes, pixels, share of every teacher.

    Example:
        python -m datasets info data/transfer/P-0.5.h5
    """

    file: tyro.conf.Positional[Path]
    """A transfer set, or a frames.h5."""
    json: bool = False
    """Print JSON."""

    def run(self) -> int:
        """Print the description; 0."""
        facts = description(self.file)
        if self.json:
            print(json.dumps(facts, indent=2, ensure_ascii=False))
        else:
            _show(facts)
        return 0


@dataclass(frozen=True)
class Validate:
    """Check every byte and every number of transfer sets; exit code 1 when something is wrong.

    Example:
        python -m datasets validate data/transfer/*.h5
    """

    files: tyro.conf.Positional[tuple[Path, ...]]
    """Transfer sets, or frames.h5; one that several sets link to is read once."""
    skip_pixels: bool = False
    """Do not read and decode the stored images (everything else takes seconds)."""
    json: bool = False
    """Print the problems as JSON."""

    def run(self) -> int:
        """Print all problems; 0 when there is none, else 1."""
        if not self.files:
            raise ValueError("no file given: name at least one, as data/transfer/P-0.5.h5")
        problems: list[Problem] = []
        checked: set[Path] = set()
        with progress("images") as bar:
            for file in dict.fromkeys(self.files):
                stored, count = (None, 0) if self.skip_pixels else _stored(file)
                deep = stored is not None and stored not in checked
                task = bar.add_task(file.name, total=count if deep else 0)
                found = validate(file, pixels=deep, advance=partial(bar.advance, task))
                problems += found
                if stored is not None and not found:  # it ends at what is wrong, before the images perhaps
                    checked.add(stored)
        problems = list(dict.fromkeys(problems))  # of a frames.h5 that several sets link to
        if self.json:
            print(json.dumps(describe(problems), indent=2, ensure_ascii=False))
        else:
            for problem in problems:
                print(problem)
            what = "without the stored images" if self.skip_pixels else "every byte"
            if not problems:
                print(f"{counted(len(self.files), 'file')} valid ({what} checked)")
        return 1 if problems else 0


def description(path: Path) -> dict[str, Any]:
    """What `info` prints.

    Raises:
        DataError: If the file is none of this format, is damaged, or cannot find its pixels.
    """
    existing_file(path, "Name a file that `dvc repro` made, as data/transfer/P-0.5.h5")
    seal = read_whole(path)
    with open_checked(path, (FORMAT, FRAMES_FORMAT)) as file:
        facts: dict[str, Any] = {
            "file": str(path),
            "bytes": path.stat().st_size,
            "fingerprint": seal.fingerprint,
        }
        if file.attrs["format"] == FRAMES_FORMAT:
            facts["attributes"] = {a.name: _attribute(file, a.name) for a in FRAMES_ATTRIBUTES}
            facts["arrays"] = {a.name: _shape(file[a.name]) for a in FRAMES_ARRAYS}
            facts["pixels"] = _pixels({a.name: file[a.name] for a in FRAMES_ARRAYS})
            return facts
        attributes = read_attributes(path, file)
        facts["attributes"] = {a.name: attributes[a.name] for a in ATTRIBUTES}
        facts["arrays"] = {a.name: _shape(file[a.name]) for a in ARRAYS}
        windows = file["windows/video"][()]
        positive = ~np.isnan(file["boxes/teacher"][:, 0, :, 0])
        best = file["overlap/best"][()]
        facts["teachers"] = {
            name: {
                "windows": int(positive[:, k].sum()),
                "share_of_windows": _share(positive[:, k]),
                "videos": len(np.unique(windows[positive[:, k]])),
                "share_of_frames_best": _share(best == k),
            }
            for k, name in enumerate(attributes["teachers"])
        }
        store = open_pixels(path, file)
        rows = np.unique(file["windows/frame"][()])
    facts["pixels"] = {"file": str(store.path), **_pixels(store.tables, rows)}
    store.close()
    return facts


def _stored(path: Path) -> tuple[Path | None, int]:
    """The file that holds a set's images, and how many; (path, 0) where `validate` has to say what is wrong."""
    try:
        read_seal(path)
        with open_checked(path, (FORMAT, FRAMES_FORMAT)) as file:
            if file.attrs["format"] == FRAMES_FORMAT:
                return path.resolve(), len(file["frames/index"])
            store = open_pixels(path, file)
        store.close()
        return store.path.resolve(), len(store)
    except (DataError, OSError, KeyError):
        return path, 0


def _attribute(file: h5py.File, name: str) -> Any:  # noqa: ANN401 - text or number, as the format says
    group, _, leaf = name.rpartition("/")
    value = file[group or "/"].attrs[leaf]
    return value.item() if isinstance(value, np.generic) else value


def _shape(dataset: h5py.Dataset) -> str:
    return f"{dataset.dtype}{list(dataset.shape)}"


def _share(flags: NDArray[np.bool_]) -> float:
    return round(float(flags.mean()), 4) if flags.size else 0.0


def _pixels(tables: dict[str, Any], rows: NDArray[np.int64] | None = None) -> dict[str, Any]:
    offset, size = tables["frames/offset"][()], tables["frames/size"][()]
    image = tables["frames/image_size"][()]
    rows = np.arange(len(size)) if rows is None else rows
    lengths = np.diff(offset)[rows]
    return {
        "frames": len(rows),
        "bytes": int(lengths.sum()),
        "bytes_per_frame": round(float(lengths.mean())) if len(rows) else 0,
        "mean_stored_size": [round(float(v), 1) for v in size[rows].mean(axis=0)] if len(rows) else [],
        "mean_image_size": [round(float(v), 1) for v in image[rows].mean(axis=0)] if len(rows) else [],
    }


def _show(facts: dict[str, Any]) -> None:
    # A name may hold what rich takes for markup, and ":train:" would become a picture of one.
    console = Console(markup=False, emoji=False)
    for name, value in facts.items():
        if not isinstance(value, dict):
            console.print(f"{name}: {value}", highlight=False, soft_wrap=True)
            continue
        table = Table(title=name, title_justify="left", box=None, show_header=False)
        table.add_column()
        table.add_column(overflow="fold")  # rather than cut: fingerprints are there to be compared
        for key, item in value.items():
            text = ", ".join(f"{k} {v}" for k, v in item.items()) if isinstance(item, dict) else str(item)
            table.add_row(key, text)
        console.print(table)
