"""Datasets by name: `KIND:ROOT[:SPLIT]`, the same everywhere a user names one."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path

from datasets.annotations import Annotations
from datasets.errors import DataError, DataWarning
from datasets.folder_dataset import FolderDataset, contents
from datasets.got10k import Got10k
from datasets.lasot import Lasot
from datasets.otb import Otb
from datasets.uav123 import Uav123
from datasets.video import VideoDataset
from datasets.vot import Vot


@dataclass(frozen=True)
class Kind:
    """A supported kind of dataset.

    Attributes:
        open: Makes the dataset from its root and split; raises DataError.
        base: What the benchmark's annotation files call the first pixel: 0 or 1. Toolkits that run trackers
            write their boxes in the same frame (see `datasets.results`).
        splits: The benchmark's split names, the default first; empty where it has none.
    """

    open: Callable[[Path, str | None], FolderDataset]
    base: int
    splits: tuple[str, ...] = ()


KINDS: dict[str, Kind] = {
    "got10k": Kind(Got10k, 0, ("train", "val", "test")),
    "otb": Kind(Otb, Otb.base),
    "uav123": Kind(Uav123, Uav123.base),
    "uav123_10fps": Kind(partial(Uav123, kind="uav123_10fps"), Uav123.base),
    "lasot": Kind(Lasot, Lasot.base, ("test", "train", "all")),
    "vot": Kind(Vot, Vot.base),
    "synthetic": Kind(partial(Got10k, kind="synthetic"), 0, ("train", "val", "test")),
    "annotations": Kind(Annotations, Annotations.base),
}


@dataclass(frozen=True)
class DatasetSpec:
    """A parsed `KIND:ROOT[:SPLIT]`."""

    kind: str
    root: Path
    split: str | None = None

    def __str__(self) -> str:
        return f"{self.kind}:{self.root}" + (f":{self.split}" if self.split else "")


def parse_spec(spec: str) -> DatasetSpec:
    """Take `KIND:ROOT[:SPLIT]` apart.

    A root may hold colons: what follows the last one is a split only where it looks like one (no slash) and
    the whole is not an existing folder. '~' stands for the home folder.

    Raises:
        ValueError: If the kind is unknown, or the root is missing.
    """
    kind, found, rest = spec.partition(":")
    if kind not in KINDS:
        close = difflib.get_close_matches(kind.lower(), KINDS, n=1)
        hint = f"; did you mean {close[0]}:...?" if close else ""
        raise ValueError(
            f"dataset {spec!r}: {kind!r} is not a kind of dataset{hint}. "
            f"Write KIND:ROOT[:SPLIT] with KIND one of {', '.join(KINDS)}."
        )
    if not found or not rest:
        raise ValueError(
            f"dataset {spec!r}: the root is missing. Write {kind}:ROOT, the folder of the dataset."
        )
    head, colon, tail = rest.rpartition(":")
    is_split = bool(colon and head) and "/" not in tail and "\\" not in tail
    try:
        whole = Path(rest).expanduser()
        if not is_split or whole.is_dir():
            return DatasetSpec(kind, whole)
        return DatasetSpec(kind, Path(head).expanduser(), tail or None)
    except RuntimeError as error:  # ~NAME of nobody
        raise ValueError(f"dataset {spec!r}: {error} Write the folder in full.") from error


def open_dataset(spec: str, exclude: Path | None = None) -> VideoDataset:
    """Open a dataset by name; videos are read when asked for.

    Args:
        spec: `KIND:ROOT[:SPLIT]`, such as `got10k:/data/GOT-10k:train`. The split defaults to `train` for
            got10k and synthetic, `test` for lasot; the other kinds have none.
        exclude: A text file of video names to leave out, one per line, '#' for comments (VOT's list of
            1,000 prohibited GOT-10k videos). Names that the dataset lacks are reported by a DataWarning.

    Raises:
        ValueError: If the spec cannot be understood.
        DataError: If there is no such folder or split, or its list of videos is faulty.
    """
    parsed = parse_spec(spec)
    kind = KINDS[parsed.kind]
    if not parsed.root.is_dir():
        remedy = f"Give the folder of the dataset: {parsed.kind}:ROOT" + ("[:SPLIT]" if kind.splits else "")
        what = "this is a file, not a folder" if parsed.root.exists() else "there is no such folder"
        raise DataError(parsed.root, f"{what}; {contents(parsed.root.absolute().parent)}", remedy)
    if parsed.split is not None and not kind.splits:
        problem = f"{parsed.kind} has no splits, but {parsed.split!r} was asked for"
        raise DataError(parsed.root, problem, f"Write {parsed.kind}:{parsed.root}")
    dataset = kind.open(parsed.root, parsed.split)
    if exclude is not None:
        dataset.exclude(exclude)
    return dataset


@lru_cache(maxsize=2)
def opened(spec: str, exclude: Path | None) -> VideoDataset:
    """A dataset, opened once in a worker process; whoever started the run has shown its warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataWarning)
        return open_dataset(spec, exclude)
