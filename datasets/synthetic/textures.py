"""Pictures of surfaces: 1/f noise, palettes, fallen leaves, bricks.

Natural images have spectra that fall as 1/f, and surfaces that hide each other at every size (the "dead
leaves" model of image statistics): both are here, and everything else is painted with them. Images are uint8
(H, W, 3), BGR.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import cv2
import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Sequence

Image = NDArray[np.uint8]
Field = NDArray[np.float32]
Colours = NDArray[np.float32]
"""float32 (K, 3), BGR, 0..255."""


def pink(
    rng: np.random.Generator,
    shape: tuple[int, int],
    exponent: float = 1.0,
    stretch: float = 1.0,
    largest: float = 0.0,
) -> Field:
    """Noise whose amplitude falls as 1/f^exponent; mean 0, standard deviation 1.

    Args:
        rng: Source of randomness.
        shape: (H, W).
        exponent: 0 is white, 1 is a natural image, 2 is a cloud.
        stretch: How many times wider than high its features are.
        largest: No features wider than this many pixels; 0 for no limit.
    """
    # Here, because it takes a quarter of a second to import, and every command line of the pipeline imports this.
    from scipy import fft

    rows, columns = (fft.next_fast_len(n, real=True) for n in shape)
    spectrum = fft.rfft2(rng.standard_normal((rows, columns), dtype=np.float32))
    y = fft.fftfreq(rows).astype(np.float32)[:, None]
    x = fft.rfftfreq(columns).astype(np.float32)[None, :] * np.float32(stretch)
    floor = 1.0 / largest if largest else 1.0 / max(rows, columns)
    frequency = np.sqrt(x * x + y * y + np.float32(floor**2))
    spectrum *= frequency ** np.float32(-exponent)
    spectrum[0, 0] = 0
    noise = fft.irfft2(spectrum, s=(rows, columns))[: shape[0], : shape[1]]
    result: Field = (noise / (noise.std() + 1e-6)).astype(np.float32)
    return result


def colour(hue: float, saturation: float, value: float) -> Colours:
    """BGR of a hue (in turns), a saturation and a value (0..1), shape (3,)."""
    k = (np.array([1, 3, 5]) + hue * 6) % 6
    chroma = np.clip(np.minimum(k, 4 - k), 0, 1)
    result: Colours = (255 * np.clip(value * (1 - saturation * chroma), 0, 1)).astype(np.float32)
    return result


def palette(rng: np.random.Generator, hue: float, spread: float, saturation: float, size: int = 4) -> Colours:
    """Colours of one material, dark to light, near one hue."""
    values = np.sort(rng.uniform(0.18, 0.9, size))
    return np.stack(
        [
            colour(hue + rng.normal(0, spread), np.clip(saturation * rng.uniform(0.6, 1.2), 0, 1), v)
            for v in values
        ]
    )


def tinted(field: Field, colours: Colours) -> Image:
    """Paint a field of unit variance with a palette: low values take the first colour, high ones the last."""
    steps = np.linspace(0, len(colours) - 1, 256)
    table = np.stack([np.interp(steps, np.arange(len(colours)), c) for c in colours.T], axis=-1)
    level = np.clip(field * 52 + 128, 0, 255).astype(np.uint8)
    return np.asarray(cv2.LUT(cv2.merge([level] * 3), table.astype(np.uint8)[None]), np.uint8)


def shaded(image: Image, factor: Field) -> Image:
    """Multiply an image by a field of brightness."""
    result: Image = np.clip(image * factor[..., None], 0, 255).astype(np.uint8)
    return result


def star(rng: np.random.Generator, corners: int, rough: float) -> NDArray[np.float64]:
    """A closed outline of unit radius around the origin, (corners, 2): smooth if there are many corners."""
    angle = np.arange(corners) * (2 * np.pi / corners)
    radius = np.ones(corners)
    for k in range(2, 6):
        radius += rough / k * rng.normal() * np.cos(k * angle + rng.uniform(0, 2 * np.pi))
    if corners < 12:
        radius *= rng.uniform(1 - rough, 1, corners)
    radius = np.maximum(radius, 0.25)
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)


def scatter(
    rng: np.random.Generator,
    image: Image,
    count: int,
    sizes: tuple[float, float],
    colours: Colours,
    *,
    corners: Sequence[int] = (5, 8, 24),
    elongation: float = 1.5,
    shadow: float = 0.5,
) -> None:
    """Let `count` leaves, stones or tufts fall on an image, in place; small ones are the most frequent.

    Args:
        rng: Source of randomness.
        image: What they fall on.
        count: How many.
        sizes: Smallest and largest radius in pixels; frequencies fall with the cube of the radius.
        colours: A leaf takes a mixture of two of these.
        corners: Numbers of corners of their outlines.
        elongation: Largest ratio of length to width.
        shadow: Brightness of the shadow that a leaf throws, 1 for none.
    """
    height, width = image.shape[:2]
    low, high = (s**-2.0 for s in sizes)
    radii = (low - rng.random(count) * (low - high)) ** -0.5
    shapes = [star(rng, int(rng.choice(np.asarray(corners))), 0.25) for _ in range(12)]
    for radius in radii:
        outline = shapes[rng.integers(len(shapes))] * (radius * rng.uniform(1 / elongation, 1), radius)
        turn = rng.uniform(0, 2 * np.pi)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = outline @ rotation.T + rng.uniform(0, 1, 2) * (width, height)
        mixed = colours[rng.integers(len(colours))] * 0.7 + colours[rng.integers(len(colours))] * 0.3
        if shadow < 1:
            offset = points + max(1.0, 0.12 * radius)
            cv2.fillPoly(image, [fixed(offset)], (mixed * shadow * 0.6).tolist(), cv2.LINE_AA, 4)
        cv2.fillPoly(image, [fixed(points)], mixed.tolist(), cv2.LINE_AA, 4)


def fixed(points: NDArray[np.float64]) -> NDArray[np.int32]:
    """Continuous coordinates to the fixed-point pixel indices that cv2.fillPoly takes with shift=4."""
    result: NDArray[np.int32] = np.round((points - 0.5) * 16).astype(np.int32)
    return result
