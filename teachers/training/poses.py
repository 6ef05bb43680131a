"""How things stand at each moment of a scene, and how one is drawn in such a pose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from datasets.synthetic.motion import Track, chained, wander
from datasets.synthetic.textures import Image
from teachers.training.things import DENSITY, REACH, Limb, Thing, reach, turned

_GRID = 4


def varied(rng: np.random.Generator, length: int, amplitude: float) -> Track:
    """A quantity around 0 at each moment, (length,): two moments are far apart, more are a smooth way."""
    if length > 2:
        return wander(rng, length, 2.2 * amplitude, rng.uniform(20, 80))
    change: Track = np.clip(rng.normal(0, amplitude, length), -2.5 * amplitude, 2.5 * amplitude)
    return change


@dataclass(frozen=True, eq=False)
class Poses:
    """A thing's poses over T moments.

    Attributes:
        centre: (T, 2) image coordinates of the local origin.
        size: (T,) pixels per local unit.
        angle, stretch, shear: (T,) as in the synthetic videos' `Actor`.
        swing: (T, 8) how far each limb has swung, in units of its own reach.
        bend: (T, 2, 4, 4) a field of displacements over the thing, in units of its size.
        mirrored: It looks to the left.
    """

    centre: Track
    size: Track
    angle: Track
    stretch: Track
    shear: Track
    swing: Track
    bend: NDArray[np.float32] | None
    mirrored: bool

    def matrix(self, moment: int) -> NDArray[np.float64]:
        """Local to image coordinates, 2 x 3."""
        c, s = np.cos(self.angle[moment]), np.sin(self.angle[moment])
        wide = np.exp(self.stretch[moment]) * (-1 if self.mirrored else 1)
        form = np.array([[wide, self.shear[moment]], [0, np.exp(-self.stretch[moment])]])
        linear = self.size[moment] * (np.array([[c, -s], [s, c]]) @ form)
        return np.concatenate([linear, self.centre[moment][:, None]], axis=1)


def drawn_poses(rng: np.random.Generator, length: int, centre: Track, size: float, change: float) -> Poses:
    """Draw how a thing changes.

    Args:
        rng: Source of randomness.
        length: Moments.
        centre: (length, 2).
        size: Pixels per local unit, about.
        change: 0 keeps its form, 1 changes it as much as anything does.
    """
    turning = 1.2 if rng.random() < 0.1 else 0.3
    start = rng.uniform(-np.pi, np.pi) if rng.random() < 0.15 else rng.normal(0, 0.12)
    bend = None
    if rng.random() < 0.5:
        a, b = (0.07 * change * rng.random() * rng.standard_normal((2, 2, _GRID, _GRID))).astype(np.float32)
        phase = np.arange(length) * (2.5 if length == 2 else rng.uniform(0.05, 0.5))
        bend = np.stack([a * np.cos(p) + b * np.sin(p) for p in phase]).astype(np.float32)
    return Poses(
        centre,
        size * np.exp(varied(rng, length, 0.25 * change)),
        start + varied(rng, length, turning * change),
        rng.normal(0, 0.15) + varied(rng, length, 0.12 * change),
        varied(rng, length, 0.15 * change),
        np.stack([varied(rng, length, 0.3 + 0.5 * change) for _ in range(8)], axis=-1),
        bend,
        bool(rng.random() < 0.5),
    )


@dataclass(frozen=True, eq=False)
class Layer:
    """A drawn thing: uint8 (h, w, 4), BGR multiplied by alpha, alpha; and where its top-left pixel lies."""

    pixels: Image
    left: int
    top: int


def over(below: Image, above: Image) -> Image:
    """Lay premultiplied pixels over others of 3 or 4 channels."""
    rest = cv2.bitwise_not(np.ascontiguousarray(above[..., 3]))
    kept = cv2.multiply(below, cv2.merge([rest] * below.shape[2]), scale=1 / 255)
    return np.asarray(cv2.add(kept, np.ascontiguousarray(above[..., : below.shape[2]])), np.uint8)


def draw_limbs(limbs: Sequence[Limb], poses: Poses, moment: int) -> Layer:
    """Draw limbs in their pose, whole, wherever in the image or beyond it that is."""
    pose = poses.matrix(moment)
    matrices = [
        chained(pose, turned(part, part.swing * poses.swing[moment, i % 8])) for i, part in enumerate(limbs)
    ]
    corners = np.concatenate([reach(part, m) for part, m in zip(limbs, matrices, strict=True)])
    margin = 2 + (0.15 * poses.size[moment] if poses.bend is not None else 0)
    left, top = (int(v) for v in np.floor(corners.min(axis=0) - margin))
    right, bottom = (int(v) for v in np.ceil(corners.max(axis=0) + margin))
    shape = (right - left, bottom - top)
    pixels: Image | None = None
    for part, matrix in zip(limbs, matrices, strict=True):
        depth = int(np.clip(np.floor(np.log2(DENSITY / poses.size[moment]) + 0.3), 0, len(part.levels) - 1))
        density = DENSITY / 2**depth
        inverse = np.linalg.inv(matrix[:, :2])
        start = inverse @ (np.array([left, top]) + 0.5 - matrix[:, 2])
        back = np.concatenate([inverse * density, ((start + REACH) * density - 0.5)[:, None]], axis=1)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        drawn = np.asarray(cv2.warpAffine(part.levels[depth], back, shape, flags=flags), np.uint8)
        pixels = drawn if pixels is None else over(pixels, drawn)
    assert pixels is not None
    if poses.bend is not None:
        field = [
            cv2.resize(f * np.float32(poses.size[moment]), shape, interpolation=cv2.INTER_CUBIC)
            for f in poses.bend[moment]
        ]
        x = np.arange(shape[0], dtype=np.float32) + field[0]
        y = np.arange(shape[1], dtype=np.float32)[:, None] + field[1]
        pixels = np.asarray(cv2.remap(pixels, x, y, cv2.INTER_LINEAR), np.uint8)
    return Layer(pixels, left, top)


def tight_box(layer: Layer) -> NDArray[np.float64]:
    """The box around a silhouette, (x, y, w, h), to a fraction of a pixel: where alpha crosses one half.

    Raises:
        ValueError: If nothing is there.
    """
    alpha = np.ascontiguousarray(layer.pixels[..., 3])
    left, right = _ends(alpha.max(axis=0))
    top, bottom = _ends(alpha.max(axis=1))
    return np.array([layer.left + left, layer.top + top, right - left, bottom - top])


def _ends(profile: NDArray[np.uint8]) -> tuple[float, float]:
    inside = np.flatnonzero(profile > 127)
    if not len(inside):
        raise ValueError("nothing of the thing is drawn")
    values = np.concatenate([[0.0], profile / 255.0, [0.0]])
    first, last = inside[0] + 1, inside[-1] + 1
    rising = (values[first] - 0.5) / (values[first] - values[first - 1])
    falling = (values[last] - 0.5) / (values[last] - values[last + 1])
    return float(first - 1 + 0.5 - rising), float(last - 1 + 0.5 + falling)


def thing_size(thing: Thing) -> NDArray[np.float64]:
    """Width and height of a thing at rest, local units, (2,)."""
    points = np.concatenate([part.corners for part in thing.limbs])
    return np.asarray(np.ptp(points, axis=0), np.float64)
