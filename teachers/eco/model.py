"""What ECO knows of one target: position, scale, filter, projection, samples."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from teachers.eco.conjugate_gradient import ConjugateGradient, diagonal, energy_of
from teachers.eco.data_term import DataTerm
from teachers.eco.detection import peak
from teachers.eco.features import Features, Noise
from teachers.eco.first_frame import FirstFrame
from teachers.eco.geometry import geometry, rounded
from teachers.eco.layout import layout
from teachers.eco.projection import Sampler, principal_axes, turn
from teachers.eco.regularisation import Regulariser, kernel
from teachers.eco.sample_space import RATE, SampleSpace
from teachers.eco.scale_filter import ScaleFilter
from teachers.eco.window import search_window
from teachers.features.colours import ColourTable

Levels = NDArray[np.uint8]

KEPT = (3, 10)
"""Channels of colour and HOG after projection."""

CAPACITY = 30
_DENSE_UNTIL = 10
_TRAINING_GAP = 6


class Model:
    """One target's state, from frame 0 on.

    Args:
        image: Frame 0, uint8 (H, W, 3), BGR.
        centre: Row and column of the target's centre, 0-based: the middle of pixel i is i.
        size: Height and width of the target in pixels.
        length: Frames of the video; fewer than 30 make a smaller sample memory.
        table: What colours, or grey levels, contribute.
        grey: Whether to use one channel alone.
        noise: Noise on HOG, or None.

    Attributes:
        centre: As above, in the latest frame.
        scale: Image pixels per pixel of the search region.
    """

    def __init__(
        self,
        image: Levels,
        centre: tuple[float, float],
        size: tuple[float, float],
        length: int,
        table: ColourTable,
        grey: bool,
        noise: Noise | None,
    ) -> None:
        self._geometry = geometry(size, (image.shape[0], image.shape[1]))
        self.centre, self.scale, self._grey = centre, self._geometry.scale, grey
        self._layout = layout(self._geometry, KEPT)
        self._features = Features(self._geometry, table, grey, noise)
        self._sampler = Sampler(self._layout)
        self._data = DataTerm(self._layout)
        self._regulariser = Regulariser(kernel(self._geometry), self._layout)
        self._gradient = ConjugateGradient(self._layout, self._data, self._regulariser)
        self._sample = np.empty(self._layout.size, dtype=np.float32)
        self._memory = SampleSpace(max(1, min(CAPACITY, length)), self._layout.size)
        self._learn_first(image)
        self._clamp()
        self._scale_filter = ScaleFilter(size, self._geometry.base, grey, noise)
        self._scale_filter.learn(image, self.centre, self.scale)
        # Frames count from 1, as the published schedule does.
        self._frame, self._trained = 1, 1

    @property
    def size(self) -> tuple[float, float]:
        """Height and width of the target in pixels."""
        return self._geometry.base[0] * self.scale, self._geometry.base[1] * self.scale

    def step(self, image: Levels) -> None:
        """Find the target in the next frame and learn from it."""
        self._frame += 1
        window, start = self._at_pixel(), self.scale
        maps = self._features(self._search_window(image))
        self._sampler.project(maps, self._projection, self._sample)
        response = self._data.response(self._sample, self._filters)
        move = peak(response, self._layout.blocks[0].fourier)
        pixels = self._geometry.side * start / (2 * math.pi)
        self.centre = (window[0] + move[0] * pixels, window[1] + move[1] * pixels)
        self.scale *= self._scale_filter.estimate(image, self.centre, self.scale)
        self._clamp()
        # The sample for learning is the one just searched, moved to where the target was found.
        self._sampler.move(self._sample, move[0], move[1])
        self._memory.add(self._sample)
        if self._frame < _DENSE_UNTIL or self._frame - self._trained >= _TRAINING_GAP:
            self._energy *= np.float32(1 - RATE)
            self._energy += np.float32(RATE) * energy_of(self._sample, self._layout)
            inverse = diagonal(self._energy, self._layout, self._regulariser)
            self._gradient.improve(self._filters, self._memory.samples, self._memory.weights, inverse)
            self._trained = self._frame
        self._scale_filter.learn(image, self.centre, self.scale)

    def _learn_first(self, image: Levels) -> None:
        """Learn filter and projection together."""
        maps = self._features(self._search_window(image))
        blocks = self._layout.blocks
        colour, hog = (
            principal_axes(features, channels, block.channels)
            for features, channels, block in zip(maps, self._features.channels, blocks, strict=True)
        )
        series = self._sampler.whole(maps, self._features.channels)
        window = self._at_pixel()
        radians = 2 * math.pi / (self._geometry.side * self.scale)
        phases = self._sampler.phases(
            (self.centre[0] - window[0]) * radians, (self.centre[1] - window[1]) * radians
        )
        for part, phase in zip(series, phases, strict=True):
            turn(part, phase)
        self._sampler.project(maps, (colour, hog), self._sample)
        # A move changes no energy.
        self._energy = energy_of(self._sample, self._layout)
        inverse = diagonal(self._energy, self._layout, self._regulariser)
        first = FirstFrame(
            self._layout, self._data, self._regulariser, series, (colour, hog),
            sum(self._features.ranks), inverse,
        )  # fmt: skip
        first.learn()
        self._filters = first.filters
        one, other = first.axes(first.projection)
        self._projection = one.copy(), other.copy()
        self._memory.add(first.project(first.projection, self._sample))

    def _at_pixel(self) -> tuple[int, int]:
        """The centre of the search window: the pixel nearest to the target's centre."""
        return rounded(self.centre[0]), rounded(self.centre[1])

    def _search_window(self, image: Levels) -> Levels:
        return search_window(image, self._at_pixel(), self.scale, self._geometry.side, self._grey)

    def _clamp(self) -> None:
        """Keep the scale between its limits."""
        self.scale = min(max(self.scale, self._geometry.smallest), self._geometry.largest)
