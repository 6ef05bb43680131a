"""A bank of surfaces: what backgrounds and things of the training scenes are covered with.

Painting a surface takes tens of milliseconds, cutting a piece out of one a fraction of one: so a few dozen large
ones are painted, and thousands of scenes take pieces of them, turned, scaled and recoloured. Most are "dead
leaves" (surfaces that hide each other at every size) or 1/f noise, which have the statistics of natural images.
"""

from __future__ import annotations

from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.synthetic.backgrounds import PLACES
from datasets.synthetic.sprites import material
from datasets.synthetic.textures import Colours, Image, fixed, palette, pink, scatter, shaded, star, tinted

SIDE = 640
"""Pixels along one side of a surface."""

SURFACES = 40
"""In one bank."""

_SHAPE = (SIDE, SIDE)
_ZOOM = 0.25, 1.6


def colours(rng: np.random.Generator, size: int = 5) -> Colours:
    """Colours of one material; as in photographs, most are rather grey."""
    return palette(rng, rng.uniform(0, 1), rng.uniform(0.01, 0.2), rng.beta(1.3, 3.5), size)


def cloud(rng: np.random.Generator) -> Image:
    """1/f noise, from sharp to smooth, sometimes stretched."""
    stretch = float(np.exp(rng.normal(0, 0.8))) if rng.random() < 0.5 else 1.0
    field = pink(rng, _SHAPE, rng.uniform(0.8, 2.0), stretch) * np.float32(rng.uniform(0.3, 1.1))
    return tinted(field, colours(rng))


def leaves(rng: np.random.Generator) -> Image:
    """Dead leaves over noise, round or angular, with or without shadows."""
    image = cloud(rng)
    paint = np.concatenate([colours(rng), colours(rng, 3)])
    corners = (4, 5) if rng.random() < 0.3 else (5, 8, 24)
    largest, count = rng.uniform(30, 160), int(rng.uniform(300, 1500))
    scatter(
        rng,
        image,
        count,
        (rng.uniform(2, 6), largest),
        paint,
        corners=corners,
        elongation=rng.uniform(1.2, 4),
        shadow=float(rng.choice([0.5, 1.0])),
    )
    return shaded(image, 1 + np.float32(rng.uniform(0, 0.25)) * pink(rng, _SHAPE, rng.uniform(0.6, 1.5)))


def cells(rng: np.random.Generator) -> Image:
    """Polygons around random points, each of one colour, with joints: paving, skin, crowds from afar."""
    points = np.full(_SHAPE, 255, np.uint8)
    places = rng.integers(0, SIDE, (int(np.exp(rng.uniform(np.log(60), np.log(3000)))), 2))
    points[places[:, 0], places[:, 1]] = 0
    distance, labels = cv2.distanceTransformWithLabels(points, cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL)
    paint = colours(rng, 6)
    table = paint[rng.integers(0, len(paint), len(places) + 1)] * rng.uniform(0.7, 1.2, (len(places) + 1, 1))
    image = np.clip(table[np.minimum(labels, len(places))], 0, 255).astype(np.uint8)
    wide = distance / (distance.mean() + 1e-3)
    dark = 1 - np.float32(rng.uniform(0, 0.4)) * np.clip(wide - 1, -1, 1)
    return shaded(image, (dark + 0.08 * pink(rng, _SHAPE, 1.0)).astype(np.float32))


def pattern(rng: np.random.Generator) -> Image:
    """Stripes, checks, spots or patches."""
    return material(rng, rng.uniform(0, 1)).paint(rng, _SHAPE, rng.uniform(60, 350))


def script(rng: np.random.Generator) -> Image:
    """Lines of letters of all sizes over noise: signs, and small high-contrast structure."""
    image = cloud(rng)
    for _ in range(int(rng.uniform(30, 120))):
        text = "".join(chr(int(c)) for c in rng.integers(48, 123, int(rng.uniform(3, 14))))
        x, y = (int(v) for v in rng.integers(-60, SIDE, 2))
        size, shade = rng.uniform(0.4, 3), rng.uniform(0, 255, 3)
        face = int(rng.integers(0, 8))
        cv2.putText(
            image,
            text,
            (x, y),
            face,
            size,
            shade.tolist(),
            int(rng.integers(1, 1 + int(3 * size))),
            cv2.LINE_AA,
        )
    return image


