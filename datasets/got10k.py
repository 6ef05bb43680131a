"""GOT-10k, and everything in its layout (the synthetic videos too).

    ROOT/{train,val,test}/list.txt                  one video name per line
    ROOT/train/GOT-10k_Train_000001/00000001.jpg    numbered from 1 or 0
        groundtruth.txt                             x,y,w,h per line; test: of the first frame only
        absence.label  cover.label  meta_info.ini   optional

Boxes are taken as they are written, as the toolkit of GOT-10k does: many have x = 0 or y = 0, although the
maintainers once called them 1-based (got-10k/toolkit, issue 6). `absent` is absence.label, or a box that is
not valid. cover.label is not consulted: a fully covered target still has its box, against which a tracker can
be measured (and the file is all zeros for 000385 and 000602).
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Boxes
from datasets.errors import DataError
from datasets.folder_dataset import FolderDataset, annotated, contents, existing_folder, fitted
from datasets.image_files import list_images
from datasets.names import read_names
from datasets.rows import read_bytes, read_flags, read_rows
from datasets.video import Video

WITHHELD = "ground truth is withheld after the first frame: every later frame reads as absent"
"""The note of a test video, whose absent frames are no defect."""


class Got10k(FolderDataset):
    """One split of a dataset in GOT-10k's layout.

    Args:
        root: The folder that holds the splits, or a split's own folder.
        split: A split's name; None for `train`, or for the split that `root` is.
        kind: `got10k` or `synthetic`.

    Raises:
        DataError: If there is no such split, or its list.txt is not a list of names.
    """

    def __init__(self, root: Path, split: str | None = None, kind: str = "got10k") -> None:
        self.folder, split = _split_folder(root, split)
        super().__init__(kind, root, split, read_names(self.folder / "list.txt"))
        self._listed = self._known

    def _read(self, name: str) -> Video:
        folder = self.folder / name
        if not folder.is_dir():
            remedy = f"Download it again, or remove {name} from {self.folder / 'list.txt'}"
            raise DataError(folder, "there is no such folder, though list.txt names it", remedy)
        images = list_images(folder)
        boxes = read_rows(self.annotation(name))
        notes: tuple[str, ...] = ()
        flags = None
        if self.split == "test" and len(boxes) == 1 and len(images) > 1:
            boxes = first_box_alone(boxes, len(images))
            notes = (WITHHELD,)
        else:
            flags = self.marked_absent(name)
            if flags is not None:
                flags, notes = fitted(flags, len(boxes), "absence.label")
        return annotated(name, images, boxes, flags, _object_class(folder / "meta_info.ini"), notes)

    def marked_absent(self, name: str) -> NDArray[np.bool_] | None:
        """absence.label as it is, bool (rows,); None without the file."""
        files = self.absence_files(name)
        return read_flags(files[0]) > 0 if files else None

    def annotation(self, name: str) -> Path:
        """groundtruth.txt."""
        return self.folder / name / "groundtruth.txt"

    def absence_files(self, name: str) -> tuple[Path, ...]:
        """absence.label, if it is there."""
        path = self.folder / name / "absence.label"
        return (path,) if path.is_file() else ()

    def unlisted(self) -> list[str]:
        """Folders beside list.txt that it does not name."""
        return sorted(p.name for p in self.folder.iterdir() if p.is_dir() and p.name not in self._listed)

    def audit(self, name: str) -> list[tuple[Path, str]]:
        """Compare the lengths of the labels that reading does not need with the boxes'."""
        folder = self.folder / name
        boxes = len(read_rows(self.annotation(name)))
        found = []
        for label, highest in (("cover.label", 8), ("cut_by_image.label", 1)):
            if (folder / label).is_file():
                rows = len(read_flags(folder / label, highest))
                if rows != boxes:
                    found.append((folder / label, f"{label} has {rows} rows for {boxes} boxes"))
        return found


def first_box_alone(boxes: Boxes, frames: int) -> Boxes:
    """The box of frame 0, and NaN for all others, float32 (frames, 4)."""
    return np.concatenate([boxes[:1], np.full((frames - 1, 4), np.nan, np.float32)])


def _split_folder(root: Path, split: str | None) -> tuple[Path, str]:
    """The folder of a split and the split's name, for a root that may be that folder itself."""
    existing_folder(root, "Give the folder that holds train/, val/ and test/")
    if (root / "list.txt").is_file() and not (root / (split or "train")).is_dir():
        whole = root.absolute()  # '.' has no name
        if split in {None, whole.name}:
            return root, whole.name
        problem = f"this folder is itself a split ({whole.name}) and holds no split {split!r}"
        raise DataError(root, problem, f"Give {whole.parent}, or leave the split out")
    folder = root / (split or "train")
    if folder.is_dir():
        if not (folder / "list.txt").is_file():
            problem = f"there is no list.txt; {contents(folder)}"
            raise DataError(folder / "list.txt", problem, "Restore it: one video name per line")
        return folder, folder.name
    below = [p.parent for p in sorted(root.glob(f"*/{folder.name}/list.txt"))]
    if below:
        raise DataError(folder, "there is no such folder", f"Give {below[0].parent} as the root")
    known = [p.parent.name for p in sorted(root.glob("*/list.txt"))]
    found = f"the splits here are {', '.join(known)}" if known else contents(root)
    raise DataError(folder, f"there is no split {folder.name!r}; {found}", "Name a split that exists")


def _object_class(path: Path) -> str:
    """`object_class` of a meta_info.ini, "" where there is none.

    Not parsed as INI: real files hold '%' and repeated keys, at which configparser stops.
    """
    if not path.is_file():
        return ""
    for line in read_bytes(path).decode("utf-8", "replace").splitlines():
        key, found, value = line.partition(":")
        if found and key.strip() == "object_class":
            return value.strip()
    return ""
