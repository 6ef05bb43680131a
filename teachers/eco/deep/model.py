"""What deep ECO knows of one target: position, scale, and one part for each kind of features."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from teachers.base import Image, TeacherError
from teachers.eco.deep.augmentation import SHIFTS, augmented, kept_channels
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.part import Part
from teachers.eco.deep.patch import Division, patch
from teachers.eco.deep.region import KINDS, SCALES, region
from teachers.eco.deep.transform import sampling_of
from teachers.eco.target import Target

Floats = NDArray[np.float32]

_TRAINING_GAP = 10
_INSIDE = 0.2
_BATCH = 5


class Model:
    """One target's state, from frame 0 on.

    Args:
        extractor: The network, which many models share.
        image: Frame 0, uint8 (H, W, 3), BGR.
        target: The target in it.
        division: How the published code divides: see `patch`.
        generator: Chooses the channels that frame 0's last samples lack; None for no such samples.

    Attributes:
        score: The highest response in the latest frame; 1 in frame 0.
    """

    def __init__(
        self,
        extractor: Extractor,
        image: Image,
        target: Target,
        division: Division,
        generator: np.random.Generator | None,
    ) -> None:
        self._extractor, self._division = extractor, division
        self._region = shape = region(target.size, (image.shape[0], image.shape[1]))
        self._centre, self._scale = target.centre, shape.scale
        with torch.inference_mode():
            variants = augmented(patch(image, self._centre, shape.side * self._scale, shape.side, division))
            parts = [extractor(variants[i : i + _BATCH]) for i in range(0, len(variants), _BATCH)]
            off = [(at - round(at)) / self._scale for at in self._centre]
            shifts = [(0, 0), *SHIFTS] + [(0, 0)] * (len(variants) - 1 - len(SHIFTS))
            self._parts = []
            for kind, maps in zip(KINDS, (torch.cat(maps) for maps in zip(*parts, strict=True)), strict=True):
                moves = [self._radians(rows + off[0], columns + off[1]) for rows, columns in shifts]
                if generator is not None:
                    kept = torch.from_numpy(kept_channels(kind.channels, generator)).to(maps.device)
                    maps = torch.cat([maps, maps[:1] * kept[:, None, None]])
                    moves += [moves[0]] * len(kept)
                self._parts.append(Part(kind, shape, maps, moves))
        self._sampling = sampling_of(max(part.n for part in self._parts), shape.side)
        self._frame = 0
        self.score = 1.0

    @property
    def target(self) -> Target:
        """The target in the latest frame."""
        return Target(self._centre, self._size)

    @property
    def _size(self) -> tuple[float, float]:
        return self._region.base[0] * self._scale, self._region.base[1] * self._scale

    def regions(self, image: Image) -> list[Floats]:
        """The search regions of all scales in the next frame."""
        side = self._region.side
        return [
            patch(image, self._centre, side * self._scale * scale, side, self._division) for scale in SCALES
        ]

    @property
    def side(self) -> int:
        """Side of the search regions."""
        return self._region.side

    def step(self, image: Image) -> None:
        """Find the target in the next frame and learn from it.

        Raises:
            TeacherError: If the responses are not finite.
        """
        with torch.inference_mode():
            self.update(image, self._extractor(self.regions(image)))

    def update(self, image: Image, maps: tuple[Tensor, Tensor]) -> None:
        """What `step` does, where the maps of this frame's `regions` are known already."""
        with torch.inference_mode():
            samples = [part.samples(own) for part, own in zip(self._parts, maps, strict=True)]
            best, move = self._peak(samples)
        self._frame += 1
        scale = self._scale * SCALES[best]
        # As in the published code: the region was cut at the whole pixel below, the move counts from the nearest.
        start = round(self._centre[0]), round(self._centre[1])
        smallest, largest = self._region.smallest, self._region.largest
        self._scale = min(max(scale, smallest), largest)
        self._centre = self._inside(
            (start[0] + move[0] * scale, start[1] + move[1] * scale), (image.shape[0], image.shape[1])
        )
        moved = self._radians(
            *((at - before) / scale for at, before in zip(self._centre, start, strict=True))
        )
        for part, sample in zip(self._parts, samples, strict=True):
            part.remember(sample[best].copy(), moved)
            if self._frame % _TRAINING_GAP == 0:
                part.learn()

    def _peak(self, samples: list[Floats]) -> tuple[int, tuple[int, int]]:
        """The best scale, and rows and columns of the highest response, in pixels of the region."""
        total = np.zeros((len(SCALES), 2, self._sampling.n * (self._sampling.n // 2 + 1)), dtype=np.float32)
        for part, sample in zip(self._parts, samples, strict=True):
            table = total.reshape(len(SCALES), 2, -1, self._sampling.n)
            n, begin = part.n, (self._sampling.n - part.n) // 2
            response = part.responses(sample).reshape(len(SCALES), 2, -1, n)
            table[:, :, : n // 2 + 1, begin : begin + n] += np.float32(part.kind.share) * response
        values = self._sampling(torch.from_numpy(total)).numpy()
        best, column, row = np.unravel_index(int(values.argmax()), values.shape)
        self.score = float(values[best, column, row])
        if not math.isfinite(self.score):
            raise TeacherError(
                "the network gave no finite response: its weights are broken, or another network's"
            )
        side = self._region.side
        rows, columns = ((int(at) + side // 2) % side - side // 2 for at in (row, column))
        return int(best), (rows, columns)

    def _radians(self, rows: float, columns: float) -> tuple[float, float]:
        """A move in pixels of the region."""
        return 2 * math.pi * rows / self._region.side, 2 * math.pi * columns / self._region.side

    def _inside(self, centre: tuple[float, float], image: tuple[int, int]) -> tuple[float, float]:
        """Keep the centre where at least a fifth of the target's side is in the image."""
        row, column = (
            min(max(at, (_INSIDE - 0.5) * size), extent - (_INSIDE - 0.5) * size)
            for at, size, extent in zip(centre, self._size, image, strict=True)
        )
        return row, column
