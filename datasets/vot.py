"""VOT (short-term and long-term challenges) in the layout of its sequence folders.

    ROOT/list.txt                       one sequence name per line
    ROOT/ants1/color/00000001.jpg       or ROOT/ants1/00000001.jpg
        groundtruth.txt                 x,y,w,h or a polygon x1,y1,x2,y2,... per line; NaN where absent

A polygon becomes the axis-aligned box around it. Coordinates are taken as they are written: the toolkits
(VOT's, pysot, GOT-10k's) measure against them as they are, so do we. Masks (VOT2020 and later) are refused.
"""

from __future__ import annotations

from pathlib import Path

from datasets.boxes import Boxes, as_boxes, enclosing
from datasets.errors import DataError
from datasets.folder_dataset import FolderDataset, annotated, contents
from datasets.image_files import list_images
from datasets.names import read_names
from datasets.rows import first_row_columns, parse_rows, read_bytes
from datasets.video import Video


class Vot(FolderDataset):
    """The sequences of one challenge, as its list.txt names them.

    Raises:
        DataError: If there is no list.txt, or it is not a list of names.
    """

    base = 0

    def __init__(self, root: Path, split: str | None = None) -> None:
        if not (root / "list.txt").is_file():
            below = next(iter(sorted(root.glob("*/list.txt"))), None)
            remedy = f"Give {below.parent} as the root" if below else "Restore it: one sequence name per line"
            raise DataError(root / "list.txt", f"there is no such file; {contents(root)}", remedy)
        super().__init__("vot", root, split, read_names(root / "list.txt"))

    def _read(self, name: str) -> Video:
        folder = self.root / name
        if not folder.is_dir():
            remedy = f"Restore it, or remove {name} from {self.root / 'list.txt'}"
            raise DataError(folder, "there is no such folder, though list.txt names it", remedy)
        color = folder / "color"
        images = list_images(color if color.is_dir() else folder)
        return annotated(name, images, read_regions(self.annotation(name)))

    def annotation(self, name: str) -> Path:
        """groundtruth.txt."""
        return self.root / name / "groundtruth.txt"


def read_regions(path: Path) -> Boxes:
    """Read rectangles (4 numbers per row) or polygons (6 or more) as boxes, float32 (T, 4).

    Raises:
        DataError: If rows are neither, or not all alike.
    """
    data = read_bytes(path)
    columns = first_row_columns(data)
    remedy = "Write x,y,w,h or a polygon x1,y1,x2,y2,x3,y3,... in each row; masks are not supported"
    if columns in {0, 4}:
        return parse_rows(data, path, 4, remedy=remedy)
    if columns < 6 or columns % 2:
        raise DataError(
            path, f"{columns} value{'s' if columns != 1 else ''} are no rectangle or polygon", remedy, 1
        )
    return as_boxes(enclosing(parse_rows(data, path, columns, remedy=remedy)))
