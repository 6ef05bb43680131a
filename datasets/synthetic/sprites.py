"""Cut-out figures that move in front of a background: parts with an outline, a texture and soft edges.

A figure lives in local coordinates, about one unit wide or high around (0, 0), y down. An outline is a
polygon, dense enough to stand for its curve; the ground truth's box is computed from it, and the texture's
alpha channel is cut along it, so that the two agree to a fraction of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.synthetic.textures import Colours, Field, Image, fixed, palette, pink, scatter, shaded, tinted

Points = NDArray[np.float64]
"""float64 (N, 2), (x, y)."""


@dataclass(frozen=True)
class Joint:
    """How a part moves against its figure.

    Attributes:
        pivot: Local coordinates of the point around which it swings.
        swing: Amplitude in radians.
        period: Frames per swing, and per wave.
        phase: Radians.
        spin: Radians per frame, for wheels.
        wave: Amplitude in local units of a wave that runs along x, strongest at the left end (a fish's tail).
    """

    pivot: tuple[float, float] = (0.0, 0.0)
    swing: float = 0.0
    period: float = 20.0
    phase: float = 0.0
    spin: float = 0.0
    wave: float = 0.0

    def turn(self, frame: int) -> NDArray[np.float64]:
        """The rotation in one frame, an affine 2 x 3 matrix in local coordinates."""
        angle = self.swing * np.sin(2 * np.pi * frame / self.period + self.phase) + self.spin * frame
        c, s, (x, y) = np.cos(angle), np.sin(angle), self.pivot
        return np.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y]])

    def rise(self, x: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
        """How far the wave moves the points at local x along y: exactly undone by subtracting it."""
        lag = 5.0 * (0.5 - x)
        reach = np.clip(0.5 - x, 0, 1.2)
        return self.wave * reach * np.sin(2 * np.pi * frame / self.period + self.phase - lag)


STIFF = Joint()


@dataclass(frozen=True, eq=False)
class Part:
    """One piece of a figure.

    Attributes:
        outline: (N, 2) local coordinates, closed.
        levels: The texture and its halvings, uint8 (h, w, 4), BGR multiplied by alpha, alpha.
        origin: (2,) local coordinates of the texture's top-left corner.
        density: Texture pixels per local unit, at the first level.
        joint: How it moves against the figure.
    """

    outline: Points
    levels: tuple[Image, ...]
    origin: Points
    density: float
    joint: Joint = STIFF


Sprite = tuple[Part, ...]
"""A figure: its parts, back to front."""


def ellipse(x: float, y: float, rx: float, ry: float, tilt: float = 0.0, power: float = 2.0) -> Points:
    """A (super)ellipse around (x, y): 72 points; a power above 2 gives a rounded rectangle."""
    angle = np.arange(72) * (2 * np.pi / 72)
    c, s = np.cos(angle), np.sin(angle)
    points = np.stack(
        [rx * np.sign(c) * abs(c) ** (2 / power), ry * np.sign(s) * abs(s) ** (2 / power)], axis=-1
    )
    rotation = np.array([[np.cos(tilt), -np.sin(tilt)], [np.sin(tilt), np.cos(tilt)]])
    result: Points = points @ rotation.T + (x, y)
    return result


def curve(*corners: tuple[float, float], smooth: int = 2) -> Points:
    """A closed outline near the corners given, rounded by cutting corners `smooth` times (Chaikin)."""
    points = np.asarray(corners, dtype=np.float64)
    for _ in range(smooth):
        following = np.roll(points, -1, axis=0)
        points = np.stack([0.8 * points + 0.2 * following, 0.2 * points + 0.8 * following], axis=1).reshape(
            -1, 2
        )
    return points


@dataclass(frozen=True)
class Material:
    """What a part is made of: its colours, and a pattern (plain, stripes, spots, patches, checks)."""

    colours: Colours
    pattern: str
    scale: float
    tilt: float

    def paint(self, rng: np.random.Generator, shape: tuple[int, int], density: float) -> Image:
        """Fill a rectangle of `shape` pixels at `density` pixels per local unit."""
        image = tinted(pink(rng, shape, 1.3) * 0.8, self.colours[1:])
        period = max(3.0, self.scale * density)
        if self.pattern in ("stripes", "checks"):
            y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
            c, s = np.float32(np.cos(self.tilt)), np.float32(np.sin(self.tilt))
            warp = 0.12 * period * pink(rng, shape, 2.0)
            wave = np.sin((x * c + y * s + warp) * np.float32(2 * np.pi / period))
            if self.pattern == "checks":
                wave = wave * np.sin((y * c - x * s + warp) * np.float32(2 * np.pi / period)) * 1.5
            mix(image, self.colours[0], np.clip(wave * period / 4 + 0.5, 0, 1))
        elif self.pattern == "patches":
            mix(
                image,
                self.colours[0],
                np.clip(pink(rng, shape, 1.9, largest=2.5 * period) * period / 3, 0, 1),
            )
        elif self.pattern == "spots":
            count = int(2.2 * shape[0] * shape[1] / period**2)
            sizes = (0.14 * period, 0.4 * period)
            scatter(rng, image, count, sizes, self.colours[:1], corners=(16,), elongation=1.4, shadow=1)
        return shaded(image, 1 + 0.1 * pink(rng, shape, 0.8))


def mix(image: Image, colour: Colours, weight: Field) -> None:
    """Lay a colour over an image where a weight (0..1) says so, in place."""
    image[:] = (image + (colour - image) * (0.85 * weight)[..., None]).astype(np.uint8)


def make_part(
    rng: np.random.Generator,
    outline: Points,
    material: Material,
    density: float,
    *,
    marks: tuple[tuple[Points, tuple[float, float, float]], ...] = (),
    joint: Joint = STIFF,
) -> Part:
    """Paint a part: its material within its outline, lit from the upper left, and marks (eyes, windows)."""
    margin = 3 / density
    origin = outline.min(axis=0) - margin
    width, height = np.ceil((outline.max(axis=0) + margin - origin) * density).astype(int)
    image = material.paint(rng, (height, width), density)
    for points, colour in marks:
        cv2.fillPoly(image, [fixed((points - origin) * density)], colour, cv2.LINE_AA, 4)
    fine = np.zeros((height * 4, width * 4), np.uint8)
    cv2.fillPoly(fine, [fixed((outline - origin) * density * 4)], (255,), cv2.LINE_8, 4)
    alpha = cv2.resize(fine, (int(width), int(height)), interpolation=cv2.INTER_AREA)
    alpha = cv2.GaussianBlur(alpha, (3, 3), 0.6)
    # A height map whose slope towards the light brightens a side: the figure looks round, its rim is dark.
    depth = cv2.GaussianBlur(alpha.astype(np.float32) / 255, (0, 0), max(1.0, 0.09 * density))
    slope = cv2.Sobel(depth, cv2.CV_32F, 1, 0) * 0.5 + cv2.Sobel(depth, cv2.CV_32F, 0, 1) * 0.85
    light = 0.62 + 0.4 * depth + 0.35 * density * 0.09 * slope.astype(np.float32)
    image = shaded(image, np.clip(light, 0.3, 1.35).astype(np.float32))
    weight = alpha[..., None].astype(np.uint16)
    texture = np.concatenate([((image * weight + 127) // 255).astype(np.uint8), alpha[..., None]], axis=-1)
    return Part(outline, halvings(texture), origin, density, joint)


def halvings(texture: Image) -> tuple[Image, ...]:
    """The texture, and its halvings down to about 8 pixels; sides are padded to even numbers first."""
    levels = []
    while True:
        height, width = texture.shape[:2]
        texture = cv2.copyMakeBorder(texture, 0, height % 2, 0, width % 2, cv2.BORDER_CONSTANT).astype(
            np.uint8
        )
        levels.append(texture)
        if min(texture.shape[:2]) < 16:
            return tuple(levels)
        size = (texture.shape[1] // 2, texture.shape[0] // 2)
        texture = cv2.resize(texture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def material(rng: np.random.Generator, hue: float, pattern: str | None = None) -> Material:
    """Draw a material near a hue."""
    colours = palette(rng, hue, 0.05, rng.uniform(0.25, 0.8))
    if rng.random() < 0.5:
        colours = colours[::-1]
    drawn = str(rng.choice(["stripes", "spots", "patches", "checks", "plain"]))
    return Material(colours, pattern or drawn, rng.uniform(0.1, 0.3), rng.uniform(0, np.pi))
