"""Tiles: what a picture of one frame shows around its target, and where boxes lie in it.

Boxes are in pixels of the source image, stored images show a region of it (`frames/window`) at a scale of their own; a
tile has a third frame of reference. All tiles of a window have one scale, so that a target that grows is seen to grow.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.boxes import Boxes, centres
from datasets.images import RGB
from datasets.transfer.window import Window

SLIMMEST = 0.75
"""Shorter side of a tile over its longer one, at least: tiles stay alike where targets are not."""


@dataclass(frozen=True, eq=False)
class Tile:
    """One frame's surroundings of the target.

    Attributes:
        window: Whose frame.
        t: Which of its frames.
        corner: float64 (2,), left and top of what is shown, source pixels.
        view: float64 (2,), its width and height, source pixels.
        scale: Pixels of the tile per source pixel.
    """

    window: Window
    t: int
    corner: NDArray[np.float64]
    view: NDArray[np.float64]
    scale: float

    @property
    def size(self) -> NDArray[np.float64]:
        """Width and height in pixels of the tile, float64 (2,)."""
        return self.view * self.scale

    def place(self, box: Boxes) -> NDArray[np.float64]:
        """A box of the source image, (x, y, w, h), in pixels of the tile."""
        placed: NDArray[np.float64] = np.concatenate([box[:2] - self.corner, box[2:]]) * self.scale
        return placed

    def picture(self) -> tuple[RGB, NDArray[np.float64]] | None:
        """What is stored of the view, and its place in the tile, (x, y, w, h); None where nothing is.

        Raises:
            DataError: If the stored JPEG file is damaged.
        """
        image, region = self.window.image(self.t), self.window.regions[self.t].astype(np.float64)
        stored = np.array(image.shape[1::-1]) / region[2:]
        limit = image.shape[1::-1]
        low = np.clip(np.floor((self.corner - region[:2]) * stored), 0, limit).astype(int)
        high = np.clip(np.ceil((self.corner + self.view - region[:2]) * stored), 0, limit).astype(int)
        if (low >= high).any():
            return None
        part = image[low[1] : high[1], low[0] : high[0]]
        size = np.maximum(np.rint((high - low) / stored * self.scale), 1).astype(int).tolist()
        small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
        start = (low / stored + region[:2] - self.corner) * self.scale
        return small, np.concatenate([start, (high - low) / stored * self.scale])


def tiles(window: Window, frames: Iterable[int], side: int, context: float) -> list[Tile]:
    """Tiles of some frames of a window, centred on the target (where it is absent, on the best teacher's box).

    Args:
        window: The window.
        frames: Which frames.
        side: Longer side of a tile, pixels.
        context: Width and height of what they show, in those of the target.
    """
    largest = window.ground_truth[~window.absent][:, 2:].max(axis=0, initial=8) * context
    view = np.maximum(largest, largest.max() * SLIMMEST).astype(np.float64)
    best = window.best_boxes()
    middle = [best[t] if window.absent[t] else window.ground_truth[t] for t in range(len(window))]
    return [Tile(window, t, centres(middle[t]) - view / 2, view, side / view.max()) for t in frames]


def spread(count: int, wanted: int) -> list[int]:
    """Of `count` things, `wanted` evenly spaced, the first and the last among them; all where there are fewer."""
    places = np.linspace(0, count - 1, min(wanted, count)).round().astype(int)
    return [int(place) for place in np.unique(places)]
