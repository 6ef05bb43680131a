"""The domain types: a `Video`, and a `VideoDataset` that gives them by name."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
from blake3 import blake3
from numpy.typing import NDArray

from datasets.boxes import Boxes, is_valid
from datasets.errors import DataError
from datasets.image_files import ImageFiles


@dataclass(frozen=True, eq=False)
class Video:
    """One target in one sequence of images.

    Attributes:
        name: Unique within its dataset; the folder's name, with a suffix where a folder has several targets.
        frames: Paths of the images in order, `length` of them; empty for a dataset of annotations alone.
        ground_truth: float32 (T, 4), (x, y, w, h) in pixels, 0-based, exactly what the files say. Rows of an
            absent target hold whatever the benchmark wrote: NaN, (-1, -1, -1, -1) or zeros.
        absent: bool (T,): the benchmark marks the target as absent (out of view, fully occluded), or its box
            is not valid. A tracker's box cannot overlap the target there.
        object_class: What the target is, "" where the benchmark does not say.
        notes: Decisions that the reader took about this video and that a user should know, one sentence each
            ("16 images after the last annotated frame are ignored").
    """

    name: str
    frames: Sequence[Path]
    ground_truth: Boxes
    absent: NDArray[np.bool_]
    object_class: str = ""
    notes: tuple[str, ...] = field(default=())

    def __post_init__(self) -> None:
        shapes = {len(self.ground_truth), len(self.absent), len(self.frames) or len(self.absent)}
        if len(shapes) != 1:
            raise ValueError(
                f"video {self.name}: {len(self.frames)} images, {len(self.ground_truth)} boxes and "
                f"{len(self.absent)} absence flags"
            )

    def __len__(self) -> int:
        """Number of frames T."""
        return len(self.ground_truth)

    def __repr__(self) -> str:
        """Show what a user asks first."""
        return f"Video({self.name!r}, {len(self)} frames, {int(self.absent.sum())} absent, {self.object_class!r})"

    def digest(self) -> str:
        """A fingerprint of the annotation and of the images' names and sizes, 32 hexadecimal digits.

        Reading every pixel of GOT-10k takes an hour; names and sizes in bytes take seconds and notice a
        folder that was re-downloaded, re-encoded, cut or extended. Times and absolute paths do not count.

        Raises:
            DataError: If an image is missing: a link that leads nowhere.
        """
        h = blake3(self.name.encode())
        h.update(np.ascontiguousarray(self.ground_truth, dtype="<f4").tobytes())
        h.update(np.ascontiguousarray(self.absent, dtype="u1").tobytes())
        for path, name in self._files():
            try:
                size = os.stat(path).st_size  # noqa: PTH116 - see below
            except OSError as error:
                problem = f"the image cannot be read ({error.strerror})"
                raise DataError(path, problem, f"Restore it, or exclude the video {self.name}") from error
            # A file's name need not be UTF-8; the bytes that are none stand for themselves.
            h.update(f"{name}\0{size}\0".encode("utf-8", "surrogateescape"))
        return h.hexdigest(length=16)

    def _files(self) -> Iterator[tuple[str, str]]:
        """Path and name of each image as text: a `Path` of each would take longer than the look at the file."""
        if isinstance(self.frames, ImageFiles):
            return ((f"{self.frames.folder}/{name}", name) for name in self.frames.names)
        return ((str(path), path.name) for path in self.frames)


@runtime_checkable
class VideoDataset(Protocol):
    """Videos by name, read when asked for.

    Opening one reads the list of names only: GOT-10k's 9,335 videos open in seconds, in little memory.
    """

    @property
    def spec(self) -> str:
        """How a user names it, `KIND:ROOT[:SPLIT]`."""
        ...

    @property
    def root(self) -> Path:
        """The folder that the user gave."""
        ...

    @property
    def names(self) -> Sequence[str]:
        """All videos' names, in the dataset's own order, without duplicates."""
        ...

    def __len__(self) -> int: ...

    def __getitem__(self, name: str) -> Video:
        """Read one video's annotation and list its images.

        Raises:
            KeyError: If there is no such video.
            DataError: If its files are not what they have to be.
        """
        ...

    def __iter__(self) -> Iterator[Video]: ...


def absence(ground_truth: Boxes, flags: NDArray[np.bool_] | None = None) -> NDArray[np.bool_]:
    """Combine a benchmark's absence flags with what the boxes themselves say, shape (T,)."""
    absent: NDArray[np.bool_] = ~is_valid(ground_truth)
    return absent if flags is None else absent | flags
