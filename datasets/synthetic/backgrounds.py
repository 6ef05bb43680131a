"""Five kinds of places over which a camera pans: undergrowth, ground, water, town, room."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np

from datasets.synthetic.textures import Image, colour, palette, pink, scatter, shaded, tinted

Painter = Callable[[np.random.Generator, tuple[int, int], float], Image]


def undergrowth(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Image:
    """Leaves over leaves."""
    colours = palette(rng, rng.uniform(0.15, 0.38), 0.03, rng.uniform(0.3, 0.6), 6)
    image = tinted(pink(rng, shape, 1.1), colours[:4])
    area = shape[0] * shape[1] / unit**2
    scatter(rng, image, int(area / 350), (3 * unit, 40 * unit), colours, corners=(6, 16), elongation=3)
    return shaded(image, 1 + 0.22 * pink(rng, shape, 1.3))


def ground(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Image:
    """Sand, grass or gravel with stones and a path."""
    colours = palette(rng, rng.choice([0.08, 0.11, 0.25]) + rng.normal(0, 0.01), 0.015, rng.uniform(0.2, 0.5))
    image = tinted(pink(rng, shape, 1.25), colours)
    path = pink(rng, shape, 2.2, stretch=rng.uniform(0.2, 4))
    other = tinted(pink(rng, shape, 0.9), palette(rng, rng.uniform(0.05, 0.35), 0.02, rng.uniform(0.1, 0.45)))
    weight = np.clip(path * 3 - rng.uniform(0, 2), 0, 1)[..., None]
    image = (image * (1 - weight) + other * weight).astype(np.uint8)
    stones = palette(rng, 0.1, 0.05, 0.12, 5)
    scatter(rng, image, int(shape[0] * shape[1] / unit**2 / 5000), (2 * unit, 25 * unit), stones)
    return shaded(image, 1 + 0.1 * pink(rng, shape, 0.7))


def water(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Image:
    """Waves that are wider than high, and glints."""
    colours = palette(rng, rng.uniform(0.48, 0.62), 0.02, rng.uniform(0.3, 0.65))
    stretch = rng.uniform(2, 6)
    image = tinted(0.75 * pink(rng, shape, 1.3, stretch) + 0.65 * pink(rng, shape, 2.0), colours)
    glint = np.clip(pink(rng, shape, 0.9, stretch, largest=30 * unit) - 1.7, 0, 1)
    return shaded(image, 1 + rng.uniform(0.3, 1.0) * glint)


def town(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Image:
    """Facades with windows, behind a street with cars' shadows and marks."""
    height, width = shape
    sky = palette(rng, rng.uniform(0.55, 0.62), 0.02, 0.25) * 0.3 + 160
    image = tinted(pink(rng, shape, 2.0), sky)
    street = int(height * rng.uniform(0.6, 0.8))
    left = -rng.uniform(0, 60) * unit
    while left < width:
        wide, top = rng.uniform(70, 220) * unit, rng.uniform(0.02, 0.35) * height
        wall = colour(rng.uniform(0, 0.14), rng.uniform(0.05, 0.45), rng.uniform(0.3, 0.85))
        cv2.rectangle(image, (int(left), int(top)), (int(left + wide), street), wall.tolist(), -1)
        step, pane = rng.uniform(18, 34, 2) * unit, rng.uniform(0.4, 0.7, 2)
        glass = colour(rng.uniform(0.5, 0.65), 0.3, rng.uniform(0.12, 0.5))
        for y in np.arange(top + step[1] / 2, street - step[1], step[1]):
            for x in np.arange(left + step[0] / 3, left + wide - step[0] * pane[0], step[0]):
                corner = (int(x + step[0] * pane[0]), int(y + step[1] * pane[1]))
                cv2.rectangle(image, (int(x), int(y)), corner, (wall * 1.15).tolist(), -1)
                inner = (glass * rng.uniform(0.6, 1.6)).tolist()
                cv2.rectangle(image, (int(x) + 1, int(y) + 1), (corner[0] - 1, corner[1]), inner, -1)
        left += wide
    road = tinted(pink(rng, (height - street, width), 0.8), palette(rng, 0.6, 0.1, 0.06) * 0.4 + 50)
    image[street:] = road
    for x in np.arange(0, width, 60 * unit):
        y = int((street + height) / 2)
        cv2.rectangle(image, (int(x), y), (int(x + 32 * unit), y + int(4 * unit)), (200, 205, 205), -1)
    return shaded(image, 1 + 0.09 * pink(rng, shape, 0.9) + 0.08 * pink(rng, shape, 2))


def room(rng: np.random.Generator, shape: tuple[int, int], unit: float) -> Image:
    """A wall with pictures and shelves over a wooden floor."""
    height, width = shape
    wall = colour(rng.uniform(0, 1), rng.uniform(0.05, 0.3), rng.uniform(0.45, 0.85))
    image = np.clip(wall + 6 * pink(rng, shape, 1.6)[..., None], 0, 255).astype(np.uint8)
    for _ in range(int(width * height / unit**2 / 28000)):
        corner = rng.uniform(0, 1, 2) * (width, height)
        size = rng.uniform(25, 130, 2) * unit
        a, b = corner.astype(int), (corner + size).astype(int)
        hue = rng.uniform(0, 1)
        cv2.rectangle(
            image, (a + int(3 * unit)).tolist(), (b + int(3 * unit)).tolist(), (wall * 0.6).tolist(), -1
        )
        cv2.rectangle(image, a.tolist(), b.tolist(), colour(hue, 0.3, rng.uniform(0.2, 0.9)).tolist(), -1)
        rows, columns = (min(b[1], height) - a[1] - 6, min(b[0], width) - a[0] - 6)
        if rows > 4 and columns > 4:
            picture = tinted(pink(rng, (rows, columns), 1.5), palette(rng, hue, 0.15, 0.5))
            image[a[1] + 3 : a[1] + 3 + rows, a[0] + 3 : a[0] + 3 + columns] = picture
    floor = int(height * rng.uniform(0.68, 0.85))
    wood = palette(rng, rng.uniform(0.06, 0.1), 0.01, 0.5) * 0.7
    image[floor:] = tinted(
        pink(rng, (height - floor, width), 1.2, stretch=0.1 if rng.random() < 0.5 else 8), wood
    )
    return shaded(image, 1 + 0.16 * pink(rng, shape, 2.2))


PLACES: dict[str, Painter] = {
    "undergrowth": undergrowth,
    "ground": ground,
    "water": water,
    "town": town,
    "room": room,
}


def paint_background(rng: np.random.Generator, shape: tuple[int, int], unit: float, focus: float) -> Image:
    """Draw a place and paint it.

    Args:
        rng: Source of randomness.
        shape: (H, W) of the canvas.
        unit: Size of details: 1 where the image's short side has 360 pixels.
        focus: Standard deviation in pixels of the blur of a background out of focus.
    """
    image = list(PLACES.values())[rng.integers(len(PLACES))](rng, shape, unit)
    if focus > 0.2:
        image = cv2.GaussianBlur(image, (0, 0), focus).astype(np.uint8)
    return image
