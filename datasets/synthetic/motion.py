"""Paths over time, as arrays over frames: smooth wandering, the shake of a hand, leaving and coming back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from datasets.synthetic.sprites import Sprite

Track = NDArray[np.float64]
"""float64 (T,) or (T, 2): one value or one point per frame."""


def wander(rng: np.random.Generator, length: int, amplitude: float, period: float) -> Track:
    """A smooth path that starts at 0 and stays within +-amplitude, with waves of `period` frames, (T,)."""
    t = np.arange(length)
    shares = rng.dirichlet((4, 2, 1)) * amplitude / 2
    path = np.zeros(length)
    for share, ratio in zip(shares, (1.0, 0.55, 0.29), strict=True):
        phase = rng.uniform(0, 2 * np.pi)
        path += share * (
            np.sin(2 * np.pi * t / (period * ratio * rng.uniform(0.8, 1.25)) + phase) - np.sin(phase)
        )
    return path


def wander2(rng: np.random.Generator, length: int, amplitude: tuple[float, float], period: float) -> Track:
    """Two wanderings, (T, 2)."""
    return np.stack([wander(rng, length, a, period) for a in amplitude], axis=-1)


def shake(rng: np.random.Generator, length: int, deviation: float) -> Track:
    """The tremor of a hand-held camera, 0 in the first frame, (T, 2)."""
    steps = rng.normal(0, deviation, (length, 2))
    path = np.zeros((length, 2))
    for t in range(1, length):
        path[t] = 0.6 * path[t - 1] + steps[t]
    return path


def away(length: int, start: float, ramp: float, hold: float) -> Track:
    """0, then 1 from `start + ramp` on for `hold` frames, then 0 again, with smooth ramps, (T,)."""
    t = np.arange(length)
    rising = np.clip((t - start) / ramp, 0, 1)
    falling = np.clip((t - start - ramp - hold) / ramp, 0, 1)
    u = rising - falling
    path: Track = u * u * (3 - 2 * u)
    return path


def turning(rng: np.random.Generator, length: int) -> Track:
    """How wide a figure looks that turns away about its upright axis and back, of its width at first, (T,)."""
    narrowest = rng.uniform(0.45, 0.85)
    turned = away(length, rng.uniform(8, 25), rng.uniform(25, 45), rng.uniform(10, 40))
    width: Track = 1 - (1 - narrowest) * turned
    return width


@dataclass(frozen=True, eq=False)
class Actor:
    """A figure and its way through the image.

    Attributes:
        sprite: What it looks like.
        centre: (T, 2) image coordinates of the local origin.
        size: (T,) pixels per local unit.
        angle: (T,) radians.
        stretch: (T,) logarithm of its width's factor; its height's is the inverse.
        shear: (T,) horizontal shift per unit of height.
        mirrored: It looks to the left.
    """

    sprite: Sprite
    centre: Track
    size: Track
    angle: Track
    stretch: Track
    shear: Track
    mirrored: bool = False

    def matrix(self, frame: int) -> NDArray[np.float64]:
        """Local to image coordinates in one frame, an affine 2 x 3 matrix."""
        c, s = np.cos(self.angle[frame]), np.sin(self.angle[frame])
        wide = np.exp(self.stretch[frame]) * (-1 if self.mirrored else 1)
        form = np.array([[wide, self.shear[frame]], [0, np.exp(-self.stretch[frame])]])
        linear = self.size[frame] * (np.array([[c, -s], [s, c]]) @ form)
        return np.concatenate([linear, self.centre[frame][:, None]], axis=1)

    def narrowed(self, width: Track) -> Actor:
        """The same actor, its width times `width`, (T,); its height stays."""
        root = np.sqrt(width)
        return replace(
            self, size=self.size * root, stretch=self.stretch + np.log(root), shear=self.shear * root
        )

    def velocity(self, frame: int) -> NDArray[np.float64]:
        """Pixels per frame, (2,)."""
        first, last = max(frame - 1, 0), min(frame + 1, len(self.centre) - 1)
        result: NDArray[np.float64] = (self.centre[last] - self.centre[first]) / max(1, last - first)
        return result


def chained(outer: NDArray[np.float64], inner: NDArray[np.float64]) -> NDArray[np.float64]:
    """The affine map that applies `inner`, then `outer`, both 2 x 3."""
    linear = outer[:, :2] @ inner
    linear[:, 2] += outer[:, 2]
    return linear


def apply(matrix: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.float64]:
    """An affine 2 x 3 map of points (N, 2)."""
    result: NDArray[np.float64] = points @ matrix[:, :2].T + matrix[:, 2]
    return result
