"""LaSOT in the benchmark's own layout.

    ROOT/airplane/airplane-1/img/00000001.jpg    or ROOT/airplane-1/img/...
        groundtruth.txt                          x,y,w,h per line, 1-based
        full_occlusion.txt, out_of_view.txt      0,0,1,... in one line: absent where either is 1
    ROOT/testing_set.txt                         the 280 names of the test split; training_set.txt: the rest

Boxes become 0-based: the smallest coordinate is 1, says the maintainer (LaSOT_Evaluation_Toolkit, issue 14;
the 150 videos of the journal's extension have zeros).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.folder_dataset import FolderDataset, annotated, contents, fitted
from datasets.image_files import list_images
from datasets.names import read_names
from datasets.rows import read_flags, read_rows
from datasets.video import Video

SPLITS = ("test", "train", "all")
_LISTS = {"test": "testing_set.txt", "train": "training_set.txt"}


class Lasot(FolderDataset):
    """One split: `test` (default) and `train` by the lists in the root, `all` for every video that is there.

    Raises:
        DataError: If there is no such split, no list for it, or no video.
    """

    base = 1

    def __init__(self, root: Path, split: str | None = None) -> None:
        split = split or "test"
        if split not in SPLITS:
            raise DataError(root, f"there is no split {split!r}", f"Name one of {', '.join(SPLITS)}")
        super().__init__("lasot", root, split, _names(root, split))

    def folder(self, name: str) -> Path:
        """Where a video lies: below its class, or in the root."""
        nested = self.root / name.rpartition("-")[0] / name
        return nested if nested.is_dir() else self.root / name

    def _read(self, name: str) -> Video:
        folder = self.folder(name)
        boxes = read_rows(self.annotation(name), origin=self.base)
        flags, notes = _flags(self.absence_files(name), len(boxes))
        return annotated(name, list_images(folder / "img"), boxes, flags, name.rpartition("-")[0], notes)

    def marked_absent(self, name: str) -> NDArray[np.bool_]:
        """Fully occluded or out of view, bool (T,)."""
        return _flags(self.absence_files(name), len(read_rows(self.annotation(name))))[0]

    def annotation(self, name: str) -> Path:
        """groundtruth.txt."""
        return self.folder(name) / "groundtruth.txt"

    def absence_files(self, name: str) -> tuple[Path, ...]:
        """full_occlusion.txt and out_of_view.txt, those that are there."""
        folder = self.folder(name)
        files = (folder / label for label in ("full_occlusion.txt", "out_of_view.txt"))
        return tuple(file for file in files if file.is_file())


def _flags(files: tuple[Path, ...], rows: int) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    flags = np.zeros(rows, bool)
    notes: tuple[str, ...] = ()
    for file in files:
        marked, remarks = fitted(read_flags(file) > 0, rows, file.name)
        flags |= marked
        notes += remarks
    return flags, notes


def _names(root: Path, split: str) -> tuple[str, ...]:
    if split != "all" and (root / _LISTS[split]).is_file():
        return read_names(root / _LISTS[split])
    found = sorted(
        {p.parent.name for pattern in ("*/*/", "*/") for p in root.glob(pattern + "groundtruth.txt")}
    )
    if not found:
        remedy = "Give the folder that holds airplane/ and the other classes"
        raise DataError(root, f"no folder here holds a groundtruth.txt; {contents(root)}", remedy)
    if split == "all":
        return tuple(found)
    if split == "train" and (root / _LISTS["test"]).is_file():
        tested = set(read_names(root / _LISTS["test"]))
        return tuple(name for name in found if name not in tested)
    remedy = (
        f"Put the benchmark's list there, or write lasot:{root}:all for the {len(found)} videos that are here"
    )
    raise DataError(root / _LISTS[split], f"there is no list of the {split} split", remedy)
