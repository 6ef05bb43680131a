"""Training pairs of a Siamese tracker: an exemplar, and a search region with the target's box in it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets.boxes import Boxes, as_boxes, centres
from datasets.synthetic.textures import Image
from teachers.siamrpn.crop import Window, average_colour, context_side, inside, patch, window_at
from teachers.siamrpn.variants import EXEMPLAR
from teachers.training.scenes import Scene, plan

SHIFT = 52.0
"""Furthest that the target lies from the search region's centre along x and y, pixels of the region."""

SCALE = 0.4
"""Furthest that the logarithm of the search region's scale lies from the target's own."""


@dataclass(frozen=True, eq=False)
class Pair:
    """What the network learns from.

    Attributes:
        exemplar: uint8 (127, 127, 3), BGR.
        search: uint8 (S, S, 3), BGR.
        box: float32 (4,), (x, y, w, h) in pixels of the search region, its top-left corner at (0, 0).
    """

    exemplar: Image
    search: Image
    box: Boxes


def _cut(scene: Scene, moment: int, window: Window, size: int) -> Image:
    """Draw what a window shows, and beyond the image's border its mean colour."""
    left, top, right, bottom = inside(window, (scene.size[1], scene.size[0]))
    image = scene.draw(moment, (left, top, right, bottom))
    moved = Window(window.x - left, window.y - top, window.side)
    return patch(image, moved, size, average_colour(image))


def pair(seed: int, index: int, search: int = 255) -> Pair:
    """Draw a pair: a function of its arguments.

    Args:
        seed: Another seed gives other pairs.
        index: Which pair, from 0.
        search: Side S of the search region.
    """
    scene = plan(seed, index, 2)
    rng = np.random.default_rng([seed, 3, index])
    first, second = scene.boxes
    x, y = (float(v) for v in centres(first))
    exemplar = _cut(scene, 0, window_at((x, y), max(round(context_side(first[2], first[3])), 2)), EXEMPLAR)
    scale = EXEMPLAR / context_side(second[2], second[3]) * float(np.exp(rng.uniform(-SCALE, SCALE)))
    middle = centres(second) - rng.uniform(-SHIFT, SHIFT, 2) / scale
    middle = np.clip(middle, 0, scene.size)  # a tracker's search region is around a point of the image
    window = window_at((float(middle[0]), float(middle[1])), max(round(search / scale), 4))
    region = _cut(scene, 1, window, search)
    shown = search / window.side
    box = as_boxes(np.concatenate([(second[:2] - (window.x, window.y)) * shown, second[2:] * shown]))
    return Pair(exemplar, region, box)
