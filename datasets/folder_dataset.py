"""What all readers share: videos by name, read one at a time."""

from __future__ import annotations

import os
import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Boxes
from datasets.errors import DataError
from datasets.image_files import ImageFiles, matched
from datasets.names import without
from datasets.video import Video, absence

_NOT_UTF8 = re.compile("[\udc80-\udcff]")
"""What Python makes of the bytes of a file's name that are not UTF-8."""


class FolderDataset(ABC):
    """A dataset on disk, a `datasets.video.VideoDataset`. It holds names only, and can be pickled.

    Attributes:
        kind: The KIND of `KIND:ROOT[:SPLIT]`.
        root: The folder that the user gave.
        split: The split's name, or None where the benchmark has none.
        names: All videos' names, in the dataset's own order.
        base: What the annotation files call the first pixel, 0 or 1; `ground_truth` is 0-based.

    Raises:
        DataError: If a name is not UTF-8, as every file that is made of the dataset has to hold it.
    """

    base: ClassVar[int] = 0

    def __init__(self, kind: str, root: Path, split: str | None, names: Sequence[str]) -> None:
        odd = next((name for name in names if _NOT_UTF8.search(name)), None)
        if odd is not None:
            problem = f"the name of the video {os.fsencode(odd)!r} is not UTF-8"
            raise DataError(root, problem, "Rename its folder and files")
        self.kind = kind
        self.root = root
        self.split = split
        self.names: Sequence[str] = tuple(names)
        self._known = frozenset(names)

    @property
    def spec(self) -> str:
        """How a user names the dataset."""
        return f"{self.kind}:{self.root}" + (f":{self.split}" if self.split else "")

    def __len__(self) -> int:
        """Number of videos."""
        return len(self.names)

    def __repr__(self) -> str:
        return f"<{self.spec}, {len(self)} videos>"

    def __contains__(self, name: object) -> bool:
        return name in self._known

    def __getitem__(self, name: str) -> Video:
        """Read one video's annotation and list its images.

        Raises:
            KeyError: If there is no such video.
            DataError: If its files are not what they have to be.
        """
        if name not in self._known:
            raise KeyError(f"{self.spec} has no video {name!r}")
        try:
            return self._read(name)
        except OSError as error:  # a forbidden folder, a loop of links, a name that is too long
            path = error.filename or self.root
            problem = f"cannot be read ({error.strerror})"
            raise DataError(path, problem, f"Mend it, or exclude the video {name}") from error

    def __iter__(self) -> Iterator[Video]:
        return (self[name] for name in self.names)

    def exclude(self, listed: Path) -> None:
        """Drop the videos named in a text file (see `datasets.names.without`)."""
        self.names = without(self.names, listed)
        self._known = frozenset(self.names)

    def marked_absent(self, name: str) -> NDArray[np.bool_] | None:
        """The benchmark's own absence flags, bool (T,); None where it has none (NaN boxes say it then)."""
        del name
        return None

    def annotation(self, name: str) -> Path | None:
        """The text file of a video's boxes, line i + 1 for frame i; None where no single file holds them."""
        del name
        return None

    def absence_files(self, name: str) -> tuple[Path, ...]:
        """The files that `marked_absent` is read from, those that are there; their value i + 1 is that of frame i."""
        del name
        return ()

    def unlisted(self) -> list[str]:
        """Folders that look like videos and that the benchmark's list does not name; none where it has no list."""
        return []

    def audit(self, name: str) -> list[tuple[Path, str]]:
        """What else is wrong with a video's files, which reading it does not need: the file and a sentence each."""
        del name
        return []

    @abstractmethod
    def _read(self, name: str) -> Video:
        """Read a video whose name is known."""


def annotated(
    name: str,
    images: ImageFiles,
    boxes: Boxes,
    flags: NDArray[np.bool_] | None = None,
    object_class: str = "",
    notes: tuple[str, ...] = (),
) -> Video:
    """A video of images and boxes, by the rule of `datasets.image_files.matched`."""
    frames, rows, decisions = matched(images, len(boxes))
    kept = boxes[:rows]
    absent = absence(kept, None if flags is None else flags[:rows])
    return Video(name, frames, kept, absent, object_class, (*notes, *decisions))


def annotation_names(folder: Path) -> list[str]:
    """Names of the videos whose annotations are NAME.txt in a folder; hidden files, as macOS adds, are none."""
    return sorted(p.stem for p in folder.glob("*.txt") if not p.name.startswith("."))


def fitted(flags: NDArray[np.bool_], rows: int, label: str) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Bring absence flags to the length of the boxes: what is missing counts as not flagged, with a note."""
    if len(flags) == rows:
        return flags, ()
    note = f"{label} has {len(flags)} rows for {rows} boxes; frames without a row count as not flagged"
    return np.concatenate([flags, np.zeros(max(rows - len(flags), 0), bool)])[:rows], (note,)


def existing_folder(path: Path, remedy: str) -> Path:
    """`path`, if it is a folder.

    Raises:
        DataError: If it is not; the message says what is there instead.
    """
    if path.is_dir():
        return path
    if path.exists():
        raise DataError(path, "this is a file, not a folder", remedy)
    raise DataError(path, f"there is no such folder; {contents(path.parent)}", remedy)


def contents(folder: Path, limit: int = 8) -> str:
    """What lies in a folder, in words, for a message."""
    if not folder.is_dir():
        return f"nor is there {folder}"
    entries = sorted(
        p.name + ("/" if p.is_dir() else "") for p in folder.iterdir() if not p.name.startswith(".")
    )
    shown = ", ".join(entries[:limit]) + (f" and {len(entries) - limit} more" if len(entries) > limit else "")
    return f"{folder} holds {shown or 'nothing'}"
