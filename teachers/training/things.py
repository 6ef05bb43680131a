"""Things that move: limbs with irregular silhouettes, each covered with a piece of some surface.

A thing lives in local coordinates, about one unit wide or high around (0, 0), y down, as the figures of the
synthetic videos do (some of which are among the things). A limb is a picture of the square
[-REACH, REACH]^2 that swings around a pivot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.synthetic.figures import FIGURES
from datasets.synthetic.motion import apply
from datasets.synthetic.sprites import Points, ellipse
from datasets.synthetic.textures import Image, fixed, star
from teachers.training.surfaces import piece, recolouring

REACH = 0.75
CANVAS = 144
DENSITY = CANVAS / (2 * REACH)
"""Pixels of a limb's picture per local unit."""

Surfaces = tuple[Image, ...]


@dataclass(frozen=True, eq=False)
class Limb:
    """One rigid piece of a thing.

    Attributes:
        levels: The picture and its halvings, uint8 (CANVAS / 2^k, CANVAS / 2^k, 4), BGR multiplied by alpha, alpha.
        corners: (4, 2) the rectangle around its silhouette, local coordinates.
        pivot: (2,) where it hangs.
        swing: How far it swings, radians; 0 is fixed.
    """

    levels: tuple[Image, ...]
    corners: Points
    pivot: tuple[float, float]
    swing: float


@dataclass(frozen=True, eq=False)
class Thing:
    """Limbs from back to front; `body` moves with them but does not count for the box (a face's shoulders)."""

    kind: str
    limbs: tuple[Limb, ...]
    body: tuple[Limb, ...] = ()


