"""Scenes: a background, a target, its likenesses, things in front; seen at a few moments through a camera.

A scene is planned for T moments. Two are far apart in time (an exemplar and a search region: `pairs`), more are
consecutive frames (`clips`). Only the part of the image that is asked for is ever drawn.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.synthetic.motion import Track
from datasets.synthetic.textures import Image
from teachers.training.lens import Lens, developed
from teachers.training.poses import (
    Layer,
    Poses,
    draw_limbs,
    drawn_poses,
    over,
    thing_size,
    tight_box,
    varied,
)
from teachers.training.surfaces import SIDE, bank, recolouring
from teachers.training.things import KINDS, Limb, Surfaces, Thing, make_thing, sibling

SCENES_PER_BANK = 3000
"""Scenes that share one bank of surfaces."""

THINNEST = 3.0
"""Pixels that a target's box is wide and high at least."""


@dataclass(frozen=True, eq=False)
class Actor:
    """A thing and its poses."""

    thing: Thing
    poses: Poses


@dataclass(frozen=True, eq=False)
class Scene:
    """The plan.

    Attributes:
        size: (W, H) of the image.
        surface: The background's, uint8 (SIDE, SIDE, 3), repeated by reflection.
        views: (T, 2, 3) image to surface coordinates.
        behind: From back to front.
        target: What the boxes are around.
        front: From back to front; at moment 0 they are not there, so that the target is seen whole.
        lenses: One per moment.
        boxes: (T, 4) the target's, (x, y, w, h), as if nothing hid it; they may leave the image.
    """

    size: tuple[int, int]
    surface: Image
    views: NDArray[np.float64]
    behind: tuple[Actor, ...]
    target: Actor
    front: tuple[Actor, ...]
    lenses: tuple[Lens, ...]
    boxes: NDArray[np.float64]

    def draw(self, moment: int, window: tuple[int, int, int, int] | None = None) -> Image:
        """Draw a part of the image.

        Args:
            moment: Which.
            window: (left, top, right, bottom) within the image; None for all of it.

        Returns:
            uint8 (bottom - top, right - left, 3), BGR.
        """
        left, top, right, bottom = window or (0, 0, *self.size)
        view = self.views[moment].copy()
        view[:, 2] += view[:, :2] @ (left, top)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        image = np.asarray(
            cv2.warpAffine(
                self.surface,
                view,
                (right - left, bottom - top),
                flags=flags,
                borderMode=cv2.BORDER_REFLECT_101,
            ),
            np.uint8,
        )
        front = self.front if moment else ()
        for actor in (*self.behind, self.target, *front):
            for limbs in (actor.thing.body, actor.thing.limbs):
                if limbs:
                    _lay(image, actor, limbs, moment, (left, top))
        return developed(image, self.lenses[moment])


def _lay(image: Image, actor: Actor, limbs: tuple[Limb, ...], moment: int, corner: tuple[int, int]) -> None:
    """Draw limbs over an image whose top-left pixel is `corner`, in place."""
    far = 1.6 * actor.poses.size[moment] * np.exp(abs(actor.poses.stretch[moment]))
    x, y = actor.poses.centre[moment] - corner
    if x < -far or y < -far or x > image.shape[1] + far or y > image.shape[0] + far:
        return
    layer: Layer = draw_limbs(limbs, actor.poses, moment)
    left, top = layer.left - corner[0], layer.top - corner[1]
    x0, y0 = max(left, 0), max(top, 0)
    x1 = min(left + layer.pixels.shape[1], image.shape[1])
    y1 = min(top + layer.pixels.shape[0], image.shape[0])
    if x0 < x1 and y0 < y1:
        below = np.ascontiguousarray(image[y0:y1, x0:x1])
        image[y0:y1, x0:x1] = over(
            below, np.ascontiguousarray(layer.pixels[y0 - top : y1 - top, x0 - left : x1 - left])
        )


