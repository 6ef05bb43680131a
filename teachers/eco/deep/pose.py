"""Where one target is: its centre and scale, the regions to search for it, and how a peak in these moves it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from teachers.base import Image, TeacherError
from teachers.eco.deep.patch import Division, Square, patch, square
from teachers.eco.deep.region import SCALES, region
from teachers.eco.target import Target

Floats = NDArray[np.float32]

_TRAINING_GAP = 10
_INSIDE = 0.2


class Pose:
    """One target's place, from frame 0 on.

    Args:
        image: Height and width of the images.
        target: The target in frame 0.
        division: How the published code divides: see `square`.

    Attributes:
        region: The search region.
        score: The highest response in the latest frame; 1 in frame 0.
    """

    def __init__(self, image: tuple[int, int], target: Target, division: Division) -> None:
        self.region = region(target.size, image)
        self.score = 1.0
        self._division: Division = division
        self._centre, self._scale = target.centre, self.region.scale
        self._frame = 0

    @property
    def target(self) -> Target:
        """The target in the latest frame."""
        return Target(self._centre, self._size)

    @property
    def learns(self) -> bool:
        """Whether the filter is improved in the latest frame."""
        return self._frame % _TRAINING_GAP == 0

    @property
    def off(self) -> tuple[float, float]:
        """Rows and columns from the nearest whole pixel to the centre, in pixels of the region."""
        row, column = ((at - round(at)) / self._scale for at in self._centre)
        return row, column

    def squares(self) -> list[Square]:
        """What is read of the next frame: the search regions of all scales."""
        return [self._square(scale) for scale in SCALES]

    def patches(self, image: Image) -> list[Floats]:
        """The same, cut out and resized: each float32 (side, side, 3)."""
        return [patch(image, read, self.region.side) for read in self.squares()]

    def first_patch(self, image: Image) -> Floats:
        """The search region of frame 0, float32 (side, side, 3)."""
        return patch(image, self._square(1.0), self.region.side)

    def follow(self, score: float, peak: int, image: Image) -> tuple[int, tuple[float, float]]:
        """Move to where the response is highest.

        Args:
            score: The highest response.
            peak: Its place among those of all scales, (scale, column, row) counted as one number.
            image: The frame.

        Returns:
            The best scale's number, and by how much its region's origin has moved, in radians of the region.

        Raises:
            TeacherError: If the score is not finite.
        """
        self.score = score
        if not math.isfinite(score):
            raise TeacherError(
                "the network gave no finite response: its weights are broken, or another network's"
            )
        side = self.region.side
        number, place = divmod(peak, side * side)
        column, row = divmod(place, side)
        move = [(at + side // 2) % side - side // 2 for at in (row, column)]
        self._frame += 1
        scale = self._scale * SCALES[number]
        # As in the published code: the region was cut at the whole pixel below, the move counts from the nearest.
        start = round(self._centre[0]), round(self._centre[1])
        self._scale = min(max(scale, self.region.smallest), self.region.largest)
        self._centre = self._inside(
            (start[0] + move[0] * scale, start[1] + move[1] * scale), (image.shape[0], image.shape[1])
        )
        moved = [(at - before) / scale for at, before in zip(self._centre, start, strict=True)]
        return number, self.region.radians(moved[0], moved[1])

    def _square(self, scale: float) -> Square:
        """The search region of a relative scale."""
        side = self.region.side
        return square(self._centre, side * self._scale * scale, side, self._division)

    @property
    def _size(self) -> tuple[float, float]:
        return self.region.base[0] * self._scale, self.region.base[1] * self._scale

    def _inside(self, centre: tuple[float, float], image: tuple[int, int]) -> tuple[float, float]:
        """Keep the centre where at least a fifth of the target's side is in the image."""
        row, column = (
            min(max(at, (_INSIDE - 0.5) * size), extent - (_INSIDE - 0.5) * size)
            for at, size, extent in zip(centre, self._size, image, strict=True)
        )
        return row, column
