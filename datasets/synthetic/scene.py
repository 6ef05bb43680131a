"""The plan of one video: which place, which figures, how they move, how hard it is."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from datasets.synthetic.backgrounds import paint_background
from datasets.synthetic.figures import FIGURES, bush, pole
from datasets.synthetic.motion import Actor, Track, away, shake, turning, wander, wander2
from datasets.synthetic.options import (
    IMAGE_SIZES,
    SyntheticOptions,
    frames,
    full_length,
    generator,
    video_name,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from datasets.synthetic.sprites import Sprite
    from datasets.synthetic.textures import Image

GOLDEN = 0.6180339887498949


@dataclass(frozen=True, eq=False)
class Scene:
    """Everything about one video, before a single frame is drawn.

    Attributes:
        name: The video's name.
        object_class: What the target is.
        place: The background, uint8 (H', W', 3), larger than the image.
        size: (W, H) of the image.
        length: Number of frames.
        difficulty: 0..1.
        behind: Figures behind the target, far to near.
        target: The figure to track.
        front: Figures before the target, far to near.
        camera: (T, 4): where the image's centre lies on the background (x, y), the zoom, the roll in radians.
        exposure: How much of a frame's time the shutter is open: the length of motion blur.
        gains: (T, 3) factors of blue, green and red.
        noise: int16 (H + 64, W + 64, 3); every frame takes another part of it.
        noise_place: (T, 2) rows and columns at which it is taken.
    """

    name: str
    object_class: str
    place: Image
    size: tuple[int, int]
    length: int
    difficulty: float
    behind: tuple[Actor, ...]
    target: Actor
    front: tuple[Actor, ...]
    camera: Track
    exposure: float
    gains: Track
    noise: NDArray[np.int16]
    noise_place: NDArray[np.int64]


def difficulty_of(index: int, options: SyntheticOptions) -> float:
    """Videos' difficulties fill the range evenly, however many there are (a golden-ratio sequence)."""
    easiest, hardest = options.difficulty
    start = generator(options.seed, 0, "difficulty").random()
    return easiest + (hardest - easiest) * ((start + index * GOLDEN) % 1.0)


def extent(sprite: Sprite) -> NDArray[np.float64]:
    """Width and height of a figure at rest, local units, (2,)."""
    points = np.concatenate([part.outline for part in sprite])
    return np.asarray(np.ptp(points, axis=0))


