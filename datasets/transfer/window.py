"""One window of a transfer set: its boxes at hand, its images read and decoded when first asked for."""

from __future__ import annotations

import sys
import threading
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray

from datasets.boxes import Boxes
from datasets.errors import DataError
from datasets.images import RGB, decode_jpeg
from datasets.transfer.crop import Crop, crop_region
from datasets.transfer.pixels import Pixels


def _references(pieces: list[NDArray[np.uint8]]) -> list[int]:
    return [sys.getrefcount(piece) for piece in pieces]


_UNUSED = _references([np.empty(0, np.uint8)])[0]
"""References to a piece that nothing but such a list holds. Measured, because Python 3.14 counts fewer than 3.13."""


class _Memory(threading.local):
    """Memory of images that nobody looks at any more, kept for the next window of the same thread.

    Fresh memory costs a fifth of the decoding time, because the kernel has to clear it.
    """

    def __init__(self) -> None:
        self._pieces: list[NDArray[np.uint8]] = []

    def take(self, size: int) -> NDArray[np.uint8]:
        """Bytes, uint8 (>= size,), that no other array refers to."""
        # Every image decoded into a piece is one reference more.
        for piece, references in zip(self._pieces, _references(self._pieces), strict=True):
            if len(piece) >= size and references == _UNUSED:
                return piece
        fresh = np.empty(size + size // 4, dtype=np.uint8)
        self._pieces = [*self._pieces[-1:], fresh]
        return fresh


_MEMORY = _Memory()


@dataclass(frozen=True, eq=False)
class Window:
    """L consecutive frames of one video; K teachers. Boxes are (x, y, w, h) in source pixels, 0-based.

    Attributes:
        index: Its number in the set.
        video: The video's name.
        object_class: What the target is, or "".
        start: The first frame in the video, 0-based.
        teachers: K names.
        rows: int64 (L,), rows of /frames, consecutive.
        ground_truth: float32 (L, 4).
        absent: bool (L,), the target is absent or has no valid box.
        teacher: float32 (L, K, 4), NaN where the teacher is not positive on this video.
        iou: float32 (L, K), NaN likewise.
        best: int8 (L,), index of the best positive teacher (Eq. 4).
        pixels: Where the images come from.
    """

    index: int
    video: str
    object_class: str
    start: int
    teachers: tuple[str, ...]
    rows: NDArray[np.int64]
    ground_truth: Boxes
    absent: NDArray[np.bool_]
    teacher: Boxes
    iou: NDArray[np.float32]
    best: NDArray[np.int8]
    pixels: Pixels
    _files: list[memoryview] = field(default_factory=list, repr=False)
    _images: dict[int, RGB] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        """Number of frames L."""
        return len(self.rows)

    @property
    def positive(self) -> NDArray[np.int64]:
        """Columns of the teachers that are positive on this video."""
        return np.flatnonzero(~np.isnan(self.teacher).all(axis=(0, 2)))

    @property
    def regions(self) -> Boxes:
        """Where the stored pixels lie in the source images, float32 (L, 4)."""
        regions: Boxes = self.pixels.tables["frames/window"][self.rows]
        return regions

    @property
    def image_size(self) -> NDArray[np.int32]:
        """Width and height of the source images, int32 (L, 2)."""
        sizes: NDArray[np.int32] = self.pixels.tables["frames/image_size"][self.rows]
        return sizes

    def jpeg(self, t: int) -> memoryview:
        """The stored JPEG file of frame t; the first call reads those of the whole window at once."""
        if not self._files:
            self._files.extend(self.pixels.read(int(self.rows[0]), len(self)))
        return self._files[t]

    def image(self, t: int) -> RGB:
        """The stored pixels of frame t, uint8 (h, w, 3), RGB; decoded once.

        Raises:
            DataError: If the stored JPEG file is damaged.
        """
        image = self._images.get(t)
        if image is None:
            image = self._images[t] = self._decode(t, self.jpeg(t))
        return image

    def images(self) -> list[RGB]:
        """The stored pixels of all frames, decoded into one piece of memory.

        Raises:
            DataError: If a stored JPEG file is damaged.
        """
        missing = [t for t in range(len(self)) if t not in self._images]
        ends = np.cumsum(self.pixels.tables["frames/size"][self.rows[missing]].prod(axis=1) * 3).tolist()
        memory = _MEMORY.take(ends[-1] if ends else 0)
        for t, start, end in zip(missing, [0, *ends], ends, strict=False):
            self._images[t] = self._decode(t, self.jpeg(t), memory[start:end])
        return [self._images[t] for t in range(len(self))]

    def glimpse(self, t: int) -> RGB:
        """What `image` gives, read and decoded anew and not kept: for one who looks at every frame once.

        Raises:
            DataError: If the stored JPEG file is damaged.
        """
        (file,) = self.pixels.read(int(self.rows[t]), 1)
        return self._decode(t, file)

    def _decode(self, t: int, file: memoryview, out: NDArray[np.uint8] | None = None) -> RGB:
        try:
            return decode_jpeg(file, "RGB", out)
        except ValueError as error:
            problem = f"row {self.rows[t]} of /frames is damaged ({error})"
            remedy = "Restore the file from a copy, or build it again with `dvc repro`"
            raise DataError(self.pixels.path, problem, remedy) from error

    def best_boxes(self) -> Boxes:
        """The best positive teacher's box per frame, float32 (L, 4) (Eq. 4)."""
        boxes: Boxes = self.teacher[np.arange(len(self)), self.best]
        return boxes

    def crop(self, t: int, box: ArrayLike, size: int = 128, context: float = 1.5) -> Crop:
        """What the student sees of frame t around a box: ρ of Section 3.2.

        Args:
            t: Frame of the window.
            box: (x, y, w, h) in source pixels; the crop has the same centre.
            size: Width and height of the result; the aspect ratio is not kept.
            context: c, how many times the box the crop is wide and high.

        Returns:
            uint8 (size, size, 3), RGB, and whether the stored window holds all of it.
        """
        tables, row = self.pixels.tables, self.rows[t]
        return crop_region(
            self.image(t), tables["frames/window"][row], tables["frames/image_size"][row], box, size, context
        )
