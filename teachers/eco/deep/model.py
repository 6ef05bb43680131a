"""What deep ECO knows of one target: its place, and one part for each kind of features."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from teachers.base import Image
from teachers.eco.deep.beginning import Start, beginnings
from teachers.eco.deep.extractor import Extractor
from teachers.eco.deep.part import Part
from teachers.eco.deep.region import KINDS, SCALES
from teachers.eco.deep.transform import sampling_of

Floats = NDArray[np.float32]


class Model:
    """One target's state, from frame 0 on.

    Args:
        extractor: The network, which many models share.
        start: The target to learn.

    Attributes:
        pose: Its place.
    """

    def __init__(self, extractor: Extractor, start: Start) -> None:
        self._extractor = extractor
        self.pose = pose = start.pose
        with torch.inference_mode():
            first = beginnings(extractor, start)
            self._parts = [Part(kind, pose.region, own) for kind, own in zip(KINDS, first, strict=True)]
        self._sampling = sampling_of(max(part.n for part in self._parts), pose.region.side)

    def step(self, image: Image) -> None:
        """Find the target in the next frame and learn from it.

        Raises:
            TeacherError: If the responses are not finite.
        """
        with torch.inference_mode():
            maps = self._extractor(self.pose.patches(image))
            samples = [part.samples(own) for part, own in zip(self._parts, maps, strict=True)]
            values = self._responses(samples)
        peak = int(values.argmax())
        best, moved = self.pose.follow(float(values.ravel()[peak]), peak, image)
        for part, sample in zip(self._parts, samples, strict=True):
            part.remember(sample[best].copy(), moved)
            if self.pose.learns:
                part.learn()

    def _responses(self, samples: list[Floats]) -> Floats:
        """Responses at all places of the regions, float32 (scales, side, side): columns x, rows y."""
        total = np.zeros((len(SCALES), 2, self._sampling.n * (self._sampling.n // 2 + 1)), dtype=np.float32)
        for part, sample in zip(self._parts, samples, strict=True):
            table = total.reshape(len(SCALES), 2, -1, self._sampling.n)
            n, begin = part.n, (self._sampling.n - part.n) // 2
            response = part.responses(sample).reshape(len(SCALES), 2, -1, n)
            table[:, :, : n // 2 + 1, begin : begin + n] += np.float32(part.kind.share) * response
        return np.asarray(self._sampling(torch.from_numpy(total)).numpy())