class Planner:
    """Draws one scene's plan.

    Args:
        rng: Source of randomness.
        surfaces: The bank.
        length: Moments T, at least 2.
        size: (W, H) of the image, or None for one that fits the target.
    """

    def __init__(
        self, rng: np.random.Generator, surfaces: Surfaces, length: int, size: tuple[int, int] | None = None
    ) -> None:
        self.rng, self.surfaces, self.length = rng, surfaces, length
        self.change = float(rng.uniform(0.05, 1))
        if size is None:
            self.side = float(np.exp(rng.uniform(np.log(14), np.log(85))))
            drawn = np.clip(self.side * rng.uniform(4.5, 14, 2), 100, SIDE)
            self.size = (int(drawn[0]), int(drawn[1]))
        else:
            self.side = float(min(size) * np.exp(rng.uniform(np.log(0.1), np.log(0.4))))
            self.size = size

    def around(self, spread: float) -> Track:
        """Displacements over the moments, (T, 2)."""
        return np.stack([varied(self.rng, self.length, spread) for _ in range(2)], axis=-1)

    def target(self) -> Actor:
        """The target, so large that its box has an area of about side^2."""
        thing = make_thing(self.rng, self.surfaces)
        unit = self.side / float(np.sqrt(thing_size(thing).prod()))
        room = np.maximum(np.asarray(self.size) / 2 - self.side * 0.7, 0)
        centre = np.asarray(self.size) / 2 + self.rng.uniform(-0.8, 0.8, 2) * room
        way = centre + self.around(float(room.min()) * 0.35 * self.rng.random())
        way = np.clip(way, 0.3 * self.side, np.asarray(self.size) - 0.3 * self.side)
        return Actor(thing, drawn_poses(self.rng, self.length, way, unit, self.change))

    def others(self, target: Actor) -> list[Actor]:
        """Likenesses of the target and other things beside it."""
        rng, actors = self.rng, []
        for _ in range(int(rng.choice(5, p=[0.25, 0.25, 0.25, 0.15, 0.1]))):
            drawn = rng.random()
            if drawn < 0.35:
                thing = sibling(rng, target.thing)
            else:
                alike = target.thing.kind if drawn < 0.65 and target.thing.kind in KINDS else None
                thing = make_thing(rng, self.surfaces, alike)
            side = self.side * np.exp(rng.normal(0, 0.3))
            direction, distance = rng.uniform(0, 2 * np.pi), self.side * rng.uniform(1.0, 2.8)
            aside = distance * np.array([np.cos(direction), np.sin(direction)])
            centre = target.poses.centre + aside + self.around(0.25 * self.side)
            unit = side / float(np.sqrt(thing_size(thing).prod()))
            poses = drawn_poses(rng, self.length, centre, unit, self.change)
            if drawn < 0.35:
                poses = replace(poses, angle=target.poses.angle + rng.normal(0, 0.1))
            actors.append(Actor(thing, poses))
        return actors

    def occluders(self, target: Actor) -> list[Actor]:
        """Things that hide a part of the target, never its middle for long."""
        rng, actors = self.rng, []
        for _ in range(int(rng.random() < 0.3)):
            thing = make_thing(rng, self.surfaces, "blob")
            side = self.side * rng.uniform(0.3, 0.9)
            direction = rng.uniform(0, 2 * np.pi)
            distance = side / 2 + self.side * rng.uniform(0.05, 0.4)
            aside = distance * np.array([np.cos(direction), np.sin(direction)])
            moving = self.around(0.4 * self.side) if self.length > 2 else np.zeros((self.length, 2))
            poses = drawn_poses(rng, self.length, target.poses.centre + aside + moving, side, self.change)
            actors.append(Actor(thing, poses))
        return actors

    def views(self) -> NDArray[np.float64]:
        """The camera over the background, (T, 2, 3)."""
        rng, length = self.rng, self.length
        zoom = np.exp(rng.uniform(-1.0, 0.9) + varied(rng, length, 0.1 * self.change))
        level = rng.uniform(0, 2 * np.pi) if rng.random() < 0.3 else rng.normal(0, 0.05)
        roll = level + varied(rng, length, 0.1 * self.change)
        start = rng.uniform(0, SIDE, 2) + self.around(
            self.side * np.exp(rng.uniform(np.log(0.05), np.log(3)))
        )
        c, s = np.cos(roll) / zoom, np.sin(roll) / zoom
        linear = np.stack([np.stack([c, -s], -1), np.stack([s, c], -1)], axis=1)
        offset = start - linear @ (np.asarray(self.size) / 2)
        return np.concatenate([linear, offset[:, :, None]], axis=2)

    def lenses(self) -> tuple[Lens, ...]:
        """Light, blur, noise and compression at each moment."""
        rng, change, side = self.rng, self.change, self.side
        gain = np.exp(rng.normal(0, 0.12) + varied(rng, self.length, 0.2 * change))
        tint = np.exp(
            rng.normal(0, 0.06, 3)
            + np.stack([varied(rng, self.length, 0.06 * change) for _ in range(3)], axis=-1)
        )
        gamma = np.exp(rng.normal(0, 0.15) + varied(rng, self.length, 0.15 * change))
        haze = np.clip(rng.normal(0, 0.15), 0, 0.5)
        shaken, soft = rng.random(2) < (0.25, 0.3)
        motion = self.around(0.12 * side) if shaken else np.zeros((self.length, 2))
        defocus = abs(varied(rng, self.length, 0.02 * side)) + 0.3 if soft else np.zeros(self.length)
        noise = abs(rng.normal(0, 4)) if rng.random() < 0.6 else 0.0
        quality = int(rng.uniform(30, 95)) if rng.random() < 0.6 else 0
        grey = bool(rng.random() < 0.15)
        return tuple(
            Lens(
                (float(g[0]), float(g[1]), float(g[2])),
                float(gamma[t]),
                float(haze),
                (float(motion[t, 0]), float(motion[t, 1])),
                float(defocus[t]),
                noise,
                (int(rng.integers(0, 60)), int(rng.integers(0, 60))),
                quality,
                grey,
            )
            for t, g in enumerate(gain[:, None] * tint)
        )

    def scene(self) -> Scene | None:
        """Draw the whole plan; None if the target is so thin that it cannot be seen."""
        target = self.target()
        try:
            boxes = np.stack(
                [tight_box(draw_limbs(target.thing.limbs, target.poses, t)) for t in range(self.length)]
            )
        except ValueError:
            return None
        if boxes[:, 2:].min() < THINNEST:
            return None
        others, front = self.others(target), self.occluders(target)
        kept = int(self.rng.integers(0, len(others) + 1))
        surface = self.surfaces[self.rng.integers(len(self.surfaces))]
        surface = np.asarray(cv2.LUT(surface, recolouring(self.rng, 0.7)), np.uint8)
        far_enough = [
            a
            for a in others[kept:]
            if np.linalg.norm(a.poses.centre - target.poses.centre, axis=1).min() > 1.5 * self.side
        ]
        behind = [a for a in others if a not in far_enough]
        return Scene(
            self.size,
            surface,
            self.views(),
            tuple(behind),
            target,
            (*far_enough, *front),
            self.lenses(),
            boxes,
        )


def plan(seed: int, index: int, length: int, size: tuple[int, int] | None = None) -> Scene:
    """The plan of one scene: a function of the arguments.

    Args:
        seed: Another seed gives other scenes.
        index: Which scene, from 0; scenes of the same `SCENES_PER_BANK` share a bank of surfaces.
        length: Moments, at least 2: two are far apart in time, more are consecutive frames.
        size: (W, H) of the image, or None to draw one that fits the target.
    """
    if length < 2:
        raise ValueError(f"length = {length}: a scene has at least two moments")
    surfaces = bank(seed, index // SCENES_PER_BANK)
    for attempt in count():
        rng = np.random.default_rng([seed, 2, index, length, *([attempt] if attempt else [])])
        scene = Planner(rng, surfaces, length, size).scene()
        if scene is not None:
            return scene
    raise AssertionError("unreachable: attempts never end")
