"""UAV123, at 30 and at 10 frames per second, in the benchmark's own layout.

    ROOT/anno/UAV123/bird1_2.txt                 x,y,w,h per line, 1-based, NaN where the target is absent
    ROOT/data_seq/UAV123/bird1/000775.jpg        images; several videos may be parts of one folder

(`UAV123_10fps` instead of `UAV123` for the kind uav123_10fps.) Boxes become 0-based. Which images a part uses
is not written in the data but in the benchmark's configuration of sequences, whose numbers are below. At 10
frames per second every third image was kept, so image n became (n - 1) // 3 + 1; the numbers that follow from
this are those of the benchmark's list for that rate.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from datasets.errors import DataError
from datasets.folder_dataset import FolderDataset, annotated, annotation_names, contents
from datasets.image_files import between, list_images
from datasets.rows import read_rows
from datasets.video import Video

STARTS: dict[str, tuple[int, ...]] = {
    "car1": (1, 751, 1627, 2629),
    "car16": (1, 415, 1993),
    "car6": (1, 487, 1807, 2953, 3925, 4861),
    "car8": (1, 1357, 2575),
    "group1": (1, 1333, 2515, 3925, 4873),
    "group2": (1, 907, 1771, 2683),
    "group3": (1, 1567, 2827, 4369, 5527),
    "person12": (1, 601, 1621),
    "person14": (1, 847, 1813, 2923),
    "person17": (1, 1501, 2347),
    "person19": (1, 1243, 2791, 4357),
    "person2": (1, 1189, 2623),
    "person4": (1, 1501, 2743),
    "person5": (1, 877, 2101),
    "person7": (1, 1249, 2065),
    "person8": (1, 1075, 1525),
    "truck4": (1, 577, 1261),
}
"""Folders cut into parts that share their border frames: part k goes from number k to number k + 1."""

PARTS: dict[str, tuple[str, int, int]] = {
    **{
        f"{folder}_{k}": (folder, first, last)
        for folder, starts in STARTS.items()
        for k, (first, last) in enumerate(pairwise(starts), start=1)
    },
    "bird1_1": ("bird1", 1, 253),
    "bird1_2": ("bird1", 775, 1477),
    "bird1_3": ("bird1", 1573, 2437),
    "uav1_1": ("uav1", 1, 1555),
    "uav1_2": ("uav1", 1555, 2377),
    "uav1_3": ("uav1", 2473, 3469),
}
"""Folder, first and last image at 30 frames per second of every video that is part of a folder."""


class Uav123(FolderDataset):
    """All annotated videos.

    Args:
        root: The folder that holds anno/ and data_seq/.
        split: Always None.
        kind: `uav123` or `uav123_10fps`.

    Raises:
        DataError: If there is no annotation of that rate.
    """

    base = 1

    def __init__(self, root: Path, split: str | None = None, kind: str = "uav123") -> None:
        self.version = "UAV123_10fps" if kind == "uav123_10fps" else "UAV123"
        annotations = root / "anno" / self.version
        names = annotation_names(annotations)
        if not names:
            other = "uav123" if kind == "uav123_10fps" else "uav123_10fps"
            has_other = (root / "anno" / ("UAV123" if other == "uav123" else "UAV123_10fps")).is_dir()
            remedy = (
                f"Write {other}:{root}" if has_other else "Give the folder that holds anno/ and data_seq/"
            )
            raise DataError(annotations, f"there is no annotation; {contents(root)}", remedy)
        super().__init__(kind, root, split, names)

    def _read(self, name: str) -> Video:
        boxes = read_rows(self.annotation(name), origin=self.base)
        data = self.root / "data_seq" / self.version
        if name not in PARTS:
            return annotated(name, list_images(data / name), boxes)
        folder, first, last = PARTS[name]
        if self.version == "UAV123_10fps":
            first, last = (first - 1) // 3 + 1, (last - 1) // 3 + 1
        images = list_images(data / folder)
        part = between(images, first, last)
        if not part:
            problem = f"{name} is images {first} to {last}, none of which is here ({len(images)} others are)"
            raise DataError(images.folder, problem, "Restore them from the benchmark's archive")
        return annotated(name, part, boxes)

    def annotation(self, name: str) -> Path:
        """anno/UAV123/NAME.txt."""
        return self.root / "anno" / self.version / f"{name}.txt"