def place(rng: np.random.Generator) -> Image:
    """A place of the synthetic videos: undergrowth, ground, water, town, room."""
    painter = list(PLACES.values())[rng.integers(len(PLACES))]
    return painter(rng, _SHAPE, rng.uniform(0.6, 1.8))


def collage(rng: np.random.Generator, others: list[Image]) -> Image:
    """Dead leaves cut from other surfaces: borders between textures at every size."""
    image = others[rng.integers(len(others))].copy()
    for _ in range(int(rng.uniform(40, 160))):
        radius = 10.0 * (1 - rng.random() * 0.995) ** -0.5
        outline = star(rng, int(rng.choice([4, 6, 24])), 0.3) * (radius * rng.uniform(0.3, 1), radius)
        turn = rng.uniform(0, 2 * np.pi)
        c, s = np.cos(turn), np.sin(turn)
        points = outline @ np.array([[c, s], [-s, c]]) + rng.uniform(0, SIDE, 2)
        left, top = np.maximum(np.floor(points.min(axis=0)).astype(int), 0)
        right, bottom = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 1, SIDE)
        if right <= left or bottom <= top:
            continue
        source = others[rng.integers(len(others))]
        x, y = rng.integers(0, SIDE - (right - left) + 1), rng.integers(0, SIDE - (bottom - top) + 1)
        mask = np.zeros((bottom - top, right - left), np.uint8)
        cv2.fillPoly(mask, [fixed(points - (left, top))], (255,), cv2.LINE_8, 4)
        cut = source[y : y + bottom - top, x : x + right - left]
        lit = cv2.convertScaleAbs(cut, alpha=rng.uniform(0.5, 1.3), beta=rng.uniform(0, 30))
        cv2.copyTo(lit, mask, image[top:bottom, left:right])
    return image


_PAINTERS = (cloud, cloud, leaves, leaves, leaves, cells, pattern, script, place, place)


@lru_cache(maxsize=2)
def bank(seed: int, number: int) -> tuple[Image, ...]:
    """The surfaces of one bank, each uint8 (SIDE, SIDE, 3), BGR: a function of the seed and the bank's number."""
    rng = np.random.default_rng([seed, 1, number])
    plain = [_PAINTERS[i % len(_PAINTERS)](rng) for i in range(SURFACES * 3 // 4)]
    return (*plain, *(collage(rng, plain) for _ in range(SURFACES - len(plain))))


def recolouring(rng: np.random.Generator, strength: float = 1.0) -> Image:
    """A change of contrast, brightness and tint, sometimes to the negative: a table for cv2.LUT, (1, 256, 3)."""
    gain = rng.uniform(1 - 0.7 * strength, 1 + 0.2 * strength) * np.exp(rng.normal(0, 0.15 * strength, 3))
    middle = 128 + strength * (rng.uniform(-70, 70) + rng.normal(0, 15, 3))
    if rng.random() < 0.15 * strength:
        gain = -gain
    table = (np.arange(256)[:, None] - 128) * gain + middle
    return np.clip(table, 0, 255).astype(np.uint8)[None]


def piece(rng: np.random.Generator, surfaces: tuple[Image, ...], side: int) -> Image:
    """A turned, scaled and recoloured square piece of some surface, uint8 (side, side, 3)."""
    surface = surfaces[rng.integers(len(surfaces))]
    scale = float(np.exp(rng.uniform(*np.log(_ZOOM))))
    turn = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(turn) / scale, np.sin(turn) / scale
    linear = np.array([[c, -s], [s, c]])
    offset = rng.uniform(0, SIDE, 2) - linear @ (side / 2, side / 2)
    back: NDArray[np.float64] = np.concatenate([linear, offset[:, None]], axis=1)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    cut = cv2.warpAffine(surface, back, (side, side), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(cv2.LUT(cut, recolouring(rng)), np.uint8)