class Director:
    """Draws one video's plan; each aspect has a level of its own, scattered around the video's difficulty."""

    def __init__(self, index: int, options: SyntheticOptions) -> None:
        self.rng = generator(options.seed, index, "scene")
        self.difficulty = difficulty_of(index, options)
        self.length = full_length(options.seed, index)
        drawn = IMAGE_SIZES[generator(options.seed, index, "size").integers(len(IMAGE_SIZES))]
        self.size = np.array(options.image_size or drawn)
        self.short = float(self.size.min())

    def level(self, start: float = 0.0) -> float:
        """How strong one aspect is: 0 where the video is easier than `start`, else up to 1."""
        scattered = self.difficulty + self.rng.normal(0, 0.08)
        return float(np.clip((scattered - start) / (1 - start), 0, 1))

    def figure(self, kind: str, hue: float, side: float, zoom: float, lively: float) -> tuple[Sprite, float]:
        """A figure, and the pixels per local unit at which the box around it has an area of side^2."""
        # The figure's form must be the same at every texture density: it is drawn once to be measured.
        seed = int(self.rng.integers(2**63))
        measured = extent(FIGURES[kind](np.random.default_rng(seed), hue, 8.0, lively))
        unit = side / float(np.sqrt(measured.prod()))
        density = float(np.clip(unit * zoom, 8, 640))
        return FIGURES[kind](np.random.default_rng(seed), hue, density, lively), unit

    def actor(self, kind: str, hue: float, side: float, centre: Track, pace: float) -> Actor:
        """A figure that changes its size, turns and deforms as much as the difficulty has it."""
        rng, length = self.rng, self.length
        scale = wander(rng, length, 1.5 * self.level(0.12) ** 1.1 * rng.uniform(0.3, 1), pace * 1.3)
        scale = np.clip(scale, -0.9, 0.8)
        sprite, unit = self.figure(kind, hue, side, float(np.exp(scale.max())), self.level(0.12))
        angle = wander(rng, length, 1.2 * self.level(0.25) ** 1.5 * rng.uniform(0.2, 1), pace)
        stretch = wander(rng, length, 0.35 * self.level(0.25) * rng.uniform(0.2, 1), pace)
        shear = wander(rng, length, 0.4 * self.level(0.35) * rng.uniform(0.2, 1), pace)
        size = unit * np.exp(scale)
        return Actor(sprite, centre, size, angle, stretch, shear, bool(rng.random() < 0.5))

    def target_path(self, side: float, pace: float) -> Track:
        """Where the target goes, without the camera's shake: within the image, but for an exit."""
        rng, half = self.rng, side * 0.65
        room = np.maximum(self.size / 2 - half, 4.0)
        amplitude = np.minimum((0.05 + 0.45 * self.level(0.05)) * self.short, room)
        start = self.size / 2 + rng.uniform(-1, 1, 2) * (room - amplitude)
        path: Track = start + wander2(rng, self.length, (amplitude[0], amplitude[1]), pace)
        if self.difficulty > 0.5 and rng.random() < 0.35:
            begin, ramp, hold = rng.uniform(20, 60), rng.uniform(10, 22), rng.uniform(3, 20)
            side_of_image = rng.integers(2)
            distance = self.size[0] / 2 + side * 2.2 + amplitude[0]
            path[:, 0] += away(self.length, begin, ramp, hold) * distance * (1 if side_of_image else -1)
        return path

    def doubles(self, kind: str, hue: float, side: float, target: Track) -> list[Actor]:
        """Distractors: the harder the video, the more of them, the more alike, the nearer their ways."""
        rng, actors = self.rng, []
        for _ in range(int(rng.binomial(3, 0.25 + 0.5 * self.level()))):
            alike = self.level()
            other = kind if rng.random() < alike + 0.2 else str(rng.choice(sorted(FIGURES)))
            tint = hue + rng.normal(0, 0.04 + 0.25 * (1 - alike))
            nearest = side * (1.7 - 0.9 * alike)
            moment = int(rng.uniform(0, min(self.length, 90)))
            direction = rng.uniform(0, 2 * np.pi)
            place = target[moment] + np.array([np.cos(direction), np.sin(direction)]) * (
                nearest + rng.uniform(0, 1) * self.short * 0.4
            )
            pace = 150 - 80 * alike
            centre = place + wander2(rng, self.length, (0.5 * side * alike, 0.5 * side * alike), pace)
            centre += (target - target[moment]) * (1 - alike) * rng.uniform(0.6, 1)
            actors.append(self.actor(other, tint, side * rng.uniform(0.7, 1.2), centre, pace))
        return actors

    def occluders(self, side: float, target: Track) -> list[Actor]:
        """Posts and bushes that pass before the target, none of them in the first frame."""
        rng, level, actors = self.rng, self.level(0.4), []
        still, moment = np.zeros(self.length), 0.0
        for _ in range(0 if level == 0 else 1 + int(rng.poisson(1.2 * level))):
            upright = rng.random() < 0.6
            width = side * rng.uniform(0.12, 0.3 + (0.5 if upright else 0.8) * level)
            crossing = rng.uniform(8, 26)
            moment += crossing + rng.uniform(5, 45)
            speed = 1.6 * (side + width) / crossing * (1 if rng.random() < 0.5 else -1)
            ahead = np.arange(self.length) - moment
            slope, aside = (0.0, 0.0) if upright else (rng.normal(0, 0.3), rng.uniform(-0.4, 0.4) * side)
            passing = np.stack([speed * ahead, slope * speed * ahead + aside], axis=-1)
            centre = target[min(int(moment), self.length - 1)] + passing
            hue = float(rng.choice([0.08, 0.1, 0.3, 0.6]))
            unit = float(self.size[1]) if upright else width
            sprite = pole(rng, hue, unit, width / unit) if upright else bush(rng, hue, unit, 0.0)
            angle = still if upright else still + rng.uniform(0, 6)
            actors.append(Actor(sprite, centre, still + unit, angle, still, still))
        return actors

    def scene(self, index: int, options: SyntheticOptions) -> Scene:
        """Draw the whole plan."""
        rng, length, unit = self.rng, self.length, self.short / 360
        kind = str(rng.choice(sorted(FIGURES)))
        hue = float(rng.uniform(0, 1))
        side = self.short * rng.uniform(0.2, 0.4 - 0.12 * self.level())
        pace = 170 - 125 * self.level() ** 0.7
        path = self.target_path(side, pace)
        tremor = shake(rng, length, 1.4 * unit * self.level(0.3) * rng.uniform(0.2, 1))
        target = self.actor(kind, hue, side, path + tremor, pace)
        own = generator(options.seed, index, "turn")
        if own.random() < options.turning:
            target = target.narrowed(turning(own, length))
        behind: list[Actor] = []
        front: list[Actor] = []
        for double in self.doubles(kind, hue, side, path):
            apart = float(np.linalg.norm(double.centre[0] - path[0]))
            placed = replace(double, centre=double.centre + tremor)
            (front if apart > 1.6 * side and rng.random() < 0.3 else behind).append(placed)
        front += [replace(o, centre=o.centre + tremor) for o in self.occluders(side, path)]
        place, camera = self.camera(tremor, unit)
        noise = rng.normal(
            0, 0.8 + 4.5 * self.level() * rng.random(), (self.size[1] + 64, self.size[0] + 64, 3)
        )
        light = np.exp(wander(rng, length, 0.6 * self.level(0.2) * rng.uniform(0.2, 1), 70))
        tint = wander2(rng, length, (0.15 * self.level(0.3), 0.15 * self.level(0.3)), 90)
        return Scene(
            name=video_name(index),
            object_class=kind,
            place=place,
            size=(int(self.size[0]), int(self.size[1])),
            length=frames(index, options),
            difficulty=self.difficulty,
            behind=tuple(behind),
            target=target,
            front=tuple(front),
            camera=camera,
            exposure=0.1 + 0.7 * self.level(0.2) * rng.random(),
            gains=light[:, None] * np.exp(np.stack([tint[:, 0], 0 * light, tint[:, 1]], axis=-1)),
            noise=np.round(noise).astype(np.int16),
            noise_place=rng.integers(0, 64, (length, 2)),
        )

    def camera(self, tremor: Track, unit: float) -> tuple[Image, Track]:
        """The background, and where the image lies on it in every frame, (T, 4)."""
        rng = self.rng
        reach = (0.02 + 0.35 * self.level(0.05)) * self.short
        pan = wander2(rng, self.length, (reach, reach), 180 - 100 * self.level())
        zoom = np.exp(wander(rng, self.length, 0.18 * self.level(0.15), 120))
        roll = wander(rng, self.length, 0.08 * self.level(0.3), 110)
        margin = reach + 0.14 * self.size.max() * float(roll.max() > 0.01) + float(np.abs(tremor).max()) + 4
        canvas = np.ceil(self.size / float(zoom.min()) + 2 * margin).astype(int)
        focus = rng.uniform(0, 2.5) * unit if rng.random() < 0.5 else 0.0
        place = paint_background(rng, (int(canvas[1]), int(canvas[0])), unit, focus)
        centre = canvas / 2 + pan - tremor
        return place, np.concatenate([centre, zoom[:, None], roll[:, None]], axis=1)


def plan(index: int, options: SyntheticOptions) -> Scene:
    """The plan of video `index`: a function of (seed, index, options), not of the number of videos."""
    return Director(index, options).scene(index, options)
