"""OTB-100 (and OTB-2013, OTB-50) in the benchmark's own layout.

    ROOT/Basketball/img/0001.jpg
    ROOT/Basketball/groundtruth_rect.txt         x,y,w,h per line, 1-based; commas, tabs or spaces
    ROOT/Jogging/groundtruth_rect.{1,2}.txt      two targets: the videos Jogging-1 and Jogging-2
    ROOT/Jogging-2/groundtruth_rect.2.txt        a folder for each of them, as pysot's users have it: its own target

Boxes become 0-based. Where images and boxes differ in number, the frames are those that the benchmark itself
uses (its configuration of sequences, below), with a note. Tiger1 keeps its 354 frames: the benchmark's own
runs start at frame 6, so that its published results have 349 rows.
"""

from __future__ import annotations

import re
from pathlib import Path

from datasets.errors import DataError
from datasets.folder_dataset import FolderDataset, annotated, contents
from datasets.image_files import between, list_images
from datasets.rows import read_bytes, read_rows
from datasets.video import Video

FRAMES: dict[str, tuple[int, int]] = {
    "blurcar1": (247, 988),
    "blurcar3": (3, 359),
    "blurcar4": (18, 397),
    "david": (300, 770),
    "diving": (1, 215),
    "football1": (1, 74),
    "freeman3": (1, 460),
    "freeman4": (1, 283),
}
"""First and last image of the sequences that use only some of theirs, by folder name in lower case."""

_TARGET = re.compile(r"groundtruth_rect\.(\d+)\.txt")


class Otb(FolderDataset):
    """All sequences in a folder of OTB's.

    Raises:
        DataError: If no folder in `root` holds a groundtruth_rect.txt.
    """

    base = 1

    def __init__(self, root: Path, split: str | None = None) -> None:
        self._annotation: dict[str, tuple[str, str]] = {}
        for folder in sorted(p for p in root.iterdir() if p.is_dir()):
            for name, file in _targets(folder):
                # A copy of a folder with both targets, beside one for each: the copies are these targets.
                if name not in self._annotation or name == folder.name:
                    self._annotation[name] = (folder.name, file)
        if not self._annotation:
            below = next((p.parent.parent for p in sorted(root.glob("*/*/groundtruth_rect*.txt"))), None)
            remedy = (
                f"Give {below} as the root"
                if below
                else "Give the folder that holds Basketball/ and the others"
            )
            raise DataError(root, f"no folder here holds a groundtruth_rect.txt; {contents(root)}", remedy)
        super().__init__("otb", root, split, tuple(self._annotation))

    def _read(self, name: str) -> Video:
        folder, _ = self._annotation[name]
        boxes = read_rows(self.annotation(name), origin=self.base)
        images = list_images(self.root / folder / "img")
        notes: tuple[str, ...] = ()
        if len(images) != len(boxes) and folder.lower() in FRAMES:
            first, last = FRAMES[folder.lower()]
            used = between(images, first, last)
            if len(used) == len(boxes):
                outside = len(images) - len(used)
                notes = (f"{outside} images outside the benchmark's frames {first} to {last} are ignored",)
                images = used
        return annotated(name, images, boxes, notes=notes)

    def annotation(self, name: str) -> Path:
        """groundtruth_rect.txt, or that of the one target."""
        return self.root.joinpath(*self._annotation[name])


def _targets(folder: Path) -> list[tuple[str, str]]:
    """Names and annotation files of a folder's targets; images alone are a video that cannot be read."""
    files = sorted(p.name for p in folder.glob("groundtruth_rect*.txt"))
    numbered = [(match.group(1), file) for file in files if (match := _TARGET.fullmatch(file))]
    own = [(folder.name, file) for number, file in numbered if folder.name.endswith(f"-{number}")]
    if own:
        return own
    # The benchmark's Human4 has an empty groundtruth_rect.1.txt: its only target is Human4-2.
    targets = [
        (f"{folder.name}-{number}", file) for number, file in numbered if read_bytes(folder / file).strip()
    ]
    if targets:
        return targets
    if files or (folder / "img").is_dir():
        return [(folder.name, "groundtruth_rect.txt")]
    return []