def limb(
    image: Image, alpha: Image, pivot: tuple[float, float] = (0, 0), swing: float = 0.0, level: float = 0.35
) -> Limb:
    """Cut a picture along a silhouette, lit from one side.

    Args:
        image: uint8 (CANVAS, CANVAS, 3).
        alpha: uint8 (CANVAS, CANVAS).
        pivot: See `Limb`.
        swing: See `Limb`.
        level: Strength of the light and of the dark rim.
    """
    if level:
        depth = cv2.blur(alpha, (15, 15)).astype(np.float32) * np.float32(1 / 255)
        slope = cv2.Sobel(depth, cv2.CV_32F, 1, 1, ksize=3) * 8 + depth
        light = np.clip(1 - level + level * 1.25 * slope, 0.3, 1.3)
        image = np.clip(image * light[..., None], 0, 255).astype(np.uint8)
    weight = cv2.merge([alpha] * 3)
    picture = np.dstack([cv2.multiply(image, weight, scale=1 / 255), alpha])
    half = cv2.resize(picture, (CANVAS // 2, CANVAS // 2), interpolation=cv2.INTER_AREA)
    quarter = cv2.resize(half, (CANVAS // 4, CANVAS // 4), interpolation=cv2.INTER_AREA)
    x, y, w, h = cv2.boundingRect(alpha)
    corners = np.array([(x, y), (x + w, y), (x, y + h), (x + w, y + h)]) / DENSITY - REACH
    return Limb((picture, np.asarray(half, np.uint8), np.asarray(quarter, np.uint8)), corners, pivot, swing)


def silhouette(outlines: Sequence[Points]) -> Image:
    """Fill outlines in local coordinates: uint8 (CANVAS, CANVAS)."""
    alpha = np.zeros((CANVAS, CANVAS), np.uint8)
    for outline in outlines:
        cv2.fillPoly(alpha, [fixed((outline + REACH) * DENSITY)], (255,), cv2.LINE_AA, 4)
    return alpha


def _cover(rng: np.random.Generator, surfaces: Surfaces) -> Image:
    """A limb's covering, sometimes with marks upon it."""
    image = piece(rng, surfaces, CANVAS)
    for _ in range(int(rng.poisson(1.0))):
        shade = np.clip(rng.normal(128, 70, 3), 0, 255).tolist()
        mark = star(rng, int(rng.choice([4, 6, 24])), 0.2) * rng.uniform(0.03, 0.3, 2) + rng.uniform(
            -0.4, 0.4, 2
        )
        cv2.fillPoly(image, [fixed((mark + REACH) * DENSITY)], shade, cv2.LINE_AA, 4)
    return image


def _form(rng: np.random.Generator) -> Points:
    """An outline of about unit size."""
    drawn = rng.random()
    if drawn < 0.45:
        shape = star(rng, int(rng.choice([5, 9, 24, 48])), rng.uniform(0.1, 0.4))
    elif drawn < 0.75:
        shape = ellipse(0, 0, 1, 1, rng.uniform(0, 3) if rng.random() < 0.3 else 0, rng.uniform(1.6, 8))
    else:
        shape = rng.uniform(-1, 1, (int(rng.integers(3, 7)), 2))
        shape = shape[np.argsort(np.arctan2(shape[:, 1], shape[:, 0]))]
    shape = shape - (shape.max(axis=0) + shape.min(axis=0)) / 2
    result: Points = shape / np.maximum(np.ptp(shape, axis=0), 0.3)
    return result


def blob(rng: np.random.Generator, surfaces: Surfaces) -> Thing:
    """One piece."""
    size = np.exp(np.clip(rng.normal(0, 0.35, 2), -0.9, 0))
    return Thing("blob", (limb(_cover(rng, surfaces), silhouette([_form(rng) * size])),))


def assembly(rng: np.random.Generator, surfaces: Surfaces) -> Thing:
    """Two to five pieces, each with its own covering, hinged to the first."""
    limbs = []
    for i in range(int(rng.integers(2, 6))):
        size = rng.uniform(0.25, 0.9 if i == 0 else 0.6, 2)
        at = rng.uniform(-0.3, 0.3, 2) if i else np.zeros(2)
        outline = _form(rng) * size + at
        pivot = (float(at[0]) / 2, float(at[1]) / 2)
        limbs.append(limb(_cover(rng, surfaces), silhouette([outline]), pivot, rng.uniform(0, 0.4)))
    return Thing("assembly", tuple(limbs))


def walker(rng: np.random.Generator, surfaces: Surfaces) -> Thing:
    """A person: legs, torso, arms, head, in two or three coverings."""
    legs, shirt, skin = (_cover(rng, surfaces) for _ in range(3))
    wide, hip, neck = rng.uniform(0.09, 0.17), rng.uniform(0.0, 0.1), rng.uniform(-0.32, -0.27)
    thick, gait = rng.uniform(0.04, 0.075), rng.uniform(0.1, 0.6)
    parts: list[Limb] = []
    for side in (-1, 1):
        leg = ellipse(side * wide * 0.5, (hip + 0.5) / 2, thick, (0.54 - hip) / 2, 0, 3)
        parts.append(limb(legs, silhouette([leg]), (side * wide * 0.4, hip), gait))
    arms = [ellipse(side * wide, (neck + hip) / 2, thick * 0.7, (hip - neck) * 0.6, 0, 3) for side in (-1, 1)]
    parts.append(limb(shirt, silhouette([arms[0]]), (-wide, neck), gait * 1.2))
    torso = ellipse(0, (neck + hip) / 2, wide, (hip - neck) / 2 + 0.04, 0, rng.uniform(2.5, 5))
    parts.append(limb(shirt, silhouette([torso])))
    parts.append(limb(shirt, silhouette([arms[1]]), (wide, neck), gait * 1.2))
    head = ellipse(0, neck - 0.1, rng.uniform(0.06, 0.1), rng.uniform(0.09, 0.13))
    parts.append(limb(skin, silhouette([head]), (0, neck), 0.15))
    return Thing("walker", tuple(parts))


def face(rng: np.random.Generator, surfaces: Surfaces) -> Thing:
    """Something on something larger: the box is around the inner part, and the outer part moves with it."""
    outer, inner = _cover(rng, surfaces), _cover(rng, surfaces)
    if rng.random() < 0.4:
        inner = outer.copy()  # no edge at all: a place on a surface
    half = rng.uniform(0.2, 0.42, 2)
    outline = ellipse(0, 0, half[0], half[1], 0, rng.choice([2.0, 2.5, 8.0]))
    for _ in range(int(rng.integers(1, 6))):
        at, size = rng.uniform(-0.7, 0.7, 2) * half, rng.uniform(0.05, 0.3, 2) * half
        shade = np.clip(rng.normal(100, 70, 3), 0, 255).tolist()
        pairs = (at, at * (-1, 1)) if rng.random() < 0.5 else (at,)
        for spot in pairs:
            form = ellipse(spot[0], spot[1], size[0], size[1], 0, rng.uniform(2, 5))
            cv2.fillPoly(inner, [fixed((form + REACH) * DENSITY)], shade, cv2.LINE_AA, 4)
    shift = rng.uniform(-0.15, 0.15), rng.choice([0.0, 0.4]) * rng.uniform(0.5, 1)
    around = ellipse(shift[0], shift[1], rng.uniform(0.45, 0.7), rng.uniform(0.4, 0.7), 0, rng.uniform(2, 4))
    body = limb(outer, silhouette([around]), level=0.2)
    return Thing("face", (limb(inner, silhouette([outline]), level=rng.choice([0.0, 0.3])),), (body,))


def figure(rng: np.random.Generator, surfaces: Surfaces) -> Thing:
    """A figure of the synthetic videos, half of the time in other coverings."""
    kind = str(rng.choice(sorted(FIGURES)))
    other = rng.random() < 0.5
    limbs = []
    for part in FIGURES[kind](rng, rng.uniform(0, 1), 48.0, 1.0):
        back = np.eye(2, 3) * (part.density / DENSITY)
        back[:, 2] = (-REACH + 0.5 / DENSITY - part.origin) * part.density - 0.5
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        drawn = np.asarray(cv2.warpAffine(part.levels[0], back, (CANVAS, CANVAS), flags=flags), np.uint8)
        alpha = np.ascontiguousarray(drawn[..., 3])
        swing = part.joint.swing or min(abs(part.joint.spin) * 10, 3.0)
        image = piece(rng, surfaces, CANVAS) if other else np.ascontiguousarray(drawn[..., :3])
        limbs.append(limb(image, alpha, part.joint.pivot, swing, 0.35 if other else 0.0))
    return Thing(kind, tuple(limbs))


Maker = Callable[[np.random.Generator, Surfaces], Thing]
KINDS: dict[str, Maker] = {
    "blob": blob,
    "assembly": assembly,
    "walker": walker,
    "face": face,
    "figure": figure,
}
SHARES = (0.2, 0.2, 0.2, 0.2, 0.2)


def make_thing(rng: np.random.Generator, surfaces: Surfaces, kind: str | None = None) -> Thing:
    """Draw a thing, of a kind of `KINDS` if one is given."""
    return KINDS[kind or str(rng.choice(list(KINDS), p=SHARES))](rng, surfaces)


def sibling(rng: np.random.Generator, thing: Thing) -> Thing:
    """The same silhouette in other colours: what a tracker must not confuse with the thing."""
    table = recolouring(rng, 0.6)

    def changed(old: Limb) -> Limb:
        levels = []
        for level in old.levels:
            alpha = np.ascontiguousarray(level[..., 3])
            colour = cv2.LUT(np.ascontiguousarray(level[..., :3]), table)
            levels.append(np.dstack([cv2.multiply(colour, cv2.merge([alpha] * 3), scale=1 / 255), alpha]))
        return Limb(tuple(levels), old.corners, old.pivot, old.swing)

    return Thing(thing.kind, tuple(map(changed, thing.limbs)), tuple(map(changed, thing.body)))


def turned(part: Limb, angle: float) -> NDArray[np.float64]:
    """The rotation of a limb around its pivot, 2 x 3, local coordinates."""
    c, s, (x, y) = np.cos(angle), np.sin(angle), part.pivot
    return np.array([[c, -s, x - c * x + s * y], [s, c, y - s * x - c * y]])


def reach(part: Limb, matrix: NDArray[np.float64]) -> Points:
    """Where the corners around a limb's silhouette come to lie, (4, 2)."""
    return apply(matrix, part.corners)
