"""`annotations:DIR`: ground truth alone, one NAME.txt per video and no images.

Enough for statistics and scores. Rows are x,y,w,h, 1-based as in OTB, whose annotations and result files are
published in this form. Overlap and centre distance do not depend on the base as long as results are read with
the same one, which is what `datasets.results` does for this kind.
"""

from __future__ import annotations

from pathlib import Path

from datasets.errors import DataError
from datasets.folder_dataset import FolderDataset, annotation_names, contents
from datasets.rows import read_rows
from datasets.video import Video, absence


class Annotations(FolderDataset):
    """All text files of a folder.

    Raises:
        DataError: If there is none.
    """

    base = 1

    def __init__(self, root: Path, split: str | None = None) -> None:
        names = annotation_names(root)
        if not names:
            problem = f"the folder holds no NAME.txt; {contents(root)}"
            raise DataError(root, problem, "Give a folder of ground-truth files, one per video")
        super().__init__("annotations", root, split, names)

    def _read(self, name: str) -> Video:
        boxes = read_rows(self.annotation(name), origin=self.base)
        return Video(name, (), boxes, absence(boxes))

    def annotation(self, name: str) -> Path:
        """NAME.txt."""
        return self.root / f"{name}.txt"
