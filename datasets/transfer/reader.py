"""Reads transfer sets: windows at random, frames decoded when asked for.

    with TransferReader(Path("data/transfer/P-0.5.h5")) as windows:
        window = windows[17]
        window.image(3)                                   # uint8 (h, w, 3) RGB: what is stored of frame 3
        window.ground_truth[3], window.teacher[3]         # float32 (4,), (K, 4): source pixels
        window.crop(3, window.ground_truth[2]).pixels     # uint8 (128, 128, 3): what the student sees

A reader may be used by several threads, inherited through a fork, and pickled to a spawned process.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import h5py
import numpy as np
from numpy.typing import NDArray

from datasets.errors import DataError
from datasets.transfer.format import ARRAYS, ATTRIBUTES, FORMAT, FRAMES_FORMAT
from datasets.transfer.pixels import Pixels, array_in, existing_file, load_frames, open_checked
from datasets.transfer.record import Provenance, TransferSet
from datasets.transfer.seal import read_seal, read_whole
from datasets.transfer.window import Window

_PATHLIKE = {"", ".", ".."}
_PYTHON: dict[str, Callable[[Any], Any]] = {
    "str": str,
    "int": int,
    "float": float,
    "str[]": lambda texts: tuple(str(text) for text in texts),
}


class TransferReader:
    """Windows of one transfer set by index; a sequence of `Window`.

    Opening reads all boxes into memory (of a window of 32 frames, 0.8 KB and 0.6 KB per teacher); pixels stay on disk.

    Args:
        path: The set. Its frames.h5 is looked for beside this path, and, where the path is a symbolic link,
            beside the link's target.

    Attributes:
        path: As given.
        content: Everything but pixels, as a record.
        attributes: The root attributes.
        pixels: The stored JPEG files.

    Raises:
        DataError: If the file is no transfer set of this version, it or its frames.h5 was cut or damaged (of the
            images themselves, those that are asked for are looked at, when they are), or its pixels are missing or
            those of another build.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        existing_file(self.path, "Name a file that `dvc repro` made, as data/transfer/P-0.5.h5")
        read_whole(self.path)
        with open_checked(self.path, (FORMAT,)) as file:
            self.attributes = read_attributes(self.path, file)
            tables = load_set(self.path, file)
            self.content = _record(self.attributes, tables)
            self.pixels = open_pixels(self.path, file)
        self._frame: NDArray[np.int64] = tables["windows/frame"]
        self._iou: NDArray[np.float32] = tables["overlap/iou"]
        self._best: NDArray[np.int8] = tables["overlap/best"]
        if self._frame.size and not 0 <= self._frame.min() <= self._frame.max() < len(self.pixels):
            problem = (
                f"/windows/frame names rows up to {self._frame.max()} of {len(self.pixels)} stored frames"
            )
            raise DataError(self.path, problem, "Run `python -m datasets validate` on it, and build it again")

    def __len__(self) -> int:
        """Number of windows N."""
        return len(self._frame)

    def __getitem__(self, index: int) -> Window:
        """Window by index, 0-based; negative counts from the end. Reads nothing from disk yet.

        Raises:
            IndexError: If there is no such window.
        """
        n = range(len(self))[index]
        c = self.content
        v = int(c.window_video[n])
        return Window(
            index=n,
            video=c.video_name[v],
            object_class=c.object_class[v],
            start=int(c.window_start[n]),
            teachers=c.provenance.teachers,
            rows=self._frame[n],
            ground_truth=c.ground_truth[n],
            absent=c.absent[n],
            teacher=c.teacher[n],
            iou=self._iou[n],
            best=self._best[n],
            pixels=self.pixels,
        )

    def __iter__(self) -> Iterator[Window]:
        """All windows in order."""
        return (self[n] for n in range(len(self)))

    def __repr__(self) -> str:
        """What a user asks first."""
        p = self.content.provenance
        return f"TransferReader({str(self.path)!r}, pool {p.pool}, β {p.beta}, {len(self)} windows)"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file of pixels."""
        self.pixels.close()

    def __reduce__(self) -> tuple[type[TransferReader], tuple[Path]]:
        """A spawned process opens the set again, which is faster than sending its boxes."""
        return (TransferReader, (self.path.absolute(),))


def read_attributes(path: Path, file: h5py.File) -> dict[str, Any]:
    """The root attributes of a set as Python values.

    Raises:
        DataError: If one is missing.
    """
    values: dict[str, Any] = {}
    for a in ATTRIBUTES:
        if a.name not in file.attrs:
            raise DataError(path, f"lacks the attribute {a.name}", "Build the set again with `dvc repro`")
        value = file.attrs[a.name]
        values[a.name] = _PYTHON[a.type](value)
    return values


def frames_path(path: Path, link: str) -> Path:
    """Find the file that a set's link names, beside the path given or beside what that path links to.

    Raises:
        DataError: If the link leaves the folder, or there is no such file.
    """
    if Path(link).name != link or link in _PATHLIKE:
        raise DataError(path, f"links to pixels in {link!r}, not in a file beside it", "Build the set again")
    for folder in (path.parent, path.resolve().parent):
        if (folder / link).is_file():
            return folder / link
    remedy = (
        f"Put the {link} that was built with it into {path.parent.absolute()}, for instance with "
        "`dvc checkout` or `dvc pull`, or build both again with `dvc repro`"
    )
    raise DataError(path, f"cannot find its pixels: there is no {link} beside it", remedy)


def linked_frames(path: Path, file: h5py.File, whole: bool = True) -> Path | None:
    """The frames.h5 that a set links to, None where the file holds its pixels itself.

    Args:
        path: The set; the frames.h5 lies beside it.
        file: The same, open.
        whole: Refuse a frames.h5 that was cut.

    Raises:
        DataError: If the frames.h5 is missing, has no seal, or is of another build.
    """
    link = file.get("frames", getlink=True)
    if not isinstance(link, h5py.ExternalLink):
        return None
    target = frames_path(path, link.filename)
    wanted = read_attributes(path, file)["frames_fingerprint"]
    found = read_seal(target, whole).fingerprint
    if found != wanted:
        problem = (
            f"is of another build than {path.name}: its fingerprint is {found[:12]}..., "
            f"the set was made with {wanted[:12]}..."
        )
        remedy = "Bring both from the same build (`dvc checkout`), or build both again with `dvc repro`"
        raise DataError(target, problem, remedy)
    return target


def open_pixels(path: Path, file: h5py.File) -> Pixels:
    """Open the stored images of a set: its own, or those of the frames.h5 that it links to.

    Raises:
        DataError: If the frames.h5 is missing, damaged, or of another build.
    """
    target = linked_frames(path, file)
    if target is None:
        return Pixels(path, *load_frames(path, file))
    read_whole(target)
    with open_checked(target, (FRAMES_FORMAT,)) as frames:
        return Pixels(target, *load_frames(target, frames))


def load_set(path: Path, file: h5py.File) -> dict[str, NDArray[Any]]:
    """All arrays of a set but its pixels', by their name in the format.

    Raises:
        DataError: If one is missing or unreadable.
    """
    try:
        return {a.name: array_in(file, a.name)[()] for a in ARRAYS}
    except (KeyError, OSError) as error:
        remedy = "Run `python -m datasets validate` on it, and build it again with `dvc repro`"
        raise DataError(path, f"an array is missing or unreadable ({error})", remedy) from error


def _record(attributes: dict[str, Any], tables: dict[str, NDArray[Any]]) -> TransferSet:
    def texts(name: str) -> tuple[str, ...]:
        return tuple(text.decode() for text in tables[name].tolist())

    names = Provenance.__dataclass_fields__
    return TransferSet(
        provenance=Provenance(**{name: attributes[name] for name in names}),
        video_name=texts("videos/name"),
        video_length=tables["videos/length"],
        object_class=texts("videos/object_class"),
        window_video=tables["windows/video"],
        window_start=tables["windows/start"],
        ground_truth=tables["boxes/ground_truth"],
        absent=tables["boxes/absent"].astype(np.bool_),
        teacher=tables["boxes/teacher"],
    )
