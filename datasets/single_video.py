"""One video's folder by itself, without the benchmark that it belongs to."""

from __future__ import annotations

from pathlib import Path

from datasets.errors import DataError
from datasets.folder_dataset import annotated, existing_folder, fitted
from datasets.got10k import first_box_alone
from datasets.image_files import list_images
from datasets.otb import Otb
from datasets.rows import read_flags, read_rows
from datasets.video import Video


def read_video(folder: Path) -> Video:
    """Read a single video's folder in GOT-10k's or OTB's layout (of several targets, the first).

    One box for many images is that of frame 0, which is all that a tracker needs: the others have no ground truth.

    Raises:
        DataError: If it is neither, or its files are faulty.
    """
    existing_folder(folder, "Give the folder of one video")
    folder = folder.resolve()
    if (folder / "groundtruth.txt").is_file():
        images, boxes = list_images(folder), read_rows(folder / "groundtruth.txt")
        if len(boxes) == 1 and len(images) > 1:
            boxes = first_box_alone(boxes, len(images))
        flags, notes = None, tuple[str, ...]()
        if (folder / "absence.label").is_file():
            flags, notes = fitted(read_flags(folder / "absence.label") > 0, len(boxes), "absence.label")
        return annotated(folder.name, images, boxes, flags, notes=notes)
    if any(folder.glob("groundtruth_rect*.txt")):
        sequences = Otb(folder.parent)
        name = next(n for n in sequences.names if n in (folder.name, f"{folder.name}-1", f"{folder.name}-2"))
        return sequences[name]
    raise DataError(
        folder,
        "holds neither groundtruth.txt (GOT-10k) nor groundtruth_rect.txt (OTB)",
        "Give the folder of one video, such as data/synthetic/train/NAME",
    )
